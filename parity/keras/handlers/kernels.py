"""Handlers: layers with a kernel (dense and convolutional)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from parity.keras.handlers.activations import with_activation
from parity.keras.handlers.layer import Built, FloatArray, Layer, Value, Variable, fill
from parity.keras.handlers.windows import Window, window
from parity.keras.modules.kernels import ChannelLinear, PaddedConv1d, PaddedConv2d, PaddedConv3d, SeparableConv

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_PADDED_CONV = {1: PaddedConv1d, 2: PaddedConv2d, 3: PaddedConv3d}


def kernel_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Kernel and bias."""
    return _with_bias(config, "kernel")


def depthwise_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Depthwise kernel and bias."""
    return _with_bias(config, "depthwise_kernel")


def separable_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Both kernels and bias."""
    return _with_bias(config, "depthwise_kernel", "pointwise_kernel")


def _with_bias(config: Mapping[str, Any], *kernels: str) -> tuple[Variable, ...]:
    names = kernels if config.get("use_bias") is False else (*kernels, "bias")
    return tuple(Variable(name) for name in names)


def dense(layer: Layer) -> Built:
    """`Dense`: on features, or on the last axis of sequences and images."""
    units = layer.config.integer("units")
    features = layer.known(layer.input.shape[-1], "number of input features")
    kernel = layer.weight("kernel", (features, units))
    if layer.input.order is not None:
        kernel = kernel[layer.input.order]
    kind = nn.Linear if len(layer.input.shape) == 1 else ChannelLinear
    module = kind(features, units, bias="bias" in layer.stored, device="meta")
    fill(module, weight=layer.tensor(kernel.T))
    fill_bias(layer, module, units)
    return with_activation(layer, Value((*layer.input.shape[:-1], units)), module)


def convolution(layer: Layer) -> Built:
    """`Conv1D`, `Conv2D`, `Conv3D`."""
    axes = layer.rank(2, 3, 4) - 1
    place, channels = _place(layer, axes)
    filters = layer.config.integer("filters")
    groups = layer.config.integer("groups", 1)
    if groups < 1 or channels % groups or filters % groups:
        raise layer.fail(f"{groups} groups do not divide {channels} input channels and {filters} filters")
    kernel = layer.weight("kernel", (*place.kernel, channels // groups, filters))
    # (*window, in, out) -> (out, in, *window)
    weight = np.moveaxis(kernel, (-1, -2), (0, 1))
    return _finish(layer, place, _convolution(layer, place, weight, channels, groups))


def depthwise(layer: Layer) -> Built:
    """`DepthwiseConv1D`, `DepthwiseConv2D`: a convolution with one group per input channel."""
    axes = layer.rank(2, 3) - 1
    place, channels = _place(layer, axes)
    weight = _depthwise_weight(layer, place, channels)
    return _finish(layer, place, _convolution(layer, place, weight, channels, groups=channels))


def separable(layer: Layer) -> Built:
    """`SeparableConv1D`, `SeparableConv2D`: one module, because it is one linear layer."""
    axes = layer.rank(2, 3) - 1
    place, channels = _place(layer, axes)
    filters = layer.config.integer("filters")
    depthwise_weight = _depthwise_weight(layer, place, channels)
    middle = depthwise_weight.shape[0]
    pointwise = layer.weight("pointwise_kernel", (*(1,) * axes, middle, filters))
    module = SeparableConv(
        layer.tensor(depthwise_weight),
        layer.tensor(np.moveaxis(pointwise, (-1, -2), (0, 1))),
        layer.tensor(layer.weight("bias", (filters,))) if "bias" in layer.stored else None,
        place.stride,
        place.dilation,
        place.margins,
    )
    return with_activation(layer, Value((*place.spatial, filters)), module)


def _place(layer: Layer, axes: int) -> tuple[Window, int]:
    layer.require_channels_last()
    expected = int(layer.node.class_name[-2])
    if axes != expected:
        layer.rank(expected + 1)
    channels = layer.known(layer.input.shape[-1], "number of input channels")
    kernel = layer.config.sizes("kernel_size", axes)
    stride = layer.config.sizes("strides", axes, 1)
    dilation = layer.config.sizes("dilation_rate", axes, 1)
    return window(layer, kernel, stride, dilation), channels


def _depthwise_weight(layer: Layer, place: Window, channels: int) -> FloatArray:
    """Return `(channels * multiplier, 1, *window)` of a Keras `(*window, channels, multiplier)`."""
    multiplier = layer.config.integer("depth_multiplier", 1)
    kernel = layer.weight("depthwise_kernel", (*place.kernel, channels, multiplier))
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    return moved.reshape(channels * multiplier, 1, *place.kernel)


def _convolution(layer: Layer, place: Window, weight: FloatArray, channels: int, groups: int) -> nn.Module:
    axes = len(place.kernel)
    filters = weight.shape[0]
    settings: dict[str, Any] = {
        "kernel_size": place.kernel,
        "stride": place.stride,
        "dilation": place.dilation,
        "groups": groups,
        "bias": "bias" in layer.stored,
        "device": "meta",
    }
    module: nn.Module
    if place.even:
        settings["padding"] = place.padding
        module = _CONV[axes](channels, filters, **settings)
    else:
        module = _PADDED_CONV[axes](place.margins, channels, filters, **settings)
    fill(module, weight=layer.tensor(weight))
    fill_bias(layer, module, filters)
    return module


def fill_bias(layer: Layer, module: nn.Module, size: int) -> None:
    """Set the bias of a module, if the layer has one."""
    if "bias" in layer.stored:
        fill(module, bias=layer.tensor(layer.weight("bias", (size,))))


def _finish(layer: Layer, place: Window, module: nn.Module) -> Built:
    weight = module.weight
    assert isinstance(weight, nn.Parameter)
    return with_activation(layer, Value((*place.spatial, weight.shape[0])), module)
