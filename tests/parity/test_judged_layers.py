"""Every kind of layer: both sides on a small network around it, in float64, both references asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras.augmentations import UNKNOWN_TO_KERAS_2
from parity.keras.handlers.table import HANDLERS
from parity.keras.network import write_network
from parity.reference.client import ReferenceClient
from parity.run.cases import Plan
from parity.run.runner import Runner
from parity.run.subjects import subject
from tests.parity.judged import ROWS
from tests.parity.judged.registry import METHODS
from tests.reference_client import client_for_small_models

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceClient]:
    with client_for_small_models(tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.mark.parametrize("name", ROWS)
def test_layer(name: str, client: ReferenceClient, tmp_path: Path) -> None:
    row = ROWS[name]
    rng = np.random.default_rng([len(name), *name.encode()])
    path = tmp_path / f"{name}.h5"
    write_network(row.network(rng), path)
    source = ModelSource(name, path, None, file_sha256(path), "none", "", "a network around one layer")
    x = rng.normal(size=row.shape).astype(np.float32)
    x = x if row.sample is None else row.sample(x)
    plan = Plan(source, (Input("x", x, array_sha256(x), None, None),), METHODS, frozenset(METHODS), frozenset())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of input rules that no layer uses, as in the references
        rows = [outcome.row for outcome in Runner(plan, client, subject("signxai_torch")).run()]
    found = {one["method"]: (one["status"], one["message"]) for one in rows}
    wrong = {one: found[one] for one in METHODS if found[one][0] != row.verdict(one)}
    assert not wrong


def test_every_layer_of_keras_2_has_a_row() -> None:
    judged = {layer.class_name for row in ROWS.values() for layer in row.network(np.random.default_rng(0))}
    assert set(HANDLERS) - judged == set(UNKNOWN_TO_KERAS_2), "add a network to tests/parity/judged"
