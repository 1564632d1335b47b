"""Where a defect bites stands in `known.defects`, what it is in `known.divergences`: the two must agree."""

from __future__ import annotations

import pytest

from parity import keras
from parity.assets.models import resolve
from parity.judge.known.defects import defect_of
from parity.judge.known.divergences import BY_NAME
from parity.run.subjects import list_methods, parse


@pytest.mark.parametrize("model", ["vgg_mnist", "dense_mnist", "resnet_mnist", "cnn_timeseries"])
def test_an_entry_speaks_of_every_method_and_reference_it_is_found_for(model: str) -> None:
    description = keras.load(resolve(model).path).description
    found = [
        (name, backend, defect)
        for name in list_methods()
        for backend in ("signxai", "innvestigate")
        if (defect := defect_of(parse(name), description, backend)) is not None
    ]
    assert found
    assert [one for one in found if not BY_NAME[one[2]].covers(one[0], one[1])] == []
