"""Bare operations between layers, such as ``x + y`` or ``tf.reduce_mean(x)``, by the name in a file of Keras 2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.signxai_torch.oracles.layer import Array, Layer


def _own_axes(x: Array, axes: int | Sequence[int]) -> tuple[int, ...]:
    """Return axes of a sample that are counted with the batch axis."""
    counted = [axes] if isinstance(axes, int) else axes
    return tuple(axis - 1 if axis > 0 else axis + x.ndim for axis in counted)


def _mean(input_tensor: Array, axis: int | Sequence[int], keepdims: bool = False) -> Array:
    return input_tensor.mean(_own_axes(input_tensor, axis), keepdims=keepdims)


def _maximum(input_tensor: Array, axis: int | Sequence[int], keepdims: bool = False) -> Array:
    """Equal values share."""
    axes = _own_axes(input_tensor, axis)
    won = input_tensor.real == input_tensor.real.max(axes, keepdims=True)
    shared = np.where(won, input_tensor, 0).sum(axes, keepdims=True) / won.sum(axes, keepdims=True)
    return shared if keepdims else np.squeeze(shared, axes)


def _concatenated(*values: Array, axis: int = -1) -> Array:
    return np.concatenate(values, axis - 1 if axis > 0 else axis)


def _part(x: Array, slice_spec: Sequence[Any]) -> Array:
    """The first axis is the batch's, unless an ellipsis stands for it."""
    spelled: list[Any] = [
        Ellipsis if one.get("class_name") == "__ellipsis__" else slice(one["start"], one["stop"], one["step"])
        for one in slice_spec
    ]
    return x[tuple(spelled if spelled[0] is Ellipsis else spelled[1:])]


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "__operators__.add": lambda x, y: x + y,
    "math.subtract": lambda x, y: x - y,
    "math.multiply": lambda x, y: x * y,
    "math.square": lambda x: x * x,
    "math.log": np.log,
    "math.sqrt": np.sqrt,
    "math.log1p": np.log1p,
    "math.atan": np.arctan,
    "tile": lambda x, multiples: np.tile(x, multiples[1:]),
    "math.truediv": lambda x, y: x / y,
    "nn.bias_add": lambda value, bias, data_format: value + np.asarray(bias),
    "nn.relu": lambda features: np.where(features.real > 0, features, 0),
    "math.reduce_mean": _mean,
    "math.reduce_max": _maximum,
    "concat": _concatenated,
    "linalg.matmul": lambda a, b: a @ b,
    "__operators__.getitem": _part,
}


def operation(layer: Layer, *tensors: Array) -> Array:
    """A tensor stands by place or under the name of its argument, and so do constants."""
    names = layer.keywords or (None,) * len(tensors)
    by_place = [tensor for name, tensor in zip(names, tensors, strict=True) if name is None]
    by_name = {name: tensor for name, tensor in zip(names, tensors, strict=True) if name is not None}
    return FUNCTIONS[layer.config["function"]](*by_place, **by_name, **layer.settings)
