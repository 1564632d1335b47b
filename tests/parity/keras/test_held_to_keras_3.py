"""What Keras 3 itself makes of a file, in a process of its own, and what is held to it."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity.keras
from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras.functions import reducing, table
from parity.keras.network import softmax_of
from parity.reference.keras_3 import Keras3Error, logits_of_keras_3
from parity.reference.keras_3_process import for_logits
from parity.run.cases import Plan
from parity.run.runner import Runner
from parity.run.subjects import subject
from tests.parity.echo_client import EchoClient

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", minversion="3.0", reason="Keras 3 is not installed (extra dev)")
L, ops = keras.layers, keras.ops


def _inner() -> Any:
    x = L.Input((4, 3))
    return keras.Model(x, L.Dense(2, activation="softmax", name="last")(L.Flatten()(x)), name="inner")


def _two_of_each() -> Any:
    a, b = L.Input((4, 3), name="a"), L.Input((5,), name="b")
    joined = L.Concatenate()([L.Flatten()(a), b])
    first, second = L.Dense(3, name="first")(joined), L.Dense(2, activation="softmax", name="second")(joined)
    return keras.Model({"b": b, "a": a}, [first, second])


def _saved(model: Any, path: Path) -> Path:
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=values.shape) for values in model.get_weights()])
    model.save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_softmax_inside_of_a_model_is_left_out(suffix: str, tmp_path: Path) -> None:
    x = L.Input((4, 3))
    module = parity.keras.load(_saved(keras.Model(x, _inner()(x)), tmp_path / f"model{suffix}"))
    softmax = softmax_of(module.description)
    assert softmax == "inner/last"
    values = np.random.default_rng(1).normal(size=(2, 4, 3)).astype(np.float32)
    answer = logits_of_keras_3(tmp_path / f"model{suffix}", [values], softmax=softmax)
    assert answer.version == keras.__version__
    np.testing.assert_allclose(answer.values, module.logits(values), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_inputs_by_name_and_one_output_of_two(tmp_path: Path) -> None:
    path = _saved(_two_of_each(), tmp_path / "model.keras")
    module = parity.keras.load(path, output="second")
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=(2, *shape)).astype(np.float32) for name, shape in module.description.inputs}
    keys = module.description.keys
    answer = logits_of_keras_3(path, [values[name] for name in keys], keys, "second", "second")
    np.testing.assert_allclose(answer.values, module(*module.to_torch(values)).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_an_operation_spelled_wrongly_on_both_sides_is_a_mismatch(
    wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EchoClient, "wrong", frozenset())
    x = L.Input((6, 3))
    path = _saved(keras.Model(x, L.Dense(2)(ops.mean(L.Dense(4)(x), axis=1))), tmp_path / "model.keras")
    if wrong:
        names, _ = table._FUNCTIONS["ops.Mean"]
        monkeypatch.setitem(table._FUNCTIONS, "ops.Mean", (names, reducing.reduced("Max")))
    source = ModelSource("model", path, None, file_sha256(path), "none", "", "a file of Keras 3")
    values = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    sample = Input("x", values, array_sha256(values), None, None)
    plan = Plan(source, (sample,), ("gradient",), frozenset(["gradient"]), frozenset())
    runner = Runner(plan, EchoClient(), subject("signxai_torch"))
    (row,) = [outcome.row for outcome in runner.run()]
    assert "of those of the file by Keras 3" in str(runner.facts.reference_network)
    assert (row["status"], row["failed_check"]) == (("mismatch", "logits") if wrong else ("parity", None))


@pytest.mark.slow
def test_what_keras_3_cannot_run_is_told(tmp_path: Path) -> None:
    x = L.Input((4,))
    path = _saved(keras.Model(x, L.Dense(2)(x)), tmp_path / "model.keras")
    with pytest.raises(Keras3Error, match="cannot run it: ValueError"):
        logits_of_keras_3(path, [np.zeros((1, 5), np.float32)])


def test_where_keras_3_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(Keras3Error, match="not installed here"):
        logits_of_keras_3(Path("model.keras"), [])


def _config(**dense: Any) -> dict[str, Any]:
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "activation": "softmax"} | dense}
    return {"module": "keras", "class_name": "Functional", "config": {"name": "m", "layers": [layer]}}


def test_only_keras_own_classes_are_loaded() -> None:
    foreign = {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}}
    with pytest.raises(ValueError, match="'subprocess', which is not of Keras"):
        for_logits(_config(activation=foreign), None)
    for name in ("Lambda", "TorchModuleWrapper", "__lambda__"):
        with pytest.raises(ValueError, match=f"a {name}, which may hold code"):
            for_logits(_config(activation={"module": "keras.layers", "class_name": name, "config": {}}), None)


def test_what_only_training_needs_is_not_loaded() -> None:
    foreign = {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}}
    told = {"kernel_initializer": foreign, "bias_regularizer": foreign, "kernel_constraint": foreign}
    (layer,) = for_logits(_config(**told), None)["config"]["layers"]
    assert [layer["config"][name] for name in told] == ["zeros", None, None]


def test_what_rounds_is_in_float32() -> None:
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
    (layer,) = for_logits(_config(dtype=policy), "d")["config"]["layers"]
    assert layer["config"]["dtype"]["config"]["name"] == "float32"
    assert layer["config"]["activation"] == "linear"
    (layer,) = for_logits(_config(dtype="float16"), None)["config"]["layers"]
    assert (layer["config"]["dtype"], layer["config"]["activation"]) == ("float32", "softmax")
