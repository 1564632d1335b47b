"""Handlers: pooling."""

from __future__ import annotations

from typing import Any

from torch import nn

from parity.keras.handlers.layer import Built, Layer, Value
from parity.keras.handlers.windows import Window, window
from parity.keras.modules.pooling import (
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalMaxPool,
    PaddedAvgPool1d,
    PaddedAvgPool2d,
    PaddedMaxPool1d,
    PaddedMaxPool2d,
)
from parity.keras.modules.tokens import MaskedAveragePool1d


def max_pooling(layer: Layer) -> Built:
    """`MaxPooling1D`, `MaxPooling2D`."""
    place = _place(layer)
    one = len(place.kernel) == 1
    settings = {"kernel_size": _size(place.kernel), "stride": _size(place.stride)}
    module: nn.Module
    if _fits_torch(place):
        module = (nn.MaxPool1d if one else nn.MaxPool2d)(**settings, padding=_size(place.padding))
    else:
        module = (PaddedMaxPool1d if one else PaddedMaxPool2d)(place.margins, **settings)
    return Built(Value((*place.spatial, layer.input.shape[-1])), (("", module),))


def average_pooling(layer: Layer) -> Built:
    """`AveragePooling1D`, `AveragePooling2D`: padded places are not counted."""
    place = _place(layer)
    one = len(place.kernel) == 1
    settings = {"kernel_size": _size(place.kernel), "stride": _size(place.stride)}
    module: nn.Module
    if _fits_torch(place):
        even = {"padding": _size(place.padding), "count_include_pad": False}
        module = (nn.AvgPool1d if one else nn.AvgPool2d)(**settings, **even)
    else:
        module = (PaddedAvgPool1d if one else PaddedAvgPool2d)(place.margins, **settings)
    return Built(Value((*place.spatial, layer.input.shape[-1])), (("", module),))


def global_average_pooling(layer: Layer) -> Built:
    """`GlobalAveragePooling1D`, `GlobalAveragePooling2D`."""
    axes = _axes(layer)
    keep = layer.config.flag("keepdims", False)
    module: nn.Module
    if layer.input.masked:
        module = MaskedAveragePool1d(keep)
    elif axes == 1:
        module = nn.AdaptiveAvgPool1d(1) if keep else GlobalAvgPool1d()
    else:
        module = nn.AdaptiveAvgPool2d(1) if keep else GlobalAvgPool2d()
    return Built(_reduced(layer, axes, keep), (("", module),))


def global_max_pooling(layer: Layer) -> Built:
    """`GlobalMaxPooling1D`, `GlobalMaxPooling2D`."""
    axes = _axes(layer)
    keep = layer.config.flag("keepdims", False)
    return Built(_reduced(layer, axes, keep), (("", GlobalMaxPool(keep)),))


def _axes(layer: Layer) -> int:
    layer.require_channels_last()
    axes = int(layer.node.class_name[-2])
    layer.rank(axes + 1)
    return axes


def _place(layer: Layer) -> Window:
    axes = _axes(layer)
    kernel = layer.config.sizes("pool_size", axes, 2)
    stride = kernel if layer.node.config.get("strides") is None else layer.config.sizes("strides", axes)
    return window(layer, kernel, stride, (1,) * axes)


def _reduced(layer: Layer, axes: int, keep: bool) -> Value:
    channels = layer.input.shape[-1]
    return Value((*(1,) * axes, channels) if keep else (channels,))


def _fits_torch(place: Window) -> bool:
    """Torch's own pooling pads evenly, by at most half a window."""
    return place.even and all(2 * p <= k for p, k in zip(place.padding, place.kernel, strict=True))


def _size(sizes: tuple[int, ...]) -> Any:
    return sizes[0] if len(sizes) == 1 else sizes
