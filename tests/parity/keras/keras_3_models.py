"""Models of Keras 3 on its torch backend, of layers and settings that Keras 2.12 has otherwise or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
import keras

L, ops = keras.layers, keras.ops
JUDGED: dict[str, Callable[[], Any]] = {}


def judged(build: Callable[[], Any]) -> Callable[[], Any]:
    """Keep a function that builds a model under its name."""
    JUDGED[build.__name__] = build
    return build


def saved(name: str, folder: Path) -> tuple[Path, tuple[int, ...]]:
    """Return a file with a model and random weights, and the shape of its input."""
    model = JUDGED[name]()
    rng = np.random.default_rng(1)
    weights = [
        rng.normal(size=values.shape) * 0.5 if values.ndim > 1 else rng.uniform(0.2, 1, values.shape)
        for values in model.get_weights()
    ]
    model.set_weights(weights)
    path = folder / f"{name}.keras"
    model.save(path)
    return path, tuple(model.inputs[0].shape[1:])


@judged
def gates() -> Any:
    x = L.Input((7, 3))
    return keras.Model(x, L.Dense(3)(L.Bidirectional(L.LSTM(4, recurrent_activation="hard_sigmoid"))(x)))


@judged
def dense_at_every_step() -> Any:
    x = L.Input((7, 3))
    y = L.TimeDistributed(L.Dense(4, activation="hard_sigmoid"))(L.Conv1D(5, 2)(x))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@judged
def cells() -> Any:
    x = L.Input((6, 4))
    return keras.Model(x, L.Dense(3)(L.RNN([L.LSTMCell(3), L.GRUCell(2)])(x)))


@judged
def gelu() -> Any:
    x = L.Input((7, 3))
    return keras.Model(x, L.Dense(3)(L.Flatten()(ops.gelu(L.Dense(8)(x)))))


@judged
def causal_attention() -> Any:
    x = L.Input((7, 4))
    y = L.Dense(4)(x)
    y = L.LayerNormalization()(y + L.MultiHeadAttention(2, 2)(y, y, use_causal_mask=True))
    y = L.Attention()([y, L.Dense(4)(y)], use_causal_mask=True)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


@judged
def attention_by_place() -> Any:
    x = L.Input((7, 4))
    y = L.Dense(4)(x)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(L.MultiHeadAttention(2, 2)(y, y))))


@judged
def positions() -> Any:
    x = L.Input((7, 4))
    places = np.sin(np.arange(7)[:, None] / np.arange(1, 5)).astype(np.float32)
    y = L.LayerNormalization()(L.Dense(4)(x) + places)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


@judged
def prepared_images() -> Any:
    x = L.Input((7, 5, 3))
    y = L.RandomErasing()(L.RandomContrast(0.2)(L.RandomFlip()(x)))
    y = L.CenterCrop(5, 4)(L.Resizing(6, 6)(L.Rescaling(1 / 255)(y)))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Conv2D(4, 2, activation="relu")(y))))


@judged
def rescaled() -> Any:
    x = L.Input((8, 8, 1))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Conv2D(2, 3)(L.Rescaling(1 / 127.5, -1.0)(x)))))


@judged
def padded_sequence() -> Any:
    x = L.Input((7, 3))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Conv1D(4, 2, activation="relu")(L.ZeroPadding1D(1)(x)))))


@judged
def next_frames() -> Any:
    x = L.Input((3, 6, 6, 1))
    y = L.BatchNormalization()(L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x))
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(L.ConvLSTM2D(2, 3, padding="same")(y))))


@judged
def video() -> Any:
    frame = L.Input((7, 5, 3))
    y = L.BatchNormalization()(L.Conv2D(3, 2, activation="relu")(frame))
    inner = keras.Model(frame, L.Dense(4)(L.Flatten()(y)))
    x = L.Input((4, 7, 5, 3))
    return keras.Model(x, L.Dense(3)(L.LSTM(4)(L.TimeDistributed(inner)(x))))


@judged
def frames_through_branches() -> Any:
    frame = L.Input((7, 5, 3))
    y = L.Add()([L.Conv2D(3, 2, activation="relu")(frame), L.Conv2D(3, 2)(frame)])
    inner = keras.Model(frame, L.GlobalAveragePooling2D()(y))
    x = L.Input((4, 7, 5, 3))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.TimeDistributed(inner)(x))))


@judged
def frozen_frames() -> Any:
    inner = keras.Sequential([L.Input((4,)), L.BatchNormalization(), L.LayerNormalization(), L.BatchNormalization()])
    x, frames = L.Input((5, 4)), L.TimeDistributed(inner)
    y = frames(x)
    frames.trainable = False
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@judged
def one_way_frozen() -> Any:
    x, both = L.Input((5, 4)), L.Bidirectional(L.GRU(2, recurrent_activation="hard_sigmoid"))
    y = both(x)
    both.forward_layer.trainable = False
    return keras.Model(x, L.Dense(3)(y))


@judged
def attending_frames() -> Any:
    frame = L.Input((5, 4))
    y = L.MultiHeadAttention(2, 2)(frame, frame, use_causal_mask=True)
    y = L.RandomHue(0.1)(L.Reshape((5, 2, 2))(L.Attention()([y, frame], use_causal_mask=True)))
    inner = keras.Model(frame, L.Flatten()(y))
    x = L.Input((3, 5, 4))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.TimeDistributed(inner)(x))))


@judged
def one_layer_twice_at_every_step() -> Any:
    frame, twice = L.Input((4,)), L.Dense(4)
    inner = keras.Model(frame, L.Dense(3)(twice(twice(frame))))
    x = L.Input((3, 4))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.TimeDistributed(inner)(x))))


@judged
def steps_of_steps() -> Any:
    step = keras.Sequential([L.Input((4,)), L.BatchNormalization(), L.Dense(3)])
    frame = L.Input((5, 4))
    inner = keras.Model(frame, L.BatchNormalization()(L.Flatten()(L.TimeDistributed(step)(frame))))
    x = L.Input((2, 5, 4))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.TimeDistributed(inner)(x))))


@judged
def products_of_several_axes() -> Any:
    x = L.Input((4, 5))
    y = L.EinsumDense("abc,cde->abde", output_shape=(4, 2, 3), bias_axes="e", activation="relu")(x)
    y = L.EinsumDense("abde,fde->abf", output_shape=(4, 4), activation="relu")(y)
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@judged
def compared_with_numbers() -> Any:
    x = L.Input((6, 3))
    y = ops.minimum(ops.maximum(L.Conv1D(4, 2)(x), -0.25), 0.5)
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@judged
def softmax_at_every_step() -> Any:
    x = L.Input((6, 3))
    return keras.Model(x, L.TimeDistributed(L.Dense(3, activation="softmax"))(L.Conv1D(4, 2)(x)))


@judged
def steps_mixed() -> Any:
    x = L.Input((6, 3))
    y = L.EinsumDense("abc,bd->adc", output_shape=(4, 3), activation="gelu")(x)
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@judged
def normalised_by_the_largest_singular_value() -> Any:
    x = L.Input((6, 5, 2))
    y = L.SpectralNormalization(L.Conv2D(4, 2, activation="relu"))(x)
    return keras.Model(x, L.SpectralNormalization(L.Dense(3))(L.Flatten()(y)))


@judged
def heads_in_groups() -> Any:
    x = L.Input((5, 4))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.GroupQueryAttention(3, 4, 2)(x, x))))


@judged
def root_mean_squares() -> Any:
    x = L.Input((5, 4))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Dense(4, activation="relu")(L.RMSNormalization()(L.Dense(3)(x))))))


@judged
def bent_by_a_layer() -> Any:
    x = L.Input((6,))
    y = L.Dense(5, activation=L.LeakyReLU(negative_slope=0.1))(x)
    return keras.Model(x, L.Dense(3)(L.Dense(4, activation=L.ReLU(max_value=0.5))(y)))


@judged
def pictures() -> Any:
    x = L.Input((8, 8, 2))
    y = L.Activation("silu")(L.GroupNormalization(2)(L.Conv2D(4, 3, padding="same")(x)))
    y = L.SpatialDropout2D(0.2)(L.Conv2DTranspose(3, 2, strides=2)(L.UpSampling2D()(y)))
    return keras.Model(x, L.Dense(3)(L.GlobalMaxPooling2D()(y)))


@judged
def sequences() -> Any:
    x = L.Input((8, 3))
    y = L.LayerNormalization()(L.DepthwiseConv1D(2)(L.SeparableConv1D(4, 3)(x)))
    y = L.LeakyReLU(0.1)(L.PReLU()(L.UnitNormalization()(y)))
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


@judged
def distance_by_hand() -> Any:
    """Normalization by hand, and a root of squares."""
    x = L.Input((6, 4))
    y = L.Conv1D(5, 2)(x)
    y = (y - ops.mean(y, axis=-1, keepdims=True)) / ops.sqrt(ops.var(y, axis=-1, keepdims=True) + 0.125)
    y = L.Dense(3, activation="relu")(L.Flatten()(y))
    return keras.Model(x, L.Dense(3)(ops.concatenate([y, ops.log(ops.sum(y * y, axis=1, keepdims=True) + 1.0)], -1)))


@judged
def products_of_heads() -> Any:
    x = L.Input((4, 3))
    a, b = (ops.reshape(L.Dense(6, activation="relu")(x), (-1, 4, 2, 3)) for _ in range(2))
    y = ops.einsum("btij,bsij->bist", a, b) + ops.matmul(ops.transpose(a, (0, 2, 1, 3)), ops.transpose(b, (0, 2, 3, 1)))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@judged
def attention_that_gives_its_scores() -> Any:
    x = L.Input((5, 4))
    y, _ = L.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(y)))


@judged
def attention_over_an_image() -> Any:
    x = L.Input((4, 3, 2))
    y = L.Conv2D(4, 2)(x)
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.MultiHeadAttention(2, 3)(y, y))))


@judged
def attention_by_hand() -> Any:
    """Products and a softmax that is no layer, along the last axis and along the steps."""
    x = L.Input((6, 4))
    query, key, value = (L.Dense(5)(x) for _ in range(3))
    y = ops.matmul(ops.softmax(ops.matmul(query, ops.transpose(key, (0, 2, 1))) * 0.5, axis=-1), value)
    weights = ops.softmax(L.Dense(1)(L.Conv1D(3, 1, activation="relu")(y)), axis=1)
    return keras.Model(x, L.Dense(3)(ops.sum(y * weights, axis=1)))


@judged
def decided_by_signs() -> Any:
    """Choices that comparisons make, moments, and a model of bare operations at every step."""
    frame = L.Input((4, 3))
    mean, variance = ops.moments(frame, axes=(1,), keepdims=True)
    y = (frame - mean) / ops.sqrt(variance + 0.125)
    inside = keras.Model(frame, L.Dense(3, activation="relu")(L.Flatten()(ops.where(ops.greater(y, 0.0), y, 0.25 * y))))
    x = L.Input((3, 4, 3))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.TimeDistributed(inside)(x))))
