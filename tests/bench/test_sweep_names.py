"""What the bench asks the reference for: only what the reference is right about on the very model."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contenders.reference import ask
from bench.networks import load
from bench.sweep_names import calls, lrp_names, names_of
from parity import keras
from parity.reference.request import ReferenceCall
from parity.run.calls import NotInReferenceError
from parity.run.subjects import list_methods, parse
from tests.parity.small_networks import conv, dense, flatten, normalization, written


def test_a_sweep_asks_for_what_the_reference_is_right_about() -> None:
    network = load("dense_mnist")
    asked = calls(network)
    assert all(isinstance(call, ReferenceCall) for call in asked.values())
    assert list(asked) == [name for name in list_methods() if name in asked]
    assert {"gradient", "lrp_z", "lrp.z", "lrpsign_z", "lrp_epsilon_0_1"} <= set(asked)
    for name in ("occlusion", "deep_lift", "zblrp_epsilon_0_25_std_x_VGG16ILSVRC", "gradient_x_sign_mu", "grad_cam"):
        assert name not in asked
    assert names_of(network, "all") == tuple(asked)
    lrp = names_of(network, "lrp")
    assert lrp == tuple(name for name in lrp_names() if name in asked)
    left_out = {name for name in set(lrp_names()) - set(lrp) if parse(name).row.signxai or parse(name).row.innvestigate}
    assert left_out == {f"zblrp_epsilon_{of}_std_x_VGG16ILSVRC" for of in ("0_1", "0_25", "0_5")}
    assert all(parse(name).family == "lrp" for name in lrp_names())


def test_a_reference_is_asked_where_it_is_right(tmp_path: Path) -> None:
    source, _ = written(
        tmp_path, [6, 6, 3], conv("f", "x"), normalization("bn", "f"), flatten("bn"), dense("o", "flat")
    )
    module = keras.load(source.path)
    assert ask(module, "lrp_z") == ReferenceCall("signxai", "wrapper", "lrp_z")
    assert ask(module, "lrp.z").backend == "signxai"  # innvestigate squares the variance
    for method in ("zblrp_z_VGG16ILSVRC", "innvestigate.smoothgrad", "deep_lift", "deep_taylor"):
        with pytest.raises(NotInReferenceError, match=f"no reference is right about {method} on this very model"):
            ask(module, method)
    source, _ = written(
        tmp_path, [6, 6, 3], conv("f", "x"), normalization("bn", "f", center=False), flatten("bn"), dense("o", "flat")
    )
    with pytest.raises(NotInReferenceError, match="no reference is right about lrp_z"):
        ask(keras.load(source.path), "lrp_z")


def test_a_network_that_is_no_keras_model_has_no_reference() -> None:
    with pytest.raises(NotInReferenceError, match="no Keras model"):
        ask(load("toy").module, "lrp_z")
