"""Handlers: layers whose kernel is another at each place, in the three forms in which Keras stores it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

from parity.keras.handlers.activations import with_activation
from parity.keras.handlers.layer import Built, FloatArray, Layer, Value
from parity.keras.handlers.windows import Window, window
from parity.keras.modules.local import LocallyConnected
from parity.keras.modules.padding import FixedMargins


def locally_connected(layer: Layer) -> Built:
    """`LocallyConnected1D`, `LocallyConnected2D`."""
    layer.require_channels_last()
    axes = int(layer.node.class_name[-2])
    layer.rank(axes + 1)
    channels = layer.known(layer.input.shape[-1], "number of input channels")
    sizes = tuple(
        layer.known(size, "input size, on which the number of its weights depends,") for size in layer.input.shape[:-1]
    )
    filters = layer.config.integer("filters")
    kernel = layer.config.sizes("kernel_size", axes)
    place = window(layer, kernel, layer.config.sizes("strides", axes, 1), (1,) * axes)
    output = tuple(layer.known(size, "output size") for size in place.spatial)
    implementation = layer.config.integer("implementation", 1)
    stored = {1: _by_place, 2: _masked, 3: _sparse}.get(implementation)
    if stored is None:
        raise layer.fail(f"'implementation' is {implementation}, expected 1, 2 or 3")
    if implementation == 1 and layer.config.text("padding", "valid").lower() != "valid":
        raise layer.fail("'padding' is not 'valid', which Keras computes with implementation 2 or 3 only")
    margins = _margins(layer, place, sizes, output)
    weight = stored(layer, _Sizes(place, margins, sizes, output, channels, filters))
    bias = None
    if "bias" in layer.stored:
        bias = layer.tensor(shaped_bias(layer.weight("bias", (*output, filters)), layer.channels_first))
    module = LocallyConnected(layer.tensor(weight), bias, kernel, place.stride, output, margins)
    return with_activation(layer, Value((*output, filters)), module)


def shaped_bias(values: FloatArray, channels_first: bool) -> FloatArray:
    """Return a bias `(*space, filters)` as `(filters, *space)`.

    With the channels first Keras does not move its axes but reshapes it, so that its numbers stand at other places.
    """
    if channels_first:
        return values.reshape(values.shape[-1], *values.shape[:-1])
    return np.moveaxis(values, -1, 0)


def _margins(layer: Layer, place: Window, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> FixedMargins:
    """Return the margins: `same` puts the middle of a window, rounded up, on every stride-th place.

    That is not where TensorFlow's `same` puts it. A margin at the end is negative where windows leave places unseen.
    """
    if layer.config.text("padding", "valid").lower() == "valid":
        return ((0, 0),) * len(inputs)
    return tuple(
        (k // 2, (out - 1) * s + k - k // 2 - size)
        for k, s, size, out in zip(place.kernel, place.stride, inputs, outputs, strict=True)
    )


class _Sizes:
    """The sizes of one layer, and which input each place of a window sees."""

    def __init__(
        self,
        place: Window,
        margins: FixedMargins,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        channels: int,
        filters: int,
    ) -> None:
        self.inputs, self.outputs, self.channels, self.filters = inputs, outputs, channels, filters
        self.kernel, self._stride = place.kernel, place.stride
        self._before = [before for before, _ in margins]
        self.places, self.window = math.prod(outputs), math.prod(place.kernel)

    def seen(self) -> Iterator[tuple[int, int, tuple[int, ...], tuple[int, ...]]]:
        """Yield (place, place in the window, output position, input position) wherever a window holds data."""
        for number, position in enumerate(product(*map(range, self.outputs))):
            for inner, offset in enumerate(product(*map(range, self.kernel))):
                source = tuple(
                    p * s + o - b for p, s, o, b in zip(position, self._stride, offset, self._before, strict=True)
                )
                if all(0 <= at < size for at, size in zip(source, self.inputs, strict=True)):
                    yield number, inner, position, source

    def empty(self, like: FloatArray) -> FloatArray:
        """Return zeros `(places, filters, channels, window)`."""
        return np.zeros((self.places, self.filters, self.channels, self.window), like.dtype)


def _by_place(layer: Layer, sizes: _Sizes) -> FloatArray:
    """Return the weight of implementation 1, kept as `(places, window * channels, filters)`, or channels * window."""
    kernel = layer.weight("kernel", (sizes.places, sizes.window * sizes.channels, sizes.filters))
    if layer.channels_first:
        return kernel.reshape(sizes.places, sizes.channels, sizes.window, sizes.filters).transpose(0, 3, 1, 2)
    return kernel.reshape(sizes.places, sizes.window, sizes.channels, sizes.filters).transpose(0, 3, 2, 1)


def _masked(layer: Layer, sizes: _Sizes) -> FloatArray:
    """Return the weight of implementation 2, kept as `(*input, channels, *output, filters)`, mostly unused."""
    if layer.channels_first:
        kernel = layer.weight("kernel", (sizes.channels, *sizes.inputs, sizes.filters, *sizes.outputs))
        axes = len(sizes.inputs)
        kernel = np.moveaxis(np.moveaxis(kernel, axes + 1, -1), 0, axes)
    else:
        kernel = layer.weight("kernel", (*sizes.inputs, sizes.channels, *sizes.outputs, sizes.filters))
    weight = sizes.empty(kernel)
    for number, inner, position, source in sizes.seen():
        weight[number, :, :, inner] = np.moveaxis(kernel[source], 0, -1)[position]
    return weight


def _sparse(layer: Layer, sizes: _Sizes) -> FloatArray:
    """Return the weight of implementation 3: what counts, sorted by output place, filter, input place and channel.

    With the channels first: by filter, output place, channel and input place.
    """
    seen: dict[int, list[int]] = {}
    for number, inner, _, _ in sizes.seen():
        seen.setdefault(number, []).append(inner)
    total = sum(map(len, seen.values())) * sizes.filters * sizes.channels
    kernel = layer.weight("kernel", (total,))
    weight, first = sizes.empty(kernel), 0
    if layer.channels_first:
        for filter_, number in product(range(sizes.filters), sorted(seen)):
            count = sizes.channels * len(seen[number])
            weight[number, filter_][:, seen[number]] = kernel[first : first + count].reshape(sizes.channels, -1)
            first += count
        return weight
    for number, places in sorted(seen.items()):
        count = sizes.filters * len(places) * sizes.channels
        values = kernel[first : first + count].reshape(sizes.filters, len(places), sizes.channels)
        weight[number][:, :, places] = values.transpose(0, 2, 1)
        first += count
    return weight
