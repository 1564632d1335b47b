"""What TensorFlow has no kernel for on a CPU: channels first, and in float64 3-D pooling and bilinear upsampling.

MaxPool3D and AvgPool3D exist in float32 only, and ResizeBilinear rounds its result to float32, so no reference could
run a model with them in float64. Their Keras layers are given the same functions there, made of slices and products.
What these compute is held to TensorFlow's own kernels in float32, gradient included, by
`tests/parity/reference/test_missing_kernels.py`. In float32 nothing is changed.

Convolutions and pooling with the channels first have no kernel in float64. In float32 oneDNN's pooling, outside of a
graph, takes such images for images with the channels last and pools other axes, without a word. So the channels are
moved to the end and back, as Keras itself does on a CPU in other layers. Each answer notes what was done for it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf
from keras import layers
from keras.layers.convolutional.base_conv import Conv
from keras.layers.pooling.base_pooling2d import Pooling2D
from keras.layers.pooling.base_pooling3d import Pooling3D
from keras.layers.reshaping.up_sampling2d import UpSampling2D

_AXES = (1, 2, 3)


def install() -> None:
    """Let the pooling layers of three axes and `UpSampling2D` work in float64, in this process."""
    native, native_resize = Pooling3D.call, UpSampling2D.call

    def call(layer: Any, inputs: Any) -> Any:
        if inputs.dtype != tf.float64:
            return native(layer, inputs)
        before, layer.pool_function = layer.pool_function, POOLINGS[layer.pool_function]
        try:
            return native(layer, inputs)
        finally:
            layer.pool_function = before

    def call_resize(layer: Any, inputs: Any) -> Any:
        if inputs.dtype == tf.float64 and layer.interpolation == "bilinear" and None not in inputs.shape[1:]:
            return resize_bilinear(inputs, layer.size)
        return native_resize(layer, inputs)

    Pooling3D.call, UpSampling2D.call = call, call_resize
    for kind in _NO_CHANNELS_FIRST:
        kind.call = with_channels_last(kind.call)


_NO_CHANNELS_FIRST: tuple[Any, ...] = (
    Conv, layers.SeparableConv1D, layers.SeparableConv2D, layers.DepthwiseConv1D, layers.Conv1DTranspose,
    layers.Conv2DTranspose, layers.Conv3DTranspose, Pooling2D, UpSampling2D,
)  # fmt: skip


def notes(model: Any, dtype: str) -> list[str]:
    """Return what was done so that TensorFlow can run a model, by layers."""
    told: dict[str, list[str]] = {}
    for layer in model._flatten_layers(include_self=False):
        first = getattr(layer, "data_format", None) == "channels_first"
        if isinstance(layer, _NO_CHANNELS_FIRST) and first:
            told.setdefault("channels moved to the end and back", []).append(layer.name)
        bilinear = isinstance(layer, UpSampling2D) and layer.interpolation == "bilinear"
        if dtype == "float64" and (bilinear or isinstance(layer, Pooling3D)):
            told.setdefault("computed in float64, which TensorFlow cannot", []).append(layer.name)
    return [f"{what}: {', '.join(names)}" for what, names in told.items()]


def with_channels_last(native: Callable[..., Any]) -> Callable[..., Any]:
    """Return a layer's `call` that sees the channels last."""

    def call(layer: Any, inputs: Any) -> Any:
        if layer.data_format != "channels_first":
            return native(layer, inputs)
        axes = inputs.shape.rank
        changes = {"data_format": "channels_last", "_channels_first": False}
        changes["_tf_data_format"] = {3: "NWC", 4: "NHWC", 5: "NDHWC"}[axes]
        before = {name: getattr(layer, name) for name in changes if hasattr(layer, name)}
        try:
            for name in before:
                setattr(layer, name, changes[name])
            made = native(layer, tf.transpose(inputs, [0, *range(2, axes), 1]))
        finally:
            for name, value in before.items():
                setattr(layer, name, value)
        return tf.transpose(made, [0, axes - 1, *range(1, axes - 1)])

    return call


def max_pool(x: Any, ksize: tuple[int, ...], strides: tuple[int, ...], padding: str) -> Any:
    """Return `tf.nn.max_pool3d`; as there, each of several equal maxima gets the whole gradient."""
    lowest = tf.constant(x.dtype.min, x.dtype)
    slices = _slices(x, ksize, strides, padding, lowest)
    largest = slices[0]
    for values in slices[1:]:
        largest = tf.maximum(largest, values)
    largest = tf.stop_gradient(largest)
    result = largest
    for values in slices:
        chosen = tf.where(tf.equal(values, largest), values, tf.zeros_like(values))
        result += chosen - tf.stop_gradient(chosen)  # zero, with a gradient of one
    return result


def average_pool(x: Any, ksize: tuple[int, ...], strides: tuple[int, ...], padding: str) -> Any:
    """Return `tf.nn.avg_pool3d`: margins are not counted."""
    zero = tf.constant(0, x.dtype)
    counts = _slices(tf.ones_like(x), ksize, strides, padding, zero)
    return tf.add_n(_slices(x, ksize, strides, padding, zero)) / tf.stop_gradient(tf.add_n(counts))


def resize_bilinear(x: Any, factors: tuple[int, int]) -> Any:
    """Return `tf.image.resize` to multiples of the size: linear between the centres of pixels."""
    for axis, factor in zip((1, 2), factors, strict=True):
        size = x.shape[axis]
        centres = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
        weights = np.maximum(1 - np.abs(centres[:, None] - np.arange(size)), 0)
        x = tf.einsum("bhwc,ih->biwc" if axis == 1 else "bhwc,iw->bhic", x, tf.constant(weights, x.dtype))
    return x


POOLINGS: dict[Any, Callable[..., Any]] = {tf.nn.max_pool3d: max_pool, tf.nn.avg_pool3d: average_pool}


def _slices(x: Any, ksize: tuple[int, ...], strides: tuple[int, ...], padding: str, margin: Any) -> list[Any]:
    """Return, for each place in a window, what all windows have there."""
    sides, counts = [], []
    for axis in _AXES:
        size = x.shape[axis]
        largest = max
        if size is None:
            size, largest = tf.shape(x)[axis], tf.maximum
        window, step = ksize[axis], strides[axis]
        total = largest((-(-size // step) - 1) * step + window - size, 0) if padding == "SAME" else 0
        sides.append([total // 2, total - total // 2])
        counts.append((size + total - window) // step + 1)
    wider = tf.pad(x, [[0, 0], *sides, [0, 0]], constant_values=margin)
    places = []
    for offset in product(*(range(ksize[axis]) for axis in _AXES)):
        spans = [
            slice(first, first + strides[axis] * (count - 1) + 1, strides[axis])
            for first, axis, count in zip(offset, _AXES, counts, strict=True)
        ]
        places.append(wider[:, spans[0], spans[1], spans[2], :])
    return places
