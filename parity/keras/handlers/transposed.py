"""Handlers: transposed convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from parity.keras.handlers.activations import with_activation
from parity.keras.handlers.kernels import fill_bias
from parity.keras.handlers.layer import Built, Layer, Value, fill
from parity.keras.modules.transposed import CroppedConvTranspose1d, CroppedConvTranspose2d, CroppedConvTranspose3d

_TRANSPOSED: dict[int, type[nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_CROPPED: dict[int, type[nn.Module]] = {
    1: CroppedConvTranspose1d,
    2: CroppedConvTranspose2d,
    3: CroppedConvTranspose3d,
}


def transposed_convolution(layer: Layer) -> Built:
    """`Conv1DTranspose`, `Conv2DTranspose`, `Conv3DTranspose`."""
    layer.require_channels_last()
    axes = int(layer.node.class_name[len("Conv")])
    layer.rank(axes + 1)
    channels = layer.known(layer.input.shape[-1], "number of input channels")
    filters = layer.config.integer("filters")
    kernel = layer.config.sizes("kernel_size", axes)
    stride = layer.config.sizes("strides", axes, 1)
    dilation = layer.config.sizes("dilation_rate", axes, 1)
    if layer.config.integer("groups", 1) != 1:
        raise layer.fail("'groups' is not 1, which Keras does not compute. Rebuild the layer without it")
    if axes == 3 and set(dilation) != {1}:
        raise layer.fail(f"'dilation_rate' is {dilation}, which Keras 2 does not compute. Rebuild the layer without it")
    if max(stride) > 1 and max(dilation) > 1:
        raise layer.fail("'strides' and 'dilation_rate' are both above 1, which Keras does not compute")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    more = _output_padding(layer, axes)
    cuts = [_cut(layer, *sizes) for sizes in zip(reach, stride, more, strict=True)]
    spatial = tuple(
        None if size is None else (size - 1) * s + r - sum(cut)
        for size, s, r, cut in zip(layer.input.shape[:-1], stride, reach, cuts, strict=True)
    )
    if any(size is not None and size < 1 for size in spatial):
        raise layer.fail(f"nothing is left of its input {layer.input.shape}. Check input_shape")
    settings: dict[str, Any] = {
        "kernel_size": kernel,
        "stride": stride,
        "dilation": dilation,
        "bias": "bias" in layer.stored,
        "device": "meta",
    }
    # Torch cuts both sides by the same and then adds less than a stride at the end.
    rest = tuple(before - after for before, after in cuts)
    module: nn.Module
    if all(0 <= left < max(s, d) for left, s, d in zip(rest, stride, dilation, strict=True)):
        settings |= {"padding": tuple(before for before, _ in cuts), "output_padding": rest}
        module = _TRANSPOSED[axes](channels, filters, **settings)
    else:
        module = _CROPPED[axes](tuple(cuts), channels, filters, **settings)
    # (*window, out, in) -> (in, out, *window)
    stored = layer.weight("kernel", (*kernel, filters, channels))
    fill(module, weight=layer.tensor(np.moveaxis(stored, (-1, -2), (0, 1))))
    fill_bias(layer, module, filters)
    return with_activation(layer, Value((*spatial, filters)), module)


def _output_padding(layer: Layer, axes: int) -> list[int | None]:
    value = layer.node.config.get("output_padding")
    if value is None:
        return [None] * axes
    values = [value] * axes if type(value) is int else value
    if isinstance(values, list) and len(values) == 1:
        values = values * axes
    if not (isinstance(values, list) and len(values) == axes and all(type(n) is int and n >= 0 for n in values)):
        raise layer.fail(f"'output_padding' is {value!r}, expected {axes} integers that are not negative, or null")
    return values


def _cut(layer: Layer, reach: int, stride: int, more: int | None) -> tuple[int, int]:
    """Return how much of the whole result, ``(size - 1) * stride + reach``, is cut off before and after.

    TensorFlow makes the input of the convolution whose output has the size of the layer's input. `same`: the margins
    of that convolution are cut off, their odd place at the end.
    """
    mode = layer.config.text("padding", "valid").lower()
    if mode not in ("valid", "same"):
        raise layer.fail(f"padding is {mode!r}, expected one of valid, same")
    if mode == "valid":
        total = -max(stride - reach, 0) if more is None else -more
        fits = more is None or more < stride
    else:
        total = reach - stride if more is None else reach - reach % 2 - more
        fits = more is None or 1 <= reach % 2 + more <= stride
    if not fits:
        raise layer.fail(
            f"'output_padding' of {more} does not fit a window of {reach} and a stride of {stride}, and TensorFlow "
            "refuses it. Rebuild the layer with another"
        )
    before = max(total, 0) // 2
    return before, total - before
