"""Layers that are spelled as others: their logits are those of Keras 3, and what cannot be spelled is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import parity.keras

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", minversion="3.0", reason="Keras 3 is not installed (extra dev)")
L, ops = keras.layers, keras.ops
SUFFIXES = (".keras", ".h5")
EQUATIONS: dict[str, tuple[tuple[int, ...], Any, str | None, str | None]] = {
    "ab,bc->ac": ((5,), 4, "c", "tanh"),
    "...x,xy->...y": ((6, 5), 4, "y", None),
    "abc,dc->abd": ((6, 5), (None, 4), "d", "softmax"),
    "abc,cde->abde": ((6, 5), (6, 2, 4), "de", "relu"),
    "abc,ced->abde": ((6, 5), (6, 2, 4), "d", "softmax"),
    "abcd,dce->abe": ((6, 5, 2), (6, 4), "e", "gelu"),
    "abc,bd->adc": ((6, 5), (4, 5), None, "relu"),
    "abc,cde->aebd": ((6, 5), (4, 6, 2), "e", "softmax"),
    "abc,c->ab": ((6, 5), (6,), None, None),
}
"""By equation: shape of the input, `output_shape`, `bias_axes`, activation."""


def einsum(equation: str, shape: tuple[int, ...], made: Any, bias_axes: str | None, activation: str | None) -> Any:
    x = L.Input(shape)
    y = L.EinsumDense(equation, output_shape=made, bias_axes=bias_axes, activation=activation)(x)
    return keras.Model(x, y)


def spectral(*frozen: str) -> Any:
    x = L.Input((6, 5, 2))
    outer = L.SpectralNormalization(L.Conv2D(4, 3, activation="relu"), power_iterations=2)
    y = outer(x)
    outer.trainable, outer.layer.trainable = "outer" not in frozen, "inner" not in frozen
    return keras.Model(x, L.SpectralNormalization(L.Dense(3, use_bias=False))(L.Flatten()(y)))


def grouped(masked: bool = False, causal: bool = False, **settings: Any) -> Any:
    x = L.Input((6, 5))
    y = L.Masking()(x) if masked else x
    attention = L.GroupQueryAttention(head_dim=3, num_query_heads=4, num_key_value_heads=2, **settings)
    y = attention(y, y, use_causal_mask=causal)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


def masked_series(layer: Any) -> Any:
    x = L.Input((6, 5))
    return keras.Model(x, L.GlobalAveragePooling1D()(layer(L.Masking()(x))))


def called_twice() -> Any:
    layer, x = L.EinsumDense("abc,cde->abde", output_shape=(6, 1, 5), bias_axes="e", activation="tanh"), L.Input((6, 5))
    row = L.Reshape((6, 5))
    return keras.Model(x, row(layer(row(layer(x)))))


def inside_of_a_model() -> Any:
    inner = L.Input((6, 5))
    y = L.EinsumDense("abc,cd->abd", output_shape=(6, 4), activation="hard_silu")(L.RMSNormalization(axis=2)(inner))
    x = L.Input((6, 5))
    return keras.Model(x, L.Flatten()(keras.Model(inner, y)(x)))


def root_mean_square(*shape: int) -> Any:
    x = L.Input(shape)
    return keras.Model(x, L.RMSNormalization(epsilon=1e-3)(L.Dense(4)(x)))


MODELS: dict[str, Callable[[], Any]] = {
    **{equation: lambda row=(equation, *row): einsum(*row) for equation, row in EQUATIONS.items()},
    "einsum: called twice": called_twice,
    "einsum: masked": lambda: masked_series(L.EinsumDense("abc,cd->abd", output_shape=(6, 4), bias_axes="d")),
    "inside of a model": inside_of_a_model,
    "spectral": spectral,
    "spectral: frozen": lambda: spectral("outer"),
    "spectral: frozen inside": lambda: spectral("inner"),
    "spectral: an activation of Keras 3": lambda: keras.Sequential(
        [
            L.Input((6, 5)),
            L.SpectralNormalization(L.Conv1D(4, 2, activation="hard_sigmoid")),
            L.Flatten(),
            L.SpectralNormalization(L.Dense(3, activation="mish")),
        ]
    ),
    "grouped": grouped,
    "grouped: causal": lambda: grouped(causal=True, use_bias=False),
    "grouped: masked": lambda: grouped(masked=True),
    "root mean square": lambda: root_mean_square(6),
    "root mean square: series": lambda: root_mean_square(6, 5),
    "root mean square: pictures": lambda: root_mean_square(6, 5, 2),
}


def save(model: Any, path: Path) -> Path:
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=values.shape) * 0.5 for values in model.get_weights()])
    model.save(path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")  # of masks that end
def test_logits_are_those_of_keras(name: str, suffix: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    path = save(model, tmp_path / f"model{suffix}")
    x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    if "masked" in name:
        x[0, -2:] = 0
    with torch.no_grad():
        expected = model(torch.from_numpy(x)).detach().cpu().numpy()
    module = parity.keras.load(path, dtype=torch.float64)
    logits = module(module.to_torch(x))
    if "softmax" in str(EQUATIONS.get(name)):  # which the converter takes off
        logits = logits.softmax(-1)
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert "layers as others that compute the same" in module.description.spelled


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "tokens, which Keras rounds vectors to": (
        lambda: keras.Sequential([L.Input((6,), dtype="int32"), L.SpectralNormalization(L.Embedding(7, 3))]),
        "casts vectors to the whole numbers"),
    "a mask that goes on to an activation of Keras 3": (
        lambda: keras.Sequential([L.Input((6, 5)), L.Masking(), L.SpectralNormalization(L.Dense(4)),
                                  L.Dense(3, activation="hard_silu")]),
        "not supported on a sequence with a mask|tells it another mask"),
    "a mask that goes through a wrapper": (
        lambda: masked_series(L.SpectralNormalization(L.Dense(3))), "the file tells it another mask"),
    "a kernel for each step": (lambda: einsum("abc,bcd->abd", (6, 5), (6, 4), None, None), "the same kernel"),
    "a bias for each step": (lambda: einsum("abc,cd->abd", (6, 5), (6, 4), "bd", None), "'bias_axes' is 'bd'"),
    "a number without an axis": (lambda: einsum("abc,cb->a", (6, 5), (), None, None), "one number of a sample"),
    "axes that the equation leaves open": (
        lambda: einsum("...x,xyz->...yz", (6, 5), (6, 2, 2), None, None), "leaves others open"),
    "a gate": (lambda: grouped(use_gate=True), "'use_gate' is not supported"),
    "steps that are near": (lambda: grouped(sliding_window=2), "'sliding_window' is not supported"),
    "lengths along other axes": (
        lambda: keras.Sequential([L.Input((6, 5)), L.RMSNormalization(axis=(1, 2))]), "or -1, is supported"),
    "a layer of another kind at every step": (
        lambda: keras.Sequential([L.Input((6, 5)), L.TimeDistributed(L.EinsumDense("ab,bc->ac", output_shape=4))]),
        "EinsumDense, which is not supported inside of another layer"),
    "a layer of another kind that is normalised": (
        lambda: keras.Sequential([L.Input((5,)), L.SpectralNormalization(L.EinsumDense("ab,bc->ac", output_shape=4))]),
        "EinsumDense, which is not supported inside of another layer"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_spelled_is_refused(case: str, suffix: str, tmp_path: Path) -> None:
    build, sentence = REFUSED[case]
    path = save(build(), tmp_path / f"model{suffix}")
    with pytest.raises(parity.keras.ConversionError, match=sentence):
        parity.keras.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.EinsumDense("ab,cb->ac", output_shape=5),
        lambda: L.RMSNormalization(),
        lambda: L.SpectralNormalization(L.Dense(5)),
    ],
)
def test_a_layer_whose_first_call_belongs_to_another_output(
    layer: Callable[[], Any], suffix: str, tmp_path: Path
) -> None:
    x, shared = L.Input((5,)), layer()
    first = L.Dense(3, name="first")(shared(x))
    second = L.Dense(3, name="second")(shared(L.Dense(5)(x)))
    path = save(keras.Model(x, [first, second]), tmp_path / f"model{suffix}")
    values = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    with torch.no_grad():
        expected = keras.models.load_model(path, compile=False)(torch.from_numpy(values))[1].cpu().numpy()
    module = parity.keras.load(path, dtype=torch.float64, output="second")
    np.testing.assert_allclose(module.logits(values), expected, rtol=1e-5, atol=1e-6)


def _changed(path: Path, name: str, values: np.ndarray | None, **settings: Any) -> None:
    """Damage a file: other values of a tensor, other settings of its layer."""
    with h5py.File(path, "r+") as file:
        if values is not None:
            paths: list[str] = []
            file.visit(lambda path: paths.append(path) if path.endswith(name) else None)
            del file[paths[0]]
            file[paths[0]] = values
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"] |= settings
        file.attrs["model_config"] = json.dumps(config)


@pytest.mark.parametrize(
    ("values", "settings"),
    [
        (np.ones((5, 2)), {}),
        (np.ones(()), {}),
        (np.ones((5, 0, 3)), {}),
        (None, {"bias_axes": ["e"]}),
        (None, {"bias_axes": 1}),
        (None, {"output_shape": ["x", 2, 3]}),
        (None, {"output_shape": [True, 2, 3]}),
        (None, {"equation": 7}),
    ],
)
def test_a_damaged_equation_is_refused(values: np.ndarray | None, settings: dict[str, Any], tmp_path: Path) -> None:
    model = einsum("abc,cde->abde", (6, 5), (6, 2, 3), "e", None)
    path = save(model, tmp_path / "model.h5")
    _changed(path, "kernel", values, **settings)
    with pytest.raises(parity.keras.ConversionError):
        parity.keras.load(path)


@pytest.mark.parametrize("values", [np.ones((5, 1)), np.ones(()), np.ones(0)])
def test_a_damaged_scale_is_refused(values: np.ndarray, tmp_path: Path) -> None:
    path = save(keras.Sequential([L.Input((6, 5)), L.RMSNormalization()]), tmp_path / "model.h5")
    _changed(path, "scale", values)
    with pytest.raises(parity.keras.ConversionError):
        parity.keras.load(path)


BOUNDS = (-3.0, -0.1, 0.0, 0.1, 0.25, 3.0, 1e-7, -40.0, 1e30)


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("function", [ops.maximum, ops.minimum])
def test_a_number_that_bounds_values(function: Any, bound: float, tmp_path: Path) -> None:
    x = L.Input((6, 5))
    _same(keras.Model(x, L.Dense(3)(L.Flatten()(function(x, bound)))), tmp_path)


@pytest.mark.parametrize(("low", "high"), [pair for pair in product(BOUNDS, BOUNDS) if pair[0] < pair[1]])
def test_an_interval_that_values_are_cut_to(low: float, high: float, tmp_path: Path) -> None:
    x = L.Input((6, 5))
    _same(keras.Model(x, L.Dense(3)(L.Flatten()(ops.clip(x, low, high)))), tmp_path)


def test_a_bound_that_would_cost_digits_is_refused(tmp_path: Path) -> None:
    x = L.Input((6, 5))
    path = save(keras.Model(x, L.Dense(3)(L.Flatten()(ops.clip(x, -1e9, 1.0)))), tmp_path / "model.keras")
    with pytest.raises(parity.keras.ConversionError, match="lose digits"):
        parity.keras.load(path)


def _same(model: Any, folder: Path) -> None:
    path = save(model, folder / "model.keras")
    values = np.random.default_rng(0).normal(size=(4, 6, 5)).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(values)).cpu().numpy()
    for dtype in (torch.float32, torch.float64):
        logits = parity.keras.load(path, dtype=dtype).logits(values)
        assert np.linalg.norm(logits - expected) <= 1e-5 * np.linalg.norm(expected)
