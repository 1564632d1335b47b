"""Cells of Keras 3 with functions that Keras 2.12 computes otherwise: the port follows Keras 3, and the file that is
written for the references says the same in the words of Keras 2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import parity.keras
from parity.keras.network import read_network, write_network

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", minversion="3.0", reason="Keras 3 is not installed (extra dev)")
L = keras.layers
GATE = {"recurrent_activation": "hard_sigmoid"}
BOTH = {"activation": "hard_sigmoid", **GATE}


def _stacked() -> Any:
    return L.RNN([L.LSTMCell(3, **GATE), L.GRUCell(4, **BOTH), L.SimpleRNNCell(2)])


def _each_step() -> Any:
    return L.TimeDistributed(keras.Sequential([L.Input((3, 2)), L.GRU(3, **GATE)]))


SERIES: dict[str, Callable[[], Any]] = {
    "LSTM": lambda: L.LSTM(4, **GATE),
    "GRU": lambda: L.GRU(4, **BOTH),
    "GRU without reset_after": lambda: L.GRU(4, reset_after=False, **BOTH),
    "SimpleRNN": lambda: L.SimpleRNN(4, activation="hard_sigmoid", use_bias=False),
    "Bidirectional": lambda: L.Bidirectional(L.GRU(3, **GATE), backward_layer=L.LSTM(3, go_backwards=True, **GATE)),
    "RNN": _stacked,
}
PICTURES: dict[str, Callable[[], Any]] = {
    "ConvLSTM1D": lambda: L.ConvLSTM1D(3, 2, **GATE),
    "TimeDistributed": lambda: L.TimeDistributed(L.LSTM(3, **GATE)),
    "TimeDistributed model": _each_step,
    "TimeDistributed Dense": lambda: L.TimeDistributed(L.Dense(3, activation="hard_silu")),
}


@pytest.mark.parametrize(
    ("shape", "name"), [((5, 4), name) for name in SERIES] + [((5, 3, 2), name) for name in PICTURES]
)
def test_a_cell_with_hard_sigmoid(shape: tuple[int, ...], name: str, tmp_path: Path) -> None:
    layer = {**SERIES, **PICTURES}[name]()
    x = L.Input(shape)
    model = keras.Model(x, L.Dense(3)(L.Flatten()(layer(x))))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=values.shape) for values in model.get_weights()])
    path, again = tmp_path / "model.keras", tmp_path / "again.h5"
    model.save(path)
    series = 2 * rng.normal(size=(4, *shape)).astype(np.float32)
    expected = model.predict(series, verbose=0)
    port = parity.keras.load(path, dtype=torch.float64)
    ours = port.logits(series)
    assert np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()
    write_network(read_network(path, None, port.description), again)
    of_keras_2 = parity.keras.load(again, dtype=torch.float64).logits(series)
    assert np.abs(ours - of_keras_2).max() <= 1e-13 * np.abs(ours).max()


def _pictures_one_by_one() -> Any:
    """Return what runs at every step of a video: convolutions, some of them in a model of their own."""
    inside = keras.Sequential([L.Input((4, 3, 4)), L.Conv2D(3, 2), L.BatchNormalization(), L.ReLU()])
    return keras.Sequential([
        L.Input((6, 5, 2)), L.Conv2D(3, 2, activation="relu"), L.BatchNormalization(), L.Conv2D(4, 2), inside,
        L.Flatten(), L.Dense(5, activation="tanh"), L.Dense(3),
    ])  # fmt: skip


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_a_video(suffix: str, tmp_path: Path) -> None:
    x = L.Input((3, 6, 5, 2))
    y = L.Dense(4)(L.TimeDistributed(_pictures_one_by_one())(x))
    model = keras.Model(x, L.Dense(3)(L.LSTM(4)(L.TimeDistributed(L.Dense(3))(y))))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1, values.shape) * rng.choice([-1, 1], values.shape) if values.ndim > 1 else
                       rng.uniform(0.2, 1, values.shape) for values in model.get_weights()])  # fmt: skip
    path = tmp_path / f"model{suffix}"
    if suffix == ".weights.h5":
        model.save_weights(path)
        (tmp_path / "model.json").write_text(model.to_json(), encoding="utf-8")
    else:
        model.save(path)
    videos = rng.normal(size=(2, 3, 6, 5, 2)).astype(np.float32)
    expected = model.predict(videos, verbose=0)
    assert np.abs(parity.keras.load(path).logits(videos) - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda: L.LSTM(4, activation="hard_sigmoid"), "hard_sigmoid"),
        (lambda: L.GRU(4, activation="mish"), "mish"),
        (lambda: L.Bidirectional(L.LSTM(4, recurrent_activation="hard_silu")), "hard_silu"),
    ],
)
def test_a_function_in_a_cell_that_no_reference_has_is_refused(
    layer: Callable[[], Any], name: str, tmp_path: Path
) -> None:
    x = L.Input((5, 4))
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(3)(layer()(x))).save(path)
    with pytest.raises(parity.keras.ConversionError, match=f"has '{name}' in its cell, which Keras 2.12"):
        parity.keras.load(path)


def test_such_a_function_in_a_model_at_every_step_is_refused(tmp_path: Path) -> None:
    x = L.Input((5, 4))
    inner = keras.Sequential([L.Input((4,)), L.Dense(3, activation="hard_tanh", name="bent")])
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(3)(L.Flatten()(L.TimeDistributed(inner)(x)))).save(path)
    with pytest.raises(
        parity.keras.ConversionError, match=r"'bent', inside of 'time_distributed.*', has .* 'hard_tanh'"
    ):
        parity.keras.load(path)


def _pooled(x: Any) -> Any:
    return L.GlobalAveragePooling1D()(L.Masking()(x))


@pytest.mark.parametrize(
    "read",
    [
        lambda x: L.LSTM(4)(L.Masking()(x)),
        lambda x: L.Bidirectional(L.GRU(4))(L.Masking()(x)),
        lambda x: L.Flatten()(L.Conv1D(3, 2)(x)),
        _pooled,
    ],
)
def test_such_a_function_behind_what_ends_masks(read: Callable[[Any], Any], tmp_path: Path) -> None:
    x = L.Input((5, 4))
    masked = L.LSTM(2)(L.Masking()(x))
    y = L.Dense(3, activation="hard_silu")(L.Concatenate()([read(x), masked]))
    model = keras.Model(x, L.Dense(3)(y))
    path = tmp_path / "model.keras"
    model.save(path)
    series = np.random.default_rng(0).normal(size=(4, 5, 4)).astype(np.float32)
    series[:, 3:] = 0
    expected = model.predict(series, verbose=0)
    assert np.abs(parity.keras.load(path).logits(series) - expected).max() <= 1e-5 * np.abs(expected).max()
