"""Tokens, masks and recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import Tensors, conv, dense, kernel, layer, network, row
from tests.parity.keras.recipes.registry import tokens

TOKENS = 11
# Tokens have no gradient, and deep Taylor is iNNvestigate's alone, which takes one.
OF_TOKENS = {
    "gradient": "unsupported",
    "guided_backprop": "unsupported",
    "integrated_gradients": "unsupported",
    "deep_taylor": "unsupported",
    "lrpsign_epsilon_0_25_std_x": "unjudged",  # only SIGN-XAI has the rule, and it cannot do an Embedding
    "lrp_*": "reference-defect",  # SIGN-XAI hands back the tokens; held to iNNvestigate
    "flatlrp_*": "reference-defect",
}
# Neither reference has a rule for recurrent layers.
OF_STEPS = {"lrp*": "unsupported", "flatlrp*": "unsupported", "deep_taylor": "unsupported"}


def embedding(rng: np.random.Generator, name: str, size: int, **config: Any) -> NetworkLayer:
    values = rng.normal(size=(TOKENS, size)).astype(np.float32)
    return layer("Embedding", name, weights={"embeddings": values}, input_dim=TOKENS, output_dim=size, **config)


def recurrent(
    rng: np.random.Generator, class_name: str, name: str, features: int, units: int, gates: int, **config: Any
) -> NetworkLayer:
    return layer(
        class_name, name, weights=cell(rng, features, units, gates, config), units=units, activation="tanh", **config
    )


def cell(
    rng: np.random.Generator, features: int, units: int, gates: int, config: dict[str, Any], prefix: str = ""
) -> Tensors:
    """Return the variables of a cell."""
    made = {
        **kernel(rng, features, gates * units),
        **kernel(rng, units, gates * units, bias=False, name="recurrent_kernel"),
    }
    bias = made.pop("bias")
    if config.get("reset_after"):
        bias = np.stack([bias, bias[::-1]])
    return {prefix + key: values for key, values in {**made, "bias": bias}.items()}


@row((12,), OF_TOKENS, tokens(TOKENS))
def text_cnn(rng: np.random.Generator) -> Network:
    return network(
        (12,),
        embedding(rng, "e", 4),
        conv(rng, "c", (3,), 4, 5, activation="relu"),
        layer("GlobalMaxPooling1D", "g"),
        dense(rng, "out", 5, 3),
    )


@row((5,), OF_TOKENS, tokens(TOKENS))
def text_dense(rng: np.random.Generator) -> Network:
    return network(
        (5,),
        embedding(rng, "e", 4),
        layer("Flatten", "f"),
        dense(rng, "d", 20, 6, activation="relu"),
        dense(rng, "out", 6, 3),
    )


@row((9,), OF_TOKENS, tokens(TOKENS))
def text_masked_conv(rng: np.random.Generator) -> Network:
    return network(
        (9,),
        embedding(rng, "e", 4, mask_zero=True),
        conv(rng, "c", (3,), 4, 5, activation="relu"),
        layer("GlobalAveragePooling1D", "g"),
        dense(rng, "out", 5, 3),
    )


# SIGN-XAI cannot do the Embedding, and iNNvestigate not the average that leaves out steps.
@row((9,), {"lrp*": "unjudged", "flatlrp*": "unjudged", **OF_TOKENS}, tokens(TOKENS))
def text_masked_average(rng: np.random.Generator) -> Network:
    return network(
        (9,),
        embedding(rng, "e", 4, mask_zero=True),
        dense(rng, "d", 4, 6, activation="relu"),
        layer("GlobalAveragePooling1D", "g"),
        dense(rng, "out", 6, 3),
    )


@row((9,), {**OF_STEPS, **OF_TOKENS, "lrpsign_epsilon_0_25_std_x": "unsupported"}, tokens(TOKENS))
def text_lstm(rng: np.random.Generator) -> Network:
    return network(
        (9,), embedding(rng, "e", 4, mask_zero=True), recurrent(rng, "LSTM", "r", 4, 5, 4), dense(rng, "out", 5, 3)
    )


@row((7, 3), OF_STEPS)
def lstm(rng: np.random.Generator) -> Network:
    return network(
        (7, 3),
        recurrent(rng, "LSTM", "r", 3, 4, 4, return_sequences=True),
        conv(rng, "c", (3,), 4, 5, activation="relu"),
        recurrent(rng, "LSTM", "s", 5, 4, 4, recurrent_activation="hard_sigmoid", go_backwards=True),
        dense(rng, "out", 4, 3),
    )


@row((7, 3), OF_STEPS)
def gru(rng: np.random.Generator) -> Network:
    return network(
        (7, 3),
        recurrent(rng, "GRU", "r", 3, 4, 3, return_sequences=True, reset_after=True),
        recurrent(rng, "GRU", "s", 4, 5, 3, reset_after=False),
        dense(rng, "d", 5, 4, activation="relu"),
        dense(rng, "out", 4, 3),
    )


@row((7, 3), OF_STEPS)
def simple_rnn(rng: np.random.Generator) -> Network:
    return network((7, 3), recurrent(rng, "SimpleRNN", "r", 3, 4, 1), dense(rng, "out", 4, 3))


# A ReLU in every step: the methods of ReLUs know those of whole layers.
@row((7, 3), OF_STEPS | {"guided_backprop": "unsupported"})
def lstm_with_relu(rng: np.random.Generator) -> Network:
    return network((7, 3), recurrent(rng, "LSTM", "r", 3, 4, 4).configured(activation="relu"), dense(rng, "out", 4, 3))


@row((7, 3), OF_STEPS, lambda x: x * (np.arange(7) < 5).astype(x.dtype)[:, None])
def masked_lstm(rng: np.random.Generator) -> Network:
    return network(
        (7, 3), layer("Masking", "m", mask_value=0.0), recurrent(rng, "LSTM", "r", 3, 4, 4), dense(rng, "out", 4, 3)
    )


@row((7, 3), {"lrp.alpha_2_beta_1": "reference-defect"}, lambda x: x * (np.arange(7) < 5).astype(x.dtype)[:, None])
def masked_conv(rng: np.random.Generator) -> Network:
    return network(
        (7, 3),
        layer("Masking", "m", mask_value=0.0),
        conv(rng, "c", (3,), 3, 4, activation="relu"),
        layer("Flatten", "f"),
        dense(rng, "out", 20, 3),
    )


# Integrated gradients start where no step is left, so their map is NaN; deep Taylor is iNNvestigate's alone.
@row(
    (7, 3),
    {"integrated_gradients": "unsupported", "deep_taylor": "unjudged", "lrp.alpha_2_beta_1": "reference-defect"},
    lambda x: x * (np.arange(7) < 5).astype(x.dtype)[:, None],
)
def masked_average(rng: np.random.Generator) -> Network:
    return network(
        (7, 3),
        layer("Masking", "m", mask_value=0.0),
        dense(rng, "d", 3, 5, activation="relu"),
        layer("GlobalAveragePooling1D", "g"),
        dense(rng, "out", 5, 3),
    )


def _ends_early(x: np.ndarray) -> np.ndarray:
    """Return a series whose last two steps do not count."""
    return x * (np.arange(7) < 5).astype(x.dtype)[:, None]


# iNNvestigate takes the derivative of Masking, and cannot feed the mask of what reads it.
OF_MASKS = {"lrp.alpha_2_beta_1": "reference-defect", "deep_taylor": "unsupported"}
# Integrated gradients start where no step is left to average; SIGN-XAI rectifies for each reader.
OF_AVERAGES = {**OF_MASKS, "integrated_gradients": "unsupported", "guided_backprop": "reference-defect"}


def _masked_pair(rng: np.random.Generator, *behind: NetworkLayer) -> Network:
    """Return two Dense layers on a masked series, and what reads both."""
    return network(
        (7, 3),
        layer("Masking", "m", mask_value=0.0),
        dense(rng, "a", 3, 4, "m", activation="relu"),
        dense(rng, "b", 3, 4, "m"),
        *behind,
    )


@row((7, 3), {**OF_MASKS, "guided_backprop": "reference-defect"}, _ends_early)
def masked_attention(rng: np.random.Generator) -> Network:
    attention = layer("Attention", "j", "a", "b", use_scale=False, score_mode="dot")
    return _masked_pair(rng, attention, layer("Flatten", "f"), dense(rng, "out", 28, 3))


@row((7, 3), OF_AVERAGES, _ends_early)
def masked_additive_attention(rng: np.random.Generator) -> Network:
    weights = {"scale": rng.normal(size=4).astype(np.float32)}
    attention = layer("AdditiveAttention", "j", "a", "b", weights=weights, use_scale=True)
    return _masked_pair(rng, attention, layer("GlobalAveragePooling1D", "g"), dense(rng, "out", 4, 3))


@row((7, 3), OF_AVERAGES, _ends_early)
def masked_product(rng: np.random.Generator) -> Network:
    return _masked_pair(
        rng, layer("Multiply", "j", "a", "b"), layer("GlobalAveragePooling1D", "g"), dense(rng, "out", 4, 3)
    )


@row((7, 3), OF_AVERAGES | {"guided_backprop": "parity", "deep_taylor": "unjudged"}, _ends_early)
def masked_normalization(rng: np.random.Generator) -> Network:
    weights = {"gamma": 1 + 0.3 * rng.normal(size=4), "beta": 0.3 * rng.normal(size=4)}
    weights = {name: values.astype(np.float32) for name, values in weights.items()}
    inner = {"class_name": "Dense", "config": {"name": "d", "units": 5, "activation": "relu"}}
    return network(
        (7, 3),
        layer("Masking", "m", mask_value=0.0),
        dense(rng, "a", 3, 4),
        layer("LayerNormalization", "n", weights=weights, axis=[2], epsilon=1e-3),
        layer("TimeDistributed", "t", weights=kernel(rng, 4, 5), layer=inner),
        layer("GlobalAveragePooling1D", "g"),
        dense(rng, "out", 5, 3),
    )


def both_ways(
    rng: np.random.Generator, name: str, features: int, units: int, merge: str, **config: Any
) -> NetworkLayer:
    inner = {"name": "l", "units": units, "activation": "tanh", "recurrent_activation": "sigmoid", **config}
    weights = {
        **cell(rng, features, units, 4, config, "forward_"), **cell(rng, features, units, 4, config, "backward_")
    }  # fmt: skip
    wrapped = {"class_name": "LSTM", "config": inner}
    return layer("Bidirectional", name, weights=weights, layer=wrapped, merge_mode=merge)


@row((7, 3), OF_STEPS)
def bidirectional(rng: np.random.Generator) -> Network:
    return network(
        (7, 3),
        both_ways(rng, "b", 3, 4, "concat", return_sequences=True),
        both_ways(rng, "s", 8, 4, "mul", return_sequences=True),
        layer("GlobalMaxPooling1D", "g"),
        dense(rng, "out", 4, 3),
    )


@row((3, 5, 4, 2), OF_STEPS)
def conv_lstm(rng: np.random.Generator) -> Network:
    kernels = {**kernel(rng, 2, 3, 2, 12), **kernel(rng, 2, 3, 3, 12, bias=False, name="recurrent_kernel")}
    bias = kernels.pop("bias")
    steps = layer(
        "ConvLSTM2D", "r", weights={**kernels, "bias": bias}, filters=3, kernel_size=[2, 3], padding="same",
        activation="tanh", recurrent_activation="hard_sigmoid",
    )  # fmt: skip
    return network((3, 5, 4, 2), steps, layer("Flatten", "f"), dense(rng, "out", 60, 3))


def _conv_lstm(rng: np.random.Generator, size: tuple[int, ...], channels: int, filters: int) -> NetworkLayer:
    kernels = {
        **kernel(rng, *size, channels, 4 * filters),
        **kernel(rng, *size, filters, 4 * filters, bias=False, name="recurrent_kernel"),
    }
    bias = kernels.pop("bias")
    return layer(
        f"ConvLSTM{len(size)}D", "r", weights={**kernels, "bias": bias}, filters=filters, kernel_size=list(size),
        activation="tanh", recurrent_activation="hard_sigmoid",
    )  # fmt: skip


@row((3, 6, 2), OF_STEPS)
def conv_lstm_of_sequences(rng: np.random.Generator) -> Network:
    return network((3, 6, 2), _conv_lstm(rng, (2,), 2, 3), layer("Flatten", "f"), dense(rng, "out", 15, 3))


@row((2, 3, 4, 3, 2), OF_STEPS)
def conv_lstm_of_volumes(rng: np.random.Generator) -> Network:
    steps = _conv_lstm(rng, (2, 2, 2), 2, 2)
    return network((2, 3, 4, 3, 2), steps, layer("Flatten", "f"), dense(rng, "out", 24, 3))


@row((6, 3), OF_STEPS)
def cells_on_each_other(rng: np.random.Generator) -> Network:
    settings = {"units": 4, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
    cells = [
        {"class_name": "LSTMCell", "config": {"name": "first", **settings}},
        {"class_name": "GRUCell", "config": {"name": "second", **settings, "reset_after": False}},
    ]
    stack = {"class_name": "StackedRNNCells", "config": {"name": "stack", "cells": cells}}
    weights = {**cell(rng, 3, 4, 4, {}, "cell_0_"), **cell(rng, 4, 4, 3, {"reset_after": False}, "cell_1_")}
    return network((6, 3), layer("RNN", "r", weights=weights, cell=stack), dense(rng, "out", 4, 3))
