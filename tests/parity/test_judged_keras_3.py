"""Files of Keras 3: what is written of them for the references is what these can read, and they find the same maps."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity.keras
from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.reference import keras_3_process
from parity.reference.client import ReferenceClient
from parity.reference.keras_3 import Logits
from parity.run.cases import Plan
from parity.run.runner import Runner
from parity.run.subjects import subject
from tests.reference_client import client_for_small_models

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", minversion="3.0", reason="Keras 3 is not installed (extra dev)")
from tests.parity.keras.keras_3_models import JUDGED, saved  # noqa: E402

pytestmark = pytest.mark.reference
METHODS = ("gradient", "lrp_z", "lrp.alpha_2_beta_1")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceClient]:
    with client_for_small_models(tmp_path_factory.mktemp("store")) as client:
        yield client


def of_keras_here(path: Path, inputs: Sequence[Any], *told: Any) -> Logits:
    """Return what Keras 3 makes of a file, in this process: one that starts for each file takes minutes in all."""
    folder = path.parent
    np.savez(folder / "inputs.npz", *inputs)
    keys = ("keys", "output", "softmax")
    files = {"path": str(path), "inputs": str(folder / "inputs.npz"), "outputs": str(folder / "outputs.npz")}
    keras_3_process.main(files | dict(zip(keys, told, strict=True)))
    with np.load(folder / "outputs.npz") as stored:
        return Logits(stored["logits"], str(stored["version"]))


@pytest.mark.parametrize("name", JUDGED)
def test_a_file_of_keras_3(name: str, client: ReferenceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parity.run.file_logits.logits_of_keras_3", of_keras_here)
    path, shape = saved(name, tmp_path)
    source = ModelSource(name, path, None, file_sha256(path), "none", "", "a file of Keras 3")
    assert parity.keras.load(path).description.input_shape == shape
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    plan = Plan(source, (Input("x", x, array_sha256(x), None, None),), METHODS, frozenset(METHODS), frozenset())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of input rules that no layer uses, as in the references
        runner = Runner(plan, client, subject("signxai_torch"))
        rows = [outcome.row for outcome in runner.run()]
    assert f"by Keras {keras.__version__} in float32" in str(runner.facts.reference_network)
    found = {row["method"]: (row["status"], row["message"]) for row in rows}
    assert {status for status, _ in found.values()} <= {"parity", "reference-defect", "unsupported"}, found
    assert found["gradient"][0] in ("parity", "reference-defect"), found
