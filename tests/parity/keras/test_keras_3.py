"""Models that Keras 3 builds and saves, on its torch backend: the port's logits are Keras' own.

The recipes come from Keras 2.12 (`tests.parity.keras.recipes`); here are what Keras 3 writes otherwise: its own file
format, calls with arguments by name, and functions of `keras.ops` as layers.
"""

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
L, ops = keras.layers, keras.ops

CLOSE = 1e-5
"""Of the largest logit, in float32: Keras 3 multiplies matrices in float32 also where floatx is float64."""
BUILT: dict[str, Callable[[], Any]] = {}


def built(build: Callable[[], Any]) -> Callable[[], Any]:
    BUILT[build.__name__] = build
    return build


@built
def convolutions() -> Any:
    layers = [
        L.Input((9, 8, 3)), L.Rescaling(0.5, offset=-0.25), L.RandomFlip(), L.Conv2D(4, 3, padding="same"),
        L.BatchNormalization(), L.ReLU(max_value=3.0), L.SeparableConv2D(5, 3), L.LeakyReLU(negative_slope=0.2),
        L.MaxPooling2D(), L.DepthwiseConv2D(2), L.Activation("gelu"), L.Dropout(0.5), L.GlobalAveragePooling2D(),
        L.Dense(3, activation="softmax"),
    ]  # fmt: skip
    return keras.Sequential(layers)


@built
def transfer_learning() -> Any:
    inner = keras.Sequential([L.Input((7, 6, 2)), L.Conv2D(4, 2, activation="relu"), L.LayerNormalization()])
    x = L.Input((7, 6, 2))
    y = inner(x * 2.0 - 1.0, training=False)
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@built
def shared_layer() -> Any:
    a, b = L.Input((5,)), L.Input((5,))
    embed = L.Dense(4, activation="relu")
    return keras.Model([a, b], L.Dense(3)(L.Concatenate()([embed(a), embed(b)])))


@built
def outputs_and_inputs_by_name() -> Any:
    """Keras numbers them in the order of their names."""
    start = L.Input((4,))
    inner = keras.Model(start, {"z": L.Dense(3)(start), "a": L.Dense(3)(start)})
    first, second = L.Input((4,), name="second"), L.Input((4,), name="first")
    read = inner(first)
    return keras.Model({"b": first, "a": second}, L.Dense(3)(read["z"] - read["a"] * L.Dense(3)(second)))


@built
def model_of_a_list() -> Any:
    a, b, x = L.Input((4,)), L.Input((4,)), L.Input((4,))
    return keras.Model(x, L.Dense(3)(keras.Model([a, b], L.Subtract()([a, b]))([x, x * 2.0])))


@built
def recurrent() -> Any:
    x = L.Input((7, 3))
    y = L.Bidirectional(L.LSTM(4, return_sequences=True))(L.Masking()(x))
    return keras.Model(x, L.Dense(3)(L.GRU(3)(y)))


@built
def text_with_a_mask() -> Any:
    x = L.Input((7,))
    y = L.Embedding(9, 4, mask_zero=True)(x)
    y = L.Add()([y, L.Dense(4)(y)])
    y = L.Concatenate()([y, L.Bidirectional(L.GRU(3, return_sequences=True))(y)])
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


@built
def attention_with_masks() -> Any:
    x = L.Input((7, 3))
    read = L.Masking()(x)
    query, value = L.Dense(4)(read), L.Dense(4)(read)
    parts = [L.Attention()([query, value]), L.MultiHeadAttention(2, 3)(query, value)]
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Concatenate()(parts))))


@built
def states() -> Any:
    x = L.Input((7, 3))
    steps, state, _ = L.LSTM(4, return_sequences=True, return_state=True)(x)
    return keras.Model(x, L.Dense(3)(L.Concatenate()([ops.mean(steps, axis=1), state])))


@built
def attention() -> Any:
    x = L.Input((5, 4))
    y = L.MultiHeadAttention(2, 3)(query=x, value=x)
    y = L.LayerNormalization()(y + x)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


@built
def functions_of_numbers() -> Any:
    x = L.Input((6, 5, 4))
    y = ops.elu(L.Conv2D(4, 2)(x), 0.5) + ops.leaky_relu(L.Conv2D(4, 2)(x), 0.1)
    y = ops.silu(y) * ops.sigmoid(-y) + ops.selu(1.5 - y) * 0.5
    y = ops.softplus(y) - ops.softsign(ops.tanh(y)) ** 2
    y = ops.maximum(ops.relu6(y), ops.abs(y)) + ops.gelu(y, approximate=False)
    y = ops.clip(y / 2.0, 0.0, 2.0) + ops.softmax(y, axis=-1) + ops.log_softmax(y) + ops.exp(-ops.square(y))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@built
def functions_that_reduce() -> Any:
    x = L.Input((6, 5, 4))
    y = L.Conv2D(4, 2, activation="relu")(x)
    y = y * ops.sigmoid(ops.max(y, axis=-1, keepdims=True) - ops.mean(y, axis=-1, keepdims=True))
    parts = [ops.min(y, axis=(1, 2)), ops.sum(y, axis=[1, 2]), ops.reshape(ops.mean(y, axis=2), (-1, 20))]
    pooled = ops.max_pool(y, 2, 2, "same"), ops.average_pool(y, (2, 3), 1, "valid")
    parts += [L.GlobalAveragePooling2D()(one) for one in pooled]
    return keras.Model(x, L.Dense(3)(ops.concatenate(parts, axis=-1)))


@built
def functions_that_move() -> Any:
    x = L.Input((6, 5, 4))
    values, gate = ops.split(L.Conv2D(6, 1)(x), 2, axis=-1)
    y = values * ops.sigmoid(gate)
    first, rest = ops.split(y, [2], axis=1)
    y = ops.concatenate([ops.flip(rest, axis=1), ops.roll(first, 1, axis=2)], axis=1)
    y = ops.swapaxes(ops.take(y, [3, 0, 2], axis=2), 1, 2)
    y = ops.pad(ops.repeat(ops.tile(y, [1, 2, 1, 1]), 2, axis=2), [[0, 0], [1, 0], [0, 2], [0, 0]])
    y = ops.transpose(ops.stack([y[:, ::2], y[:, 1:5][:, :4]], axis=-1), (0, 1, 4, 2, 3))
    top, *_ = ops.unstack(y, axis=1)
    top = ops.reshape(top, (-1, 28, 3))
    y = ops.squeeze(ops.expand_dims(top, 1)[:, 0, :, None], axis=2)
    return keras.Model(x, L.Dense(3)(L.Flatten()(ops.matmul(y, ops.transpose(y, (0, 2, 1))))))


@built
def image_in_another_size() -> Any:
    x = L.Input((6, 5, 2))
    y = ops.image.resize(L.Conv2D(3, 2)(x), (8, 7), interpolation="nearest")
    return keras.Model(x, L.Dense(3)(L.GlobalMaxPooling2D()(y)))


def _filled(model: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path:
            continue
        low, high = (0.3, 2.0) if "variance" in variable.path else (-0.7, 0.8)
        variable.assign(rng.uniform(low, high, variable.shape))
    return model


def _logits(model: Any, x: Any) -> np.ndarray:
    last = model.layers[-1]
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return np.asarray(ops.convert_to_numpy(model(x, training=False)))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", BUILT)
def test_logits(name: str, suffix: str, tmp_path: Path) -> None:
    model = _filled(BUILT[name](), len(name))
    path = tmp_path / f"model{suffix}"
    model.save(path)
    rng = np.random.default_rng(0)
    shapes = [tensor.shape[1:] for tensor in model.inputs]
    inputs = [rng.normal(size=(3, *shape)).astype(np.float32) for shape in shapes]
    if "mask" in name or name == "recurrent":  # the last steps of a sequence are padding
        inputs = [np.floor(abs(x) * 3 + 1) % 9 if x.ndim == 2 else x for x in inputs]
        inputs[0][1:, 4:] = 0
    port = parity.keras.load(path)
    by_name = dict(zip("ab", inputs, strict=False)) if "by_name" in name else None
    expected = _logits(model, by_name or (inputs if len(inputs) > 1 else inputs[0]))
    made = port.logits(inputs if len(inputs) > 1 else inputs[0])
    assert np.abs(made - expected).max() <= CLOSE * np.abs(expected).max()


def _masked_and_plain(join: Callable[..., Any]) -> Any:
    x = L.Input((7, 3))
    return keras.Model(x, L.GlobalAveragePooling1D()(join(L.Masking()(x), x)))


def _counts(x: Any) -> Any:
    """Return the mask that Masking makes."""
    return ops.any(ops.not_equal(x, 0.0), axis=-1)


def _running(x: Any) -> Any:
    inner = L.Input(x.shape[1:])
    return keras.Model(inner, L.LSTM(3, return_sequences=True)(inner))


OTHERWISE: dict[str, Callable[[], Any]] = {
    "a layer that Keras 2 ends masks at": lambda: _masked_and_plain(lambda read, x: L.Rescaling(2.0)(read)),
    "a sum with what has no mask": lambda: _masked_and_plain(lambda read, x: L.Add()([read, L.Dense(3)(x)])),
    "attention to such a sum": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([L.Add()([read, L.Dense(3)(x)]), x])
    ),
    "a mask of the user's": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.not_equal(x[..., 0], 1.0)
    )),
    "all numbers of a step": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.all(ops.not_equal(x, 0.0), axis=-1)
    )),
    "along another axis": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.any(ops.not_equal(ops.concatenate([x, x, x[..., :1]], axis=-1), 0.0), axis=1)
    )),
    "nothing counts": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.all(ops.stack([_counts(x), ops.zeros_like(_counts(x))], axis=0), axis=0)
    )),
    "attention to all, told": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([read, read], mask=[_counts(x), None])
    ),
    "attention of all, told": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([read, read], mask=[None, _counts(x)])
    ),
    "attention without masks, told": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([read, read], mask=[None, None])
    ),
    "the mask of another input": lambda: _masked_and_plain(
        lambda read, x: L.MultiHeadAttention(2, 3)(read, x, value_mask=_counts(x))
    ),
    "a mask of a nested model": lambda: _masked_and_plain(lambda read, x: _running(x)(read)),
    "one of two masks": lambda: _masked_and_plain(lambda read, x: L.Add()([read, L.Masking(1.0)(x)])),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERWISE)
def test_masks_that_keras_2_would_not_make_are_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    OTHERWISE[case]().save(path)
    with pytest.raises(parity.keras.ConversionError, match="mask"):
        parity.keras.load(path)


def test_a_softmax_over_all_samples_is_refused(tmp_path: Path) -> None:
    x = L.Input((4,))
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(3)(ops.softmax(x, axis=None))).save(path)
    with pytest.raises(parity.keras.ConversionError, match="mixes the samples"):
        parity.keras.load(path)
