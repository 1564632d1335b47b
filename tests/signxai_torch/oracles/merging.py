"""Layers that make one tensor of several."""

from __future__ import annotations

import numpy as np

from tests.signxai_torch.oracles.layer import Array, Layer
from tests.signxai_torch.oracles.normalization import unit_length


def add(layer: Layer, *tensors: Array) -> Array:
    return sum(tensors[1:], start=tensors[0])


def average(layer: Layer, *tensors: Array) -> Array:
    return sum(tensors[1:], start=tensors[0]) / len(tensors)


def multiply(layer: Layer, *tensors: Array) -> Array:
    return np.prod(np.stack(np.broadcast_arrays(*tensors)), axis=0)


def subtract(layer: Layer, x: Array, y: Array) -> Array:
    return x - y


def maximum(layer: Layer, *tensors: Array) -> Array:
    """Of equal values the first one is taken."""
    largest = tensors[0]
    for other in tensors[1:]:
        largest = np.where(other.real > largest.real, other, largest)
    return largest


def minimum(layer: Layer, *tensors: Array) -> Array:
    """Of equal values the first one is taken."""
    smallest = tensors[0]
    for other in tensors[1:]:
        smallest = np.where(other.real < smallest.real, other, smallest)
    return smallest


def scaled_sum(layer: Layer, x: Array, residual: Array) -> Array:
    """`CustomScaleLayer` of keras.applications' InceptionResNetV2."""
    return x + layer.config["scale"] * residual


def dot(layer: Layer, x: Array, y: Array) -> Array:
    """What is left of x, then what is left of y; axes are counted with the batch."""
    axes = layer.config["axes"]
    a, b = (axis - 1 if axis > 0 else axis for axis in ((axes, axes) if isinstance(axes, int) else axes))
    if layer.config.get("normalize"):
        x, y = unit_length(x, (a,)), unit_length(y, (b,))
    return np.atleast_1d(np.tensordot(x, y, (a, b)))


def concatenate(layer: Layer, *tensors: Array) -> Array:
    axis = layer.config.get("axis", -1)
    return np.concatenate(tensors, axis - 1 if axis > 0 else axis)
