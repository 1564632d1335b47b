"""Layers that normalise, by constants or by a sample's own statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.signxai_torch.oracles.layer import Array, Layer


def _axes(layer: Layer, x: Array) -> tuple[int, ...]:
    """Return the axes of a sample that a layer names, counted with the batch axis."""
    axes = layer.config.get("axis", -1)
    return tuple(
        sorted(axis - 1 if axis > 0 else axis + x.ndim for axis in ([axes] if isinstance(axes, int) else axes))
    )


def _spread(values: Array | Sequence[float], axes: Sequence[int], x: Array) -> Array:
    """Return one value per place along some axes so that it meets the sample."""
    return np.asarray(values, np.float64).reshape([n if axis in axes else 1 for axis, n in enumerate(x.shape)])


def _scaled(layer: Layer, x: Array, axes: Sequence[int]) -> Array:
    if "gamma" in layer.weights:
        x = x * _spread(layer.weights["gamma"], axes, x)
    return x + _spread(layer.weights["beta"], axes, x) if "beta" in layer.weights else x


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    away = x - x.mean(axes, keepdims=True)
    return away / np.sqrt((away * away).mean(axes, keepdims=True) + epsilon)


def layer_normalization(layer: Layer, x: Array) -> Array:
    axes = _axes(layer, x)
    return _scaled(layer, _standardized(x, axes, layer.config.get("epsilon", 1e-3)), axes)


def group_normalization(layer: Layer, x: Array) -> Array:
    """Over all places and the channels of a group; -1 groups are as many as there are channels."""
    groups, channels = layer.config["groups"], x.shape[-1]
    groups = channels if groups == -1 else groups
    apart = x.reshape(*x.shape[:-1], groups, channels // groups)
    over = (*range(x.ndim - 1), x.ndim)
    return _scaled(layer, _standardized(apart, over, layer.config.get("epsilon", 1e-3)).reshape(x.shape), (x.ndim - 1,))


def unit_length(x: Array, axes: tuple[int, ...]) -> Array:
    """`l2_normalize`, whose least squared length is 1e-12."""
    squares = (x * x).sum(axes, keepdims=True)
    return x / np.sqrt(np.where(squares.real < 1e-12, 1e-12, squares))


def unit_normalization(layer: Layer, x: Array) -> Array:
    return unit_length(x, _axes(layer, x))


def batch_normalization(layer: Layer, x: Array) -> Array:
    axes, held = _axes(layer, x), layer.weights
    away = x - _spread(held["moving_mean"], axes, x)
    deviation = np.sqrt(_spread(held["moving_variance"], axes, x) + layer.config.get("epsilon", 1e-3))
    return _scaled(layer, away / deviation, axes)


def normalization(layer: Layer, x: Array) -> Array:
    """By constants of the configuration, or by what was adapted to data."""
    axes, held = _axes(layer, x), layer.weights
    mean = held["mean"] if "mean" in held else layer.config["mean"]
    variance = held["variance"] if "variance" in held else layer.config["variance"]
    return (x - _spread(mean, axes, x)) / np.maximum(np.sqrt(_spread(variance, axes, x)), 1e-7)


def rescaling(layer: Layer, x: Array) -> Array:
    """Keras 2 makes a float32 of a number before it meets a tensor of another dtype."""
    return x * float(np.float32(layer.config["scale"])) + float(np.float32(layer.config.get("offset", 0.0)))


def layer_scale(layer: Layer, x: Array) -> Array:
    return x * layer.weights["gamma"].astype(np.float64)
