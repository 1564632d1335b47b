"""Handlers: pooling."""

from __future__ import annotations

from typing import Any

from torch import nn

from parity.keras.handlers.layer import Built, Layer, Value
from parity.keras.handlers.windows import Window, window
from parity.keras.modules.pooling import (
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    GlobalMaxPool,
    PaddedAvgPool1d,
    PaddedAvgPool2d,
    PaddedAvgPool3d,
    PaddedMaxPool1d,
    PaddedMaxPool2d,
    PaddedMaxPool3d,
)
from parity.keras.modules.tokens import MaskedAveragePool1d

# By the number of spatial axes. Torch's own MaxPool3d has another gradient than TensorFlow's where maxima are equal.
_MAX: dict[int, type[nn.Module]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
_PADDED_MAX: dict[int, type[nn.Module]] = {1: PaddedMaxPool1d, 2: PaddedMaxPool2d, 3: PaddedMaxPool3d}
_AVERAGE: dict[int, type[nn.Module]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
_PADDED_AVERAGE: dict[int, type[nn.Module]] = {1: PaddedAvgPool1d, 2: PaddedAvgPool2d, 3: PaddedAvgPool3d}
_GLOBAL_AVERAGE: dict[int, type[nn.Module]] = {1: GlobalAvgPool1d, 2: GlobalAvgPool2d, 3: GlobalAvgPool3d}
_KEPT_AVERAGE = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


def max_pooling(layer: Layer) -> Built:
    """`MaxPooling1D`, `MaxPooling2D`, `MaxPooling3D`."""
    place = _place(layer)
    axes = len(place.kernel)
    settings = {"kernel_size": _size(place.kernel), "stride": _size(place.stride)}
    if axes in _MAX and _fits_torch(place):
        module = _MAX[axes](**settings, padding=_size(place.padding))
    else:
        module = _PADDED_MAX[axes](place.margins, **settings)
    return Built(Value((*place.spatial, layer.input.shape[-1])), (("", module),))


def average_pooling(layer: Layer) -> Built:
    """`AveragePooling1D`, `AveragePooling2D`, `AveragePooling3D`: padded places are not counted."""
    place = _place(layer)
    axes = len(place.kernel)
    settings = {"kernel_size": _size(place.kernel), "stride": _size(place.stride)}
    if _fits_torch(place):
        module = _AVERAGE[axes](**settings, padding=_size(place.padding), count_include_pad=False)
    else:
        module = _PADDED_AVERAGE[axes](place.margins, **settings)
    return Built(Value((*place.spatial, layer.input.shape[-1])), (("", module),))


def global_average_pooling(layer: Layer) -> Built:
    """`GlobalAveragePooling1D`, `GlobalAveragePooling2D`, `GlobalAveragePooling3D`."""
    axes = _axes(layer)
    keep = layer.config.flag("keepdims", False)
    module: nn.Module
    if layer.input.masked:
        module = MaskedAveragePool1d(keep)
    else:
        module = _KEPT_AVERAGE[axes](1) if keep else _GLOBAL_AVERAGE[axes]()
    return Built(_reduced(layer, axes, keep), (("", module),))


def global_max_pooling(layer: Layer) -> Built:
    """`GlobalMaxPooling1D`, `GlobalMaxPooling2D`, `GlobalMaxPooling3D`."""
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
