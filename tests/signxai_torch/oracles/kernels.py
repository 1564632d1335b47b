"""Layers with a kernel as explicit matrices: `Dense`, `Conv`, `ConvTranspose` and `LocallyConnected` of Keras."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.signxai_torch.oracles.formulas import Affine, Array, PartOf, whole
from tests.signxai_torch.oracles.layer import Layer, Places, Windows, activation_of, number_per_axis, windows


@dataclass(frozen=True)
class Kernel:
    """A layer without its activation, on flattened samples, and the shape of its output."""

    affine: Affine
    output: Places

    def preactivation(self, x: Array) -> Array:
        return (self.affine.matrix(whole) @ x.ravel() + self.affine.bias).reshape(self.output)


Link = tuple[Places, Places, Array]
"""A place of the output, a place of the input, and the (filters, channels) weights between them."""


def _kernel(
    layer: Layer,
    shape: Places,
    output: Places,
    links: Callable[..., Iterable[Link]],
    names: Sequence[str] = ("kernel",),
) -> Kernel:
    """Return a layer with the links between its places; `links` takes the layer's kernels, or a part of each."""
    stored = [np.asarray(layer.weights[name], np.float64) for name in names]
    bias = np.zeros(output)
    if "bias" in layer.weights:
        bias += layer.weights["bias"]  # one per filter, or one per filter and place

    @functools.cache
    def matrix(part: PartOf) -> Array:
        made = np.zeros((*output, *shape))
        for there, here, weights in links(*(part(one) for one in stored)):
            made[(*there, slice(None), *here, slice(None))] += weights
        return made.reshape(bias.size, -1)

    return Kernel(Affine(matrix, bias.ravel()), output)


def dense(layer: Layer, shape: Places) -> Kernel:
    """The same map of the channels at every place."""
    places = shape[:-1]
    output = (*places, layer.weights["kernel"].shape[1])
    return _kernel(layer, shape, output, lambda w: ((place, place, w.T) for place in np.ndindex(*places)))


def convolution(layer: Layer, shape: Places) -> Kernel:
    """Keras keeps a kernel as (*window, channels, filters)."""
    *window, _, filters = layer.weights["kernel"].shape
    laid = _laid(layer, shape, tuple(window))

    def links(w: Array) -> Iterable[Link]:
        for position in np.ndindex(*laid.output):
            for tap, place in laid.links(position):
                yield position, place, w[tap].T

    return _kernel(layer, shape, (*laid.output, filters), links)


def transposed(layer: Layer, shape: Places) -> Kernel:
    """The transpose of a convolution from the output's size to the input's; kernel (*window, filters, channels)."""
    axes = len(shape) - 1
    config = layer.config
    *window, filters, _ = layer.weights["kernel"].shape
    stride = number_per_axis(config.get("strides"), axes)
    padding = config.get("padding", "valid")
    size = tuple(
        n * step + (0 if padding == "same" else max(taps - step, 0))
        for n, step, taps in zip(shape[:-1], stride, window, strict=True)
    )
    back = windows(size, tuple(window), stride, padding)

    def links(w: Array) -> Iterable[Link]:
        for place in np.ndindex(*shape[:-1]):
            for tap, position in back.links(place):
                yield position, place, w[tap]

    return _kernel(layer, shape, (*size, filters), links)


def locally_connected(layer: Layer, shape: Places) -> Kernel:
    """A kernel of its own at each place, kept in one of three forms (Keras' `implementation`).

    1. (places, window * channels, filters), 2. (*input, channels, *output, filters) with what is not connected left
    out, 3. the numbers that are connected, sorted by output, then by input, both in row-major order.
    """
    axes = len(shape) - 1
    config = layer.config
    form, filters = config.get("implementation", 1), config["filters"]
    window = number_per_axis(config["kernel_size"], axes)
    stride = number_per_axis(config.get("strides"), axes)
    size = shape[:-1]
    output = windows(size, window, stride, config.get("padding", "valid")).output

    def connected(position: Places) -> list[Places]:
        """Keras' own idea of "same": the window is centred, its odd place before the centre."""
        spans = []
        for p, step, taps, n in zip(position, stride, window, size, strict=True):
            first = p * step - (taps // 2 if config.get("padding") == "same" else 0)
            spans.append(range(max(first, 0), min(first + taps, n)))
        return [tuple(place) for place in np.stack(np.meshgrid(*spans, indexing="ij"), -1).reshape(-1, axes)]

    def links(w: Array) -> Iterable[Link]:
        used = 0
        for count, position in enumerate(np.ndindex(*output)):
            places = connected(position)
            if form == 1:
                per_place = w[count].reshape(len(places), shape[-1], filters)
            elif form == 2:
                per_place = np.stack([w[(*place, slice(None), *position)] for place in places])
            else:
                taken = len(places) * shape[-1] * filters
                per_place = w[used : used + taken].reshape(filters, len(places), shape[-1]).transpose(1, 2, 0)
                used += taken
            for place, weights in zip(places, per_place, strict=True):
                yield position, place, weights.T

    return _kernel(layer, shape, (*output, filters), links)


def _apart(weights: Array) -> Array:
    """Return the (channels * multiplier, channels) matrix of one tap, (channels, multiplier), of a depthwise kernel."""
    channels, multiplier = weights.shape
    made = np.zeros((channels, multiplier, channels))
    for channel in range(channels):
        made[channel, :, channel] = weights[channel]
    return made.reshape(channels * multiplier, channels)


def depthwise(layer: Layer, shape: Places) -> Kernel:
    """Some filters for each channel by itself; Keras keeps the kernel as (*window, channels, multiplier)."""
    laid = _laid(layer, shape, layer.weights["depthwise_kernel"].shape[:-2])
    channels, multiplier = layer.weights["depthwise_kernel"].shape[-2:]

    def links(w: Array) -> Iterable[Link]:
        for position in np.ndindex(*laid.output):
            for tap, place in laid.links(position):
                yield position, place, _apart(w[tap])

    return _kernel(layer, shape, (*laid.output, channels * multiplier), links, ("depthwise_kernel",))


def separable(layer: Layer, shape: Places) -> Kernel:
    """A depthwise convolution and one of single places behind it; rules take a part of either kernel."""
    laid = _laid(layer, shape, layer.weights["depthwise_kernel"].shape[:-2])
    middle, filters = layer.weights["pointwise_kernel"].shape[-2:]

    def links(depth: Array, point: Array) -> Iterable[Link]:
        for position in np.ndindex(*laid.output):
            for tap, place in laid.links(position):
                yield position, place, point.reshape(middle, filters).T @ _apart(depth[tap])

    return _kernel(layer, shape, (*laid.output, filters), links, ("depthwise_kernel", "pointwise_kernel"))


def _laid(layer: Layer, shape: Places, window: Places) -> Windows:
    axes = len(shape) - 1
    return windows(
        shape[:-1], tuple(window), number_per_axis(layer.config.get("strides"), axes),
        layer.config.get("padding", "valid"), number_per_axis(layer.config.get("dilation_rate"), axes),
    )  # fmt: skip


KERNELS: dict[str, Callable[[Layer, Places], Kernel]] = {
    "Dense": dense,
    **{f"Conv{n}D": convolution for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": transposed for n in (1, 2, 3)},
    **{f"LocallyConnected{n}D": locally_connected for n in (1, 2)},
    **{f"DepthwiseConv{n}D": depthwise for n in (1, 2)},
    **{f"SeparableConv{n}D": separable for n in (1, 2)},
}


@functools.cache
def kernel_of(layer: Layer, shape: Places) -> Kernel:
    """Return the matrix of a layer for inputs of a shape."""
    return KERNELS[layer.class_name](layer, shape)


def forward(layer: Layer, x: Array) -> Array:
    return activation_of(layer)(kernel_of(layer, x.shape).preactivation(x))
