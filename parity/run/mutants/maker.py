"""Makes the layers of small networks, with weights of a network's own random numbers."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.keras.network import NetworkLayer

Array = npt.NDArray[Any]


class Maker:
    """Makes layers with weights of its own random numbers."""

    def __init__(self, name: str) -> None:
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def values(self, *shape: int) -> Array:
        """Return normal numbers, smaller the more of them are added up."""
        fan_in = max(math.prod(shape[:-1]), 1)
        return (self.rng.normal(size=shape) / math.sqrt(fan_in)).astype(np.float32)

    def dense(self, name: str, reads: str, features: int, units: int, activation: str = "linear") -> NetworkLayer:
        """Return a Dense layer."""
        weights = {"kernel": self.values(features, units), "bias": self.values(units) * 0.3}
        config = {"units": units, "activation": activation, "use_bias": True}
        return NetworkLayer(name, "Dense", config, (reads,), weights)

    def convolution(
        self, name: str, reads: str, channels: int, filters: int, size: tuple[int, ...], activation: str = "relu"
    ) -> NetworkLayer:
        """Return a Conv1D or Conv2D layer that keeps the size."""
        weights = {"kernel": self.values(*size, channels, filters), "bias": self.values(filters) * 0.3}
        config = {
            "filters": filters, "kernel_size": list(size), "strides": [1] * len(size), "padding": "same",
            "activation": activation, "use_bias": True,
        }  # fmt: skip
        return NetworkLayer(name, f"Conv{len(size)}D", config, (reads,), weights)

    def normalization(self, name: str, reads: str, channels: int, center: bool = True) -> NetworkLayer:
        """Return a BatchNormalization layer."""
        weights = {"gamma": self.rng.uniform(0.5, 1.5, channels).astype(np.float32)}
        if center:
            weights["beta"] = self.values(channels)
        weights["moving_mean"] = self.values(channels)
        weights["moving_variance"] = self.rng.uniform(0.5, 2.0, channels).astype(np.float32)
        config = {"axis": [-1], "epsilon": 1e-3, "center": center, "scale": True}
        return NetworkLayer(name, "BatchNormalization", config, (reads,), weights)

    def attention(self, name: str, query: str, value: str, steps: int, channels: int) -> NetworkLayer:
        """Return a MultiHeadAttention of two heads of three, which keeps the shape."""
        weights: dict[str, Array] = {}
        for role in ("query", "key", "value"):
            weights[f"{role}_kernel"] = self.values(channels, 6).reshape(channels, 2, 3)
            weights[f"{role}_bias"] = self.values(2, 3) * 0.3
        weights["output_kernel"] = self.values(6, channels).reshape(2, 3, channels)
        weights["output_bias"] = self.values(channels) * 0.3
        shapes = {f"{role}_shape": [None, steps, channels] for role in ("query", "key", "value")}
        config = {"num_heads": 2, "key_dim": 3, "value_dim": 3, "use_bias": True, "output_shape": None, **shapes}
        return NetworkLayer(
            name, "MultiHeadAttention", config, (query, value), weights, None, (None, "value")
        )  # fmt: skip


def input_layer(*shape: int) -> NetworkLayer:
    """Return the input `x`."""
    return NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, *shape]}, ())


def plain(name: str, kind: str, *reads: str, **config: Any) -> NetworkLayer:
    """Return a layer without weights."""
    return NetworkLayer(name, kind, config, reads)
