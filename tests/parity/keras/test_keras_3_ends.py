"""Inputs and outputs of models of Keras 3: under which names, and which of several calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity.keras

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", minversion="3.0", reason="Keras 3 is not installed (extra dev)")
L = keras.layers
CLOSE = 1e-5


def _filled(model: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=values.shape) * 0.5 for values in model.get_weights()])
    return model


def _both_calls(inner: Any) -> Any:
    x = L.Input((5,))
    first = inner(x)
    return keras.Model(x, [L.Dense(2, name="head")(inner(L.Dense(5)(first))), first])


def _twice(inner: Any) -> Any:
    x = L.Input((5,))
    return keras.Model(x, inner(L.Dense(5)(inner(x))))


def _inner() -> Any:
    x = L.Input((5,))
    return keras.Model(x, L.Dense(5, activation="tanh")(x), name="inner")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind", [_inner, lambda: L.Dense(5, name="inner")])
def test_a_call_of_a_model_that_is_an_output(kind: Callable[[], Any], suffix: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    for build, output in ((_both_calls, "inner"), (_both_calls, "head"), (_twice, None)):
        model = _filled(build(kind()), 1)
        path = tmp_path / f"model{suffix}"
        model.save(path)
        expected = model.predict(values, verbose=0)
        expected = expected if output is None else expected[0 if output == "head" else 1]
        found = parity.keras.load(path, output=output).logits(values)
        assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_inputs_under_the_names_that_the_model_takes_them(suffix: str, tmp_path: Path) -> None:
    a, b = L.Input((4,), name="a"), L.Input((4,), name="b")
    model = _filled(keras.Model({"b": a, "a": b}, L.Dense(3)(L.Subtract()([a, L.Dense(4)(b)]))), 2)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(3, 4)).astype(np.float32) for name in ("a", "b")}
    expected = model.predict(values, verbose=0)
    module = parity.keras.load(path)
    found = module(*module.to_torch(values)).numpy()
    assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max()


def test_one_output_named_twice_is_that_output(tmp_path: Path) -> None:
    x = L.Input((5,))
    y = L.Dense(3)(x)
    path = tmp_path / "model.keras"
    keras.Model(x, [y, y]).save(path)
    assert parity.keras.load(path).description.output == y._keras_history[0].name


@pytest.mark.parametrize("softmax", [L.Softmax(), L.Activation("softmax"), keras.ops.softmax])
def test_a_last_softmax_is_taken_off_also_where_it_is_no_layer(softmax: Callable[[Any], Any], tmp_path: Path) -> None:
    x = L.Input((5,))
    y = L.Dense(3)(x)
    model = _filled(keras.Model(x, softmax(y)), 3)
    model.save(tmp_path / "model.keras")
    values = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    expected = keras.Model(x, y).predict(values, verbose=0)
    module = parity.keras.load(tmp_path / "model.keras")
    assert module.description.removed_softmax
    assert np.abs(module.logits(values) - expected).max() <= CLOSE * np.abs(expected).max()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_outputs_go_by_the_names_that_the_model_returns_them_under(suffix: str, tmp_path: Path) -> None:
    x = L.Input((5,))
    model = _filled(keras.Model(x, {"later": L.Dense(3, name="b")(x), "first": L.Dense(2, name="a")(x)}), 4)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    values = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    expected = model.predict(values, verbose=0)
    for key, name in (("later", "b"), ("first", "a")):
        for output in (key, name):
            found = parity.keras.load(path, output=output).logits(values)
            assert np.abs(found - expected[key]).max() <= CLOSE
