"""Three tensors joined, equal tensors, norms over other axes, attention of all forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import Tensors, conv, dense, layer, network
from tests.signxai_torch.oracle_networks.registry import NO_BRANCHES, Rng, case, end, read


def _three(rng: Rng, class_name: str, **config: Any) -> Network:
    """Return three views of one convolution, joined; the third by itself is not rectified."""
    return network(
        (5, 4, 2),
        conv(rng, "first", (2, 2), 2, 5, activation="relu"),
        conv(rng, "a", (1, 1), 5, 5, "first", activation="relu"),
        conv(rng, "b", (1, 1), 5, 5, "first", activation="relu"),
        conv(rng, "c", (1, 1), 5, 5, "first"),
        layer(class_name, "joined", "a", "b", "c", **config),
        *end(rng, 60),
    )


@case((5, 4, 2), **NO_BRANCHES)
def add_three(rng: Rng) -> Network:
    return _three(rng, "Add")


@case((5, 4, 2), **NO_BRANCHES)
def average_three(rng: Rng) -> Network:
    return _three(rng, "Average")


@case((5, 4, 2), **NO_BRANCHES)
def multiply_three(rng: Rng) -> Network:
    return _three(rng, "Multiply")


@case((5, 4, 2), **NO_BRANCHES)
def maximum_three(rng: Rng) -> Network:
    """Two rectified tensors are equal wherever both are zero."""
    return _three(rng, "Maximum")


@case((5, 4, 2), **NO_BRANCHES)
def minimum_three(rng: Rng) -> Network:
    return _three(rng, "Minimum")


def alike(x: np.ndarray) -> np.ndarray:
    """Return the same values whatever is drawn."""
    return np.sin(np.arange(x.size)).reshape(x.shape)


def _equal(rng: Rng, class_name: str) -> Network:
    """Return an extremum of equal tensors, made of two inputs that are equal: the first one takes all there is."""
    one = conv(rng, "a", (2, 2), 2, 3, "x", activation="relu")
    flat, *behind = end(rng, 27)
    return Network((
        read("x", 4, 4, 2), read("y", 4, 4, 2), one, replace(one, name="b", inbound=("y",)),
        layer(class_name, "joined", "b", "a"),
        *network((4, 4, 3), replace(flat, inbound=("joined",)), *behind).layers[1:],
    ))  # fmt: skip


@case((4, 4, 2), (4, 4, 2), sample=alike, **NO_BRANCHES)
def maximum_of_equals(rng: Rng) -> Network:
    return _equal(rng, "Maximum")


@case((4, 4, 2), (4, 4, 2), sample=alike, **NO_BRANCHES)
def minimum_of_equals(rng: Rng) -> Network:
    return _equal(rng, "Minimum")


@case((4, 3, 2), (5, 3), **NO_BRANCHES)
def dot_of_two_inputs(rng: Rng) -> Network:
    return Network((
        read("x", 4, 3, 2), read("y", 5, 3),
        conv(rng, "a", (1, 1), 2, 3, "x", activation="relu"),
        layer("Reshape", "r", "a", target_shape=[12, 3]),
        conv(rng, "b", (1,), 3, 3, "y"),
        layer("Dot", "joined", "r", "b", axes=[2, 2], normalize=False),
        layer("Flatten", "f", "joined"),
        dense(rng, "out", 60, 3, "f"),
    ))  # fmt: skip


@case((4, 4, 3), **NO_BRANCHES)
def norms_over_other_axes(rng: Rng) -> Network:
    scales: Tensors = {"gamma": rng.uniform(0.5, 2, (3, 3)).astype(np.float32),
                       "beta": rng.normal(size=(3, 3)).astype(np.float32)}  # fmt: skip
    return network(
        (4, 4, 3),
        conv(rng, "c", (2, 2), 3, 3, activation="relu"),
        layer("LayerNormalization", "n", weights=scales, axis=[2, 3], epsilon=1e-2),
        conv(rng, "e", (1, 1), 3, 4, activation="relu"),
        layer("GroupNormalization", "g", groups=2, axis=-1, epsilon=1e-3, scale=False, center=False),
        layer("UnitNormalization", "u", axis=[1, 2]),
        *end(rng, 36),
    )


def heads(rng: Rng, count: int, size: int, channels: int, made: int, value_size: int = 0) -> Tensors:
    """Return the variables of a `MultiHeadAttention`."""
    sizes = {"query": size, "key": size, "value": value_size or size}
    weights = {}
    for name, one in sizes.items():
        weights[f"{name}_kernel"] = rng.normal(size=(channels, count, one)) / np.sqrt(channels)
        weights[f"{name}_bias"] = 0.2 * rng.normal(size=(count, one))
    weights["output_kernel"] = rng.normal(size=(count, sizes["value"], made)) / np.sqrt(count * sizes["value"])
    weights["output_bias"] = 0.2 * rng.normal(size=made)
    return {name: values.astype(np.float32) for name, values in weights.items()}


@case((5, 3), **NO_BRANCHES)
def multi_head_attention(rng: Rng) -> Network:
    attention = layer("MultiHeadAttention", "m", "q", "v", weights=heads(rng, 2, 3, 4, 4, 5), num_heads=2, key_dim=3,
                      value_dim=5)  # fmt: skip
    return network(
        (5, 3),
        conv(rng, "q", (2,), 3, 4, "x", activation="relu"),
        conv(rng, "v", (1,), 3, 4, "x"),
        replace(attention, keywords=(None, "value")),
        *end(rng, 16),
    )


@case((5, 3), **NO_BRANCHES)
def causal_attention(rng: Rng) -> Network:
    heads_of_two = layer("MultiHeadAttention", "m", "q", "v", weights=heads(rng, 2, 3, 4, 4), num_heads=2, key_dim=3)
    causal = {"use_causal_mask": True}
    return network(
        (5, 3),
        conv(rng, "q", (1,), 3, 4, "x", activation="relu"),
        conv(rng, "v", (1,), 3, 4, "x"),
        replace(heads_of_two, keywords=(None, "value"), settings=causal),
        replace(layer("Attention", "a", "m", "v"), settings=causal),
        *end(rng, 20),
    )


@case((5, 3), **NO_BRANCHES)
def multi_head_self_attention(rng: Rng) -> Network:
    made = layer("MultiHeadAttention", "m", "c", "c", weights=heads(rng, 3, 2, 4, 4), num_heads=3, key_dim=2)
    return network(
        (5, 3),
        conv(rng, "c", (2,), 3, 4, activation="relu"),
        replace(made, keywords=(None, "value")),
        layer("Add", "a", "c", "m"),
        *end(rng, 16),
    )


@case((5, 3), **NO_BRANCHES)
def attention_of_three(rng: Rng) -> Network:
    return network(
        (5, 3),
        conv(rng, "q", (2,), 3, 4, "x", activation="relu"),
        conv(rng, "v", (1,), 3, 2, "x"),
        conv(rng, "k", (1,), 3, 4, "x", activation="relu"),
        layer("Attention", "a", "q", "v", "k", weights={"concat_score_weight": np.float32(1.3)}, use_scale=False,
              score_mode="concat"),
        *end(rng, 8),
    )  # fmt: skip


@case((5, 3), **NO_BRANCHES)
def attention_causal(rng: Rng) -> Network:
    return network(
        (5, 3),
        conv(rng, "q", (1,), 3, 4, "x", activation="relu"),
        conv(rng, "v", (1,), 3, 4, "x"),
        layer("Attention", "a", "q", "v", use_scale=False, causal=True),
        *end(rng, 20),
    )
