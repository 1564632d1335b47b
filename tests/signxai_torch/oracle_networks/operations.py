"""Bare operations between layers, as Keras 2 keeps them in a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, layer, network
from tests.signxai_torch.oracle_networks.registry import NO_BRANCHES, Rng, case

ALL = {"start": None, "stop": None, "step": None}


def _operation(name: str, function: str, *reads: str, **told: Any) -> NetworkLayer:
    """Return an operation; of two tensors the second is told as y."""
    class_name = "SlicingOpLambda" if function.endswith("getitem") else "TFOpLambda"
    keywords = (None, "y") if len(reads) == 2 else ()
    return replace(layer(class_name, name, *reads, function=function), settings=told, keywords=keywords)


@case((5, 4, 2), **NO_BRANCHES)
def sums_and_products(rng: Rng) -> Network:
    return network(
        (5, 4, 2),
        _operation("half", "math.truediv", y=2.0),
        conv(rng, "a", (2, 2), 2, 3, activation="relu"),
        conv(rng, "b", (2, 2), 2, 3, "half"),
        _operation("s", "__operators__.add", "a", "b"),
        _operation("r", "nn.relu", "s"),
        _operation("p", "math.multiply", "r", "b"),
        _operation("d", "math.subtract", "p", "a"),
        _operation("m", "math.reduce_mean", "d", axis=[1, 2]),
        dense(rng, "out", 3, 3),
    )


@case((5, 4, 2), **NO_BRANCHES)
def parts_of_all_axes(rng: Rng) -> Network:
    return network(
        (5, 4, 2),
        conv(rng, "a", (2, 2), 2, 5, activation="relu"),
        _operation("rows", "__operators__.getitem", "a", slice_spec=[ALL, {**ALL, "step": 2}]),
        _operation("last", "__operators__.getitem", "rows", slice_spec=[ALL, ALL, ALL, {**ALL, "start": 1}]),
        _operation("turned", "__operators__.getitem", "last", slice_spec=[ALL, ALL, {**ALL, "step": -1}]),
        layer("Flatten", "f"),
        dense(rng, "out", 24, 3),
    )


@case((5, 4, 2))
def means_of_channels(rng: Rng) -> Network:
    """As many places as channels, where a permutation keeps the shape."""
    return network(
        (5, 4, 2),
        conv(rng, "a", (2, 2), 2, 12, activation="relu"),
        _operation("m", "math.reduce_mean", "a", axis=-1, keepdims=True),
        layer("Flatten", "f"),
        dense(rng, "out", 12, 3),
    )


@case((5, 4))
def product_of_matrices(rng: Rng) -> Network:
    product = replace(layer("TFOpLambda", "p", "a", "b", function="linalg.matmul"), keywords=(None, "b"))
    return network(
        (5, 4),
        dense(rng, "a", 4, 5, activation="relu"),
        dense(rng, "b", 4, 3, "x"),
        product,
        layer("Flatten", "f"),
        dense(rng, "out", 15, 3),
    )


@case((6, 4))
def functions_without_a_layer(rng: Rng) -> Network:
    """Functions of each value: relevance goes through them as through all that keeps the shape."""
    return network(
        (6, 4),
        conv(rng, "a", (2,), 4, 5, activation="softplus"),
        _operation("log", "math.log"),
        conv(rng, "b", (1,), 5, 4, activation="softplus"),
        _operation("root", "math.sqrt"),
        layer("Flatten", "f"),
        dense(rng, "out", 20, 3),
    )
