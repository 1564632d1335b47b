"""Tokens, masks and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.parity.keras.recipes.registry import RECIPES, Recipe, recipe, tokens

TOKENS = 11


def headed(keras: Any, shape: tuple, *layers: Any, end: bool = False) -> Any:
    """Return a model of layers that make features; `end` leaves out the dense layer at the end."""
    head = () if end else (keras.layers.Dense(3),)
    return keras.Sequential([keras.layers.InputLayer(shape), *layers, *head])


@recipe(sample=tokens(TOKENS))
def text_cnn(keras):
    L = keras.layers
    return headed(
        keras, (12,), L.Embedding(TOKENS, 4), L.Conv1D(5, 3, activation="relu"), L.GlobalMaxPooling1D(), L.Dense(4)
    )


@recipe(sample=tokens(TOKENS))
def text_flattened(keras):
    L = keras.layers
    layers = [L.Embedding(TOKENS, 4, input_length=7), L.SpatialDropout1D(0.2), L.Flatten()]
    return headed(keras, (7,), *layers, L.Dense(4, activation="tanh"))


@recipe(sample=tokens(TOKENS))
def text_classifier(keras):
    L = keras.layers
    return headed(keras, (9,), L.Embedding(TOKENS, 4, mask_zero=True), L.LSTM(5), L.Dense(4, activation="relu"))


@recipe(sample=tokens(TOKENS))
def text_open_length(keras):
    L = keras.layers
    both = L.Bidirectional(L.LSTM(4, return_sequences=True))
    return headed(keras, (None,), L.Embedding(TOKENS, 4), both, L.GlobalMaxPooling1D())


@recipe(sample=tokens(TOKENS))
def text_masked_average(keras):
    L = keras.layers
    layers = [L.Embedding(TOKENS, 4, mask_zero=True), L.Dense(5, activation="relu"), L.Dropout(0.5)]
    return headed(keras, (9,), *layers, L.GlobalAveragePooling1D())


@recipe(sample=tokens(TOKENS))
def text_mask_through_everything(keras):
    L = keras.layers
    x = L.Input((9,))
    one = L.Embedding(TOKENS, 4, mask_zero=True)(x)
    two = L.BatchNormalization()(L.Dense(4)(one))
    both = L.Concatenate()([L.LeakyReLU()(L.Add()([one, two])), L.Conv1D(3, 3, padding="same")(one)])
    first = L.GRU(4, return_sequences=True)(L.Activation("tanh")(both))
    last = L.Bidirectional(L.LSTM(3, return_sequences=True))(first)
    joined = L.Concatenate()([L.GlobalAveragePooling1D()(last), L.LSTM(3, go_backwards=True)(last)])
    return keras.Model(x, L.Dense(3, activation="softmax")(joined))


@recipe(sample=tokens(TOKENS))
def text_two_columns(keras):
    L = keras.layers
    layers = [L.Embedding(TOKENS, 3), L.Conv2D(4, 2, activation="relu"), L.GlobalMaxPooling2D()]
    return headed(keras, (6, 4), *layers)


def _masked(array: Any) -> Any:
    """Return sequences whose steps are off here and there: at the end, at the start, and in between."""
    array[0, -3:] = 0.0
    array[1, :2] = 0.0
    array[2, 3] = 0.0
    return array


def _keep(name: str, shape: tuple, layers: Callable[[Any], list], sample: Any = None, end: bool = False) -> None:
    RECIPES[f"recurrent_{name}"] = Recipe(lambda keras: headed(keras, shape, *layers(keras.layers), end=end), sample)


_SHAPE = (7, 3)
_PLAIN: dict[str, Callable[[Any], list]] = {
    "lstm": lambda L: [L.LSTM(4)],
    "lstm_settings": lambda L: [L.LSTM(4, "relu", "hard_sigmoid", use_bias=False, go_backwards=True)],
    "gru": lambda L: [L.GRU(4)],
    "gru_no_bias": lambda L: [L.GRU(4, use_bias=False, activation="elu", go_backwards=True)],
    "simple_linear": lambda L: [L.SimpleRNN(4, activation=None)],
    "stack": lambda L: [L.LSTM(4, return_sequences=True), L.Conv1D(3, 3), L.Bidirectional(L.GRU(3))],
}
_MASKED: dict[str, Callable[[Any], list]] = {
    "lstm_unrolled": lambda L: [L.LSTM(4, unroll=True, implementation=1)],
    "lstm_swish": lambda L: [L.LSTM(4, activation="swish", recurrent_activation="softmax")],
    "gru": lambda L: [L.GRU(4)],
    "gru_before": lambda L: [L.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid")],
    "gru_before_no_bias": lambda L: [L.GRU(4, reset_after=False, use_bias=False)],
    "gru_sequences": lambda L: [L.GRU(4, return_sequences=True, go_backwards=True), L.Flatten()],
    "simple": lambda L: [L.SimpleRNN(4, activation="relu", use_bias=False, go_backwards=True)],
    "cells": lambda L: [L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)])],
    "one_cell": lambda L: [L.RNN(L.GRUCell(3, reset_after=False), return_sequences=True), L.Flatten()],
    "both_two_layers": lambda L: [L.Bidirectional(L.LSTM(4), backward_layer=L.GRU(5, go_backwards=True))],
    "both_cells": lambda L: [L.Bidirectional(L.RNN([L.LSTMCell(4), L.LSTMCell(3)]))],
    "both_concat": lambda L: [L.Bidirectional(L.LSTM(4, return_sequences=True)), L.Flatten()],
    "both_sum": lambda L: [L.Bidirectional(L.LSTM(4), merge_mode="sum")],
    "both_ave": lambda L: [
        L.Bidirectional(L.GRU(4, return_sequences=True, go_backwards=True), merge_mode="ave"), L.Flatten()
    ],
    "both_mul": lambda L: [L.Bidirectional(L.SimpleRNN(4), merge_mode="mul")],
}  # fmt: skip
for _name, _layers in _PLAIN.items():
    _keep(_name, _SHAPE, _layers)
for _name, _layers in _MASKED.items():
    _keep(f"{_name}_masked", _SHAPE, lambda L, make=_layers: [L.Masking(), *make(L)], _masked)
_keep("last", _SHAPE, lambda L: [L.Dense(4, activation="tanh"), L.LSTM(3, activation="softmax")], end=True)
_keep("mask_value", _SHAPE, lambda L: [L.Masking(1.5), L.LSTM(4)], lambda x: _masked(x) + 1.5)


def _masked_twice(array: Any) -> Any:
    """Return sequences with steps that one mask turns off, and steps that another does."""
    array = _masked(array)
    array[0, 1] = array[2, 5:] = 1.5
    return array


@recipe(sample=_masked)
def attention_masked(keras):
    L = keras.layers
    x = L.Input(_SHAPE)
    one = L.Masking()(x)
    query, value, key = (L.Dense(4)(one) for _ in range(3))
    plain = L.Conv1D(4, 1)(x)  # has no mask
    parts = [
        L.Attention()([query, value]),
        L.Attention(use_scale=True)([query, plain, key]),
        L.AdditiveAttention()([query, value]),
        L.MultiHeadAttention(2, 3)(query, query),
        L.MultiHeadAttention(2, 3)(query, plain),
        L.MultiHeadAttention(1, 3)(query, value=plain, key=key),
        L.Attention()([query, value], use_causal_mask=True),
        L.MultiHeadAttention(2, 3)(query, value, use_causal_mask=True),
    ]
    seen = [L.Attention()([plain, value]), L.MultiHeadAttention(2, 3)(plain, value)]
    joined = [L.GlobalAveragePooling1D()(part) for part in parts] + [L.Flatten()(part) for part in (*parts, *seen)]
    return keras.Model(x, L.Dense(3)(L.Concatenate()(joined)))


@recipe(sample=_masked_twice)
def masked_merges(keras):
    L = keras.layers
    x = L.Input(_SHAPE)
    one, two, plain = L.Masking()(x), L.Masking(1.5)(x), L.Conv1D(3, 1)(x)
    kinds = (L.Multiply, L.Average, L.Maximum, L.Minimum, L.Subtract)
    parts = [kind()([one, other]) for kind in kinds for other in (two, plain)]
    joined = [L.GlobalAveragePooling1D()(part) for part in parts]
    products = L.GlobalAveragePooling1D()(L.Dot(2)([one, two]))
    return keras.Model(x, L.Dense(3)(L.Concatenate()([*joined, products])))


@recipe(sample=_masked)
def masked_normalizations(keras):
    L = keras.layers
    x = L.Input(_SHAPE)
    one = L.Masking()(x)
    made = (L.LayerNormalization(), L.UnitNormalization(), L.GroupNormalization(3), L.TimeDistributed(L.Dense(4)),
            L.TimeDistributed(L.LayerNormalization()))  # fmt: skip
    joined = [L.GlobalAveragePooling1D()(layer(one)) for layer in made]
    chain = L.TimeDistributed(L.Dense(5, "relu"))(L.LayerNormalization()(one))
    return keras.Model(x, L.Dense(3)(L.Concatenate()([*joined, L.LSTM(3)(chain)])))


_MAPS: dict[str, tuple[tuple, Callable[[Any], Any]]] = {
    "conv_1d": ((3, 6, 2), lambda L: L.ConvLSTM1D(4, 3, padding="same")),
    "conv_2d": ((3, 6, 5, 2), lambda L: L.ConvLSTM2D(3, (3, 2), strides=(2, 1), padding="same", activation="relu")),
    "conv_2d_dilated": (
        (3, 6, 5, 2),
        lambda L: L.ConvLSTM2D(2, 2, dilation_rate=2, go_backwards=True, use_bias=False),
    ),
    "conv_2d_sequences": (
        (3, 6, 5, 2),
        lambda L: L.ConvLSTM2D(3, (2, 3), return_sequences=True, recurrent_activation="sigmoid"),
    ),
    "conv_2d_both": ((3, 6, 5, 2), lambda L: L.Bidirectional(L.ConvLSTM2D(2, (2, 3), padding="same"))),
    "conv_3d": ((2, 4, 3, 5, 2), lambda L: L.ConvLSTM3D(2, 2)),
}
for _name, (_shape, _map) in _MAPS.items():
    _keep(_name, _shape, lambda L, make=_map: [make(L), L.Flatten()])


@recipe
def frames_through_a_model(keras):
    L = keras.layers
    inner = keras.Sequential(
        [L.InputLayer((6, 5, 2)), L.Conv2D(3, 2, activation="relu"), L.MaxPooling2D(), L.Flatten()]
    )
    inner.add(L.Dense(4, activation="relu"))
    return headed(keras, (3, 6, 5, 2), L.TimeDistributed(inner), L.LSTM(4))


@recipe
def frames_through_branches(keras):
    L = keras.layers
    x = L.Input((6, 5, 2))
    y = L.Conv2D(2, 3, padding="same", use_bias=False)(x)
    y = L.ReLU()(L.BatchNormalization()(y))
    inner = keras.Model(x, L.Add()([x, y]))
    inner.layers[1].trainable = False
    return headed(keras, (3, 6, 5, 2), L.TimeDistributed(inner), L.TimeDistributed(L.GlobalMaxPooling2D()), L.GRU(4))


@recipe
def one_cell_frozen(keras):
    """Files keep what training does not change behind all else."""
    L = keras.layers
    x = L.Input((5, 2))
    steps = L.RNN([L.LSTMCell(2), L.LSTMCell(2)])
    y = steps(x)
    steps.cell.cells[0].trainable = False
    return keras.Model(x, L.Dense(3)(y))


@recipe
def attention_over_several_axes(keras: Any) -> Any:
    """All places of an image, places of a patch with every patch by itself, and another order of the axes."""
    L = keras.layers
    x = keras.Input((4, 3, 5))
    y = L.Conv2D(4, 2)(x)
    parts = [
        L.MultiHeadAttention(2, 3)(y, y),
        L.MultiHeadAttention(2, 3, attention_axes=(2,))(y, y[:, :, ::-1]),
        L.MultiHeadAttention(2, 3, value_dim=2, attention_axes=(2, 1))(y, y, y),
        L.MultiHeadAttention(1, 2, attention_axes=(1,))(y, y),
    ]
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Concatenate()(parts))))


@recipe
def attention_that_gives_its_scores(keras: Any) -> Any:
    L = keras.layers
    x = keras.Input((5, 4))
    y, _ = L.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True)
    z, _ = L.Attention()([y, x], return_attention_scores=True)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(z)))
