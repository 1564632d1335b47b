"""Activation functions as layers of their own."""

from __future__ import annotations

import numpy as np

from tests.signxai_torch.oracles import layer as functions
from tests.signxai_torch.oracles.layer import Array, Layer, activation_of


def activation(layer: Layer, x: Array) -> Array:
    return activation_of(layer)(x)


def relu(layer: Layer, x: Array) -> Array:
    """``x`` from the threshold to the bound, which it does not exceed; ``slope * (x - threshold)`` below."""
    bound = layer.config.get("max_value")
    threshold, slope = (layer.config.get(name) or 0.0 for name in ("threshold", "negative_slope"))
    if threshold == 0 and bound is None:
        slope = float(np.float32(slope))  # TensorFlow's leaky_relu
    bent = np.where(x.real >= threshold, x, slope * (x - threshold))
    return bent if bound is None else np.where(bent.real >= bound, bound, bent)


def leaky_relu(layer: Layer, x: Array) -> Array:
    """TensorFlow keeps the slope as float32."""
    return np.where(x.real >= 0, x, float(np.float32(layer.config.get("alpha", 0.3))) * x)


def elu(layer: Layer, x: Array) -> Array:
    return np.where(x.real >= 0, x, layer.config.get("alpha", 1.0) * (np.exp(x) - 1))


def prelu(layer: Layer, x: Array) -> Array:
    """A slope for each number of a sample, or one for all along the shared axes."""
    return np.where(x.real >= 0, x, layer.weights["alpha"].astype(np.float64) * x)


def thresholded_relu(layer: Layer, x: Array) -> Array:
    return np.where(x.real > layer.config.get("theta", 1.0), x, 0)


def softmax(layer: Layer, x: Array) -> Array:
    """The axis is counted with the batch."""
    axis = layer.config.get("axis", -1)
    axis = axis - 1 if axis > 0 else axis
    return np.moveaxis(functions.softmax(np.moveaxis(x, axis, -1)), -1, axis)
