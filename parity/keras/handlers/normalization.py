"""Handlers: normalisation by a sample's own statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity.keras.handlers.activations import torch_axis
from parity.keras.handlers.layer import Built, Layer, Value, Variable, fill
from parity.keras.modules.normalization import LEAST_SQUARE, LEAST_SQUARE_OF_KERAS_3, AxesNorm, GroupNorm, UnitNorm


def scale_and_offset(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Gamma and beta, as far as the configuration has them."""
    keys = (("gamma", "scale"), *((("beta", "center"),) if not config.get("rms_scaling") else ()))
    return tuple(Variable(name) for name, key in keys if config.get(key) is not False)


def layer_normalization(layer: Layer) -> Built:
    """`LayerNormalization` over any axes."""
    shape = layer.input.shape
    if layer.node.config.get("rms_scaling"):
        raise layer.fail("'rms_scaling' is not supported. Rebuild the layer without it")
    axes = _axes(layer)
    sizes = {axis: layer.known(shape[axis - 1], "size along 'axis'") for axis in axes}
    # Keras reshapes its numbers, whatever the order of the axes that they were made in.
    broadcast = [sizes.get(axis, 1) for axis in range(1, len(shape) + 1)]
    weight, bias = (
        layer.tensor(np.moveaxis(layer.weight(name, tuple(sizes.values())).reshape(broadcast), -1, 0))
        if name in layer.stored
        else None
        for name in ("gamma", "beta")
    )
    module = AxesNorm([torch_axis(layer, axis) for axis in sorted(axes)], _epsilon(layer), weight, bias)
    return Built(Value(shape), (("", module),))


def group_normalization(layer: Layer) -> Built:
    """`GroupNormalization` over the channels; Keras 2 builds it along no other axis."""
    shape = layer.input.shape
    if _axes(layer) != [len(shape)]:
        raise layer.fail(f"'axis' is {layer.node.config.get('axis')!r}; only the last axis is supported")
    channels = layer.known(shape[-1], "number of channels")
    groups = layer.config.integer("groups", 32)
    groups = channels if groups == -1 else groups
    if groups < 1 or channels % groups:
        raise layer.fail(f"{groups} groups do not divide {channels} channels")
    module = GroupNorm(groups, channels, _epsilon(layer), device="meta")
    values = {name: layer.weight(name, (channels,)) for name in layer.stored}
    fill(
        module,
        weight=layer.tensor(values.get("gamma", np.ones(channels))),
        bias=layer.tensor(values.get("beta", np.zeros(channels))),
    )
    return Built(Value(shape), (("", module),))


def unit_normalization(layer: Layer) -> Built:
    """`UnitNormalization` over any axes."""
    axes = [torch_axis(layer, axis) for axis in _axes(layer)]
    least_square = LEAST_SQUARE if layer.keras_major < 3 else LEAST_SQUARE_OF_KERAS_3
    return Built(Value(layer.input.shape), (("", UnitNorm(axes, least_square)),))


def _epsilon(layer: Layer) -> float:
    epsilon = layer.config.number("epsilon", 1e-3)
    if epsilon < 0:
        raise layer.fail(f"'epsilon' is {epsilon}, expected a number that is not negative")
    return epsilon


def _axes(layer: Layer) -> list[int]:
    """Return the axes of the configuration, positive, in its order."""
    rank = len(layer.input.shape)
    axes = layer.node.config.get("axis", -1)
    axes = axes if isinstance(axes, list) else [axes]
    positive = [axis + rank + 1 if type(axis) is int and axis < 0 else axis for axis in axes]
    if not positive or len(set(positive)) != len(axes) or not all(type(a) is int and 1 <= a <= rank for a in positive):
        raise layer.fail(f"'axis' is {layer.node.config.get('axis')!r}, expected different axes from 1 to {rank}")
    return positive
