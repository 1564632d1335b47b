"""Convolutions in their separable forms, pooling, cutting and moving."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, kernel, layer, network, row


def depthwise(rng: np.random.Generator, name: str, size: tuple[int, ...], channels: int, **config: Any) -> NetworkLayer:
    """Return a DepthwiseConv1D or DepthwiseConv2D with two filters for each channel."""
    made = kernel(rng, *size, channels, 2, bias=False, name="depthwise_kernel")
    made = {**made, "bias": (0.2 * rng.normal(size=2 * channels)).astype(np.float32)}
    return layer(f"DepthwiseConv{len(size)}D", name, weights=made, kernel_size=list(size), depth_multiplier=2, **config)


def separable(
    rng: np.random.Generator, name: str, size: tuple[int, ...], channels: int, filters: int, **config: Any
) -> NetworkLayer:
    """Return a SeparableConv1D or SeparableConv2D."""
    places = (1,) * len(size)
    made = {
        **kernel(rng, *size, channels, 1, bias=False, name="depthwise_kernel"),
        **kernel(rng, *places, channels, filters, bias=False, name="pointwise_kernel"),
        "bias": (0.2 * rng.normal(size=filters)).astype(np.float32),
    }
    return layer(f"SeparableConv{len(size)}D", name, weights=made, kernel_size=list(size), filters=filters, **config)


def _ended(rng: np.random.Generator, shape: tuple[int, ...], features: int, *layers: NetworkLayer) -> Network:
    return network(shape, *layers, layer("Flatten", "f"), dense(rng, "out", features, 3))


@row((7, 3), {"lrp_sequential_composite_a": "unsupported"})  # SIGN-XAI has no rule for it there
def depthwise_of_sequences(rng: np.random.Generator) -> Network:
    return _ended(
        rng, (7, 3), 48, depthwise(rng, "d", (2,), 3, activation="relu"), conv(rng, "c", (1,), 6, 8, activation="relu")
    )


@row((6, 5, 2))
def depthwise_of_pictures(rng: np.random.Generator) -> Network:
    first = depthwise(rng, "d", (2, 3), 2, activation="relu", strides=[2, 2], padding="same")
    return _ended(rng, (6, 5, 2), 27, first, conv(rng, "c", (1, 1), 4, 3, activation="relu"))


@row((7, 3))
def separable_of_sequences(rng: np.random.Generator) -> Network:
    return _ended(rng, (7, 3), 30, separable(rng, "s", (3,), 3, 6, activation="relu"))


@row((6, 5, 2))
def separable_of_pictures(rng: np.random.Generator) -> Network:
    first = conv(rng, "c", (1, 1), 2, 3, activation="relu")
    return _ended(rng, (6, 5, 2), 60, first, separable(rng, "s", (2, 2), 3, 3, activation="relu"))


@row((9, 3))
def cropped_sequences(rng: np.random.Generator) -> Network:
    return _ended(
        rng, (9, 3), 20, conv(rng, "c", (2,), 3, 4, activation="relu"), layer("Cropping1D", "k", cropping=[1, 2])
    )


@row((7, 6, 2))
def cropped_pictures(rng: np.random.Generator) -> Network:
    cut = layer("Cropping2D", "k", cropping=[[1, 2], [0, 1]])
    return _ended(rng, (7, 6, 2), 36, conv(rng, "c", (2, 2), 2, 3, activation="relu"), cut)


@row((7, 6, 2))
def largest_of_pictures(rng: np.random.Generator) -> Network:
    first = conv(rng, "c", (2, 2), 2, 5, activation="relu")
    return network((7, 6, 2), first, layer("GlobalMaxPooling2D", "g"), dense(rng, "out", 5, 3))


@row((7, 6, 2))
def turned(rng: np.random.Generator) -> Network:
    first = conv(rng, "c", (2, 2), 2, 3, activation="relu")
    return _ended(rng, (7, 6, 2), 90, first, layer("Permute", "p", dims=[3, 1, 2]))


@row((7, 6, 2))
def channels_dropped_at_training(rng: np.random.Generator) -> Network:
    first = conv(rng, "c", (2, 2), 2, 3, activation="relu")
    return _ended(rng, (7, 6, 2), 90, first, layer("SpatialDropout2D", "s", rate=0.3))
