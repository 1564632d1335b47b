"""A file whose bare operations are spelled as layers is held to what TensorFlow itself makes of that file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras.functions import reducing, table
from parity.reference.client import ReferenceClient
from parity.reference.request import ReferenceRequest
from parity.run.cases import Plan
from parity.run.reference_side import FILE_LOGITS
from parity.run.runner import Runner
from parity.run.subjects import subject
from tests.reference_client import client_for_small_models

pytestmark = pytest.mark.reference

IN_FLOAT64 = ["functions_without_a_layer", "deviations_and_lengths", "heads_by_hand", "margins_and_rolls"]
IN_FLOAT32 = ["arithmetic", "grey_image_for_colours", "bounds_and_patches"]  # TensorFlow has no other way for these
MISTAKES = {
    "pooled_by_functions": ("math.reduce_sum", reducing.reduced("Average")),
    "deviations_and_lengths": ("math.reduce_std", table.statistics.variance),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceClient]:
    with client_for_small_models(tmp_path_factory.mktemp("store")) as client:
        yield client


def _source(path: Path) -> ModelSource:
    return ModelSource(path.stem, path, None, file_sha256(path), "none", "", "a network of bare operations")


def _run(truth: Path, name: str, client: ReferenceClient) -> tuple[str, list[dict[str, Any]]]:
    with np.load(truth / f"{name}.npz") as stored:
        x = stored["x"][0]
    sample = Input("x", x, array_sha256(x), None, None)
    plan = Plan(_source(truth / f"{name}.h5"), (sample,), ("gradient",), frozenset(["gradient"]), frozenset())
    runner = Runner(plan, client, subject("signxai_torch"))
    rows = [outcome.row for outcome in runner.run()]
    return str(runner.facts.reference_network), rows


@pytest.mark.parametrize("name", [*IN_FLOAT64, *IN_FLOAT32])
def test_the_file_itself_is_read(truth: Path, name: str, client: ReferenceClient) -> None:
    network, rows = _run(truth, name, client)
    assert network.endswith(f"of the file by TensorFlow in {'float64' if name in IN_FLOAT64 else 'float32'}")
    assert {row["failed_check"] for row in rows} == {None}


@pytest.mark.parametrize("name", MISTAKES)
def test_an_operation_spelled_wrongly_on_both_sides_is_a_mismatch(
    truth: Path, name: str, client: ReferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, wrong = MISTAKES[name]
    monkeypatch.setitem(table._FUNCTIONS, function, (table._FUNCTIONS[function][0], wrong))
    _, rows = _run(truth, name, client)
    assert {(row["status"], row["failed_check"]) for row in rows} == {("mismatch", "logits")}
    assert all("not that of the file" in row["message"] for row in rows)


@pytest.mark.parametrize(
    "function",
    ["io.write_file", "io.read_file", "py_function", "raw_ops.PyFunc", "keras.activations.deserialize",
     "keras.backend.clear_session", "image.random_flip_left_right", "nn.dropout", "nn.fractional_max_pool",
     "image.decode_png", "compat.v1.placeholder", "raw_ops.Add", "image.sample_distorted_bounding_box",
     "print", "Variable", "no.such.function"],
)  # fmt: skip
def test_what_does_more_than_compute_is_never_called(
    truth: Path, function: str, client: ReferenceClient, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes((truth / "pooled_by_functions.h5").read_bytes())
    with h5py.File(path, "r+", locking=False) as file:
        config = json.loads(file.attrs["model_config"])
        operation = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "TFOpLambda")
        operation["config"]["function"] = function
        file.attrs["model_config"] = json.dumps(config)
    with np.load(truth / "pooled_by_functions.npz") as stored:
        x = stored["x"][0]
    (answer,) = client.answer(ReferenceRequest(_source(path), (x,), (0,), FILE_LOGITS))
    assert answer.array is None
    assert "holds code, which is never run here" in str(answer.error)
