"""Layers that choose, average, move, repeat or cut what lies along the spatial axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.signxai_torch.oracles.layer import Array, Layer, number_per_axis, windows

Choice = Callable[[Array], Array]
"""From the values in a window (places, channels) to one per channel."""


def first_maximum(values: Array) -> Array:
    """In one and two dimensions TensorFlow's max-pooling hands everything to the first of several maxima."""
    return np.take_along_axis(values, values.real.argmax(0)[None], 0)[0]


def every_maximum(values: Array) -> Array:
    """In three dimensions each of several maxima gets everything."""
    won = values.real == values.real.max(0)
    return values.real.max(0) + 1j * np.where(won, values.imag, 0).sum(0)


def shared_maximum(values: Array) -> Array:
    """A maximum over whole axes shares equally (`reduce_max`)."""
    won = values.real == values.real.max(0)
    return values.real.max(0) + 1j * np.where(won, values.imag, 0).sum(0) / won.sum(0)


def _pooled(layer: Layer, x: Array, choose: Choice) -> Array:
    axes, config = x.ndim - 1, layer.config
    kernel = number_per_axis(config.get("pool_size"), axes, 2)
    stride = kernel if config.get("strides") is None else number_per_axis(config["strides"], axes)
    laid = windows(x.shape[:-1], kernel, stride, config.get("padding", "valid"))
    made = np.zeros((*laid.output, x.shape[-1]), x.dtype)
    for position in np.ndindex(*laid.output):
        chosen = choose(np.stack([x[place] for _, place in laid.links(position)]))
        made[position] = chosen if np.iscomplexobj(x) else chosen.real
    return made


def max_pooling(layer: Layer, x: Array) -> Array:
    return _pooled(layer, x, every_maximum if x.ndim == 4 else first_maximum)


def average_pooling(layer: Layer, x: Array) -> Array:
    """What is padded is not counted."""
    return _pooled(layer, x, lambda values: values.mean(0))


def _kept(layer: Layer, x: Array, made: Array) -> Array:
    return made.reshape(*(1,) * (x.ndim - 1), -1) if layer.config.get("keepdims") else made


def global_max(layer: Layer, x: Array) -> Array:
    chosen = shared_maximum(x.reshape(-1, x.shape[-1]))
    return _kept(layer, x, chosen if np.iscomplexobj(x) else chosen.real)


def global_average(layer: Layer, x: Array, mask: Array | None = None) -> Array:
    """Steps that are off in the mask are not counted."""
    counted = x if mask is None else x[mask]
    return _kept(layer, x, counted.reshape(-1, x.shape[-1]).mean(0))


def up_sampling(layer: Layer, x: Array) -> Array:
    factors = number_per_axis(layer.config.get("size"), x.ndim - 1, 2)
    nearest = layer.config.get("interpolation", "nearest") == "nearest"
    for axis, factor in enumerate(factors):
        x = np.repeat(x, factor, axis) if nearest else _interpolated(x, axis, factor)
    return x


def _interpolated(x: Array, axis: int, factor: int) -> Array:
    """Between the centres of pixels, which are squares; outside the outermost centres nothing changes."""
    size = x.shape[axis]
    weights = np.zeros((size * factor, size))
    for new in range(size * factor):
        centre = (new + 0.5) / factor - 0.5
        low = int(np.floor(centre))
        for old, share in ((low, 1 - (centre - low)), (low + 1, centre - low)):
            weights[new, min(max(old, 0), size - 1)] += share
    return np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)


def _margins(value: object, axes: int) -> list[tuple[int, int]]:
    """Return (before, after) per axis; Keras takes one number, one per axis, or a pair per axis (in 1-D a pair)."""
    given = [value] * axes if isinstance(value, int) else list(value)  # type: ignore[call-overload]
    if axes == 1 and len(given) == 2:
        given = [given]
    return [(one, one) if isinstance(one, int) else tuple(one) for one in given]


def zero_padding(layer: Layer, x: Array) -> Array:
    return np.pad(x, [*_margins(layer.config.get("padding", 1), x.ndim - 1), (0, 0)])


def cropping(layer: Layer, x: Array) -> Array:
    for axis, (before, after) in enumerate(_margins(layer.config.get("cropping", 1), x.ndim - 1)):
        x = np.take(x, range(before, x.shape[axis] - after), axis)
    return x


def centre_crop(layer: Layer, x: Array) -> Array:
    for axis, size in enumerate((layer.config["height"], layer.config["width"])):
        first = (x.shape[axis] - size) // 2
        x = np.take(x, range(first, first + size), axis)
    return x


def nearest(layer: Layer, x: Array) -> Array:
    """`Resizing` to the nearest pixel, all pixels being squares; other interpolations have no oracle."""
    assert layer.config["interpolation"] == "nearest"
    for axis, places in enumerate((layer.config["height"], layer.config["width"])):
        x = np.take(x, ((np.arange(places) + 0.5) * x.shape[axis] / places).astype(int), axis)
    return x


def flatten(layer: Layer, x: Array) -> Array:
    return x.reshape(-1)


def reshape(layer: Layer, x: Array) -> Array:
    return x.reshape(layer.config["target_shape"])


def permute(layer: Layer, x: Array) -> Array:
    return x.transpose([axis - 1 for axis in layer.config["dims"]])


def repeat_vector(layer: Layer, x: Array) -> Array:
    return np.stack([x] * layer.config["n"])


def identity(layer: Layer, x: Array) -> Array:
    """What does something in training only."""
    return x
