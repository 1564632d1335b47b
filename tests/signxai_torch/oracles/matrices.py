"""The layers of the oracle: explicit matrices, filled in by loops over kernel taps; NumPy alone.

Arrays are in torch layout: a sample is (C, *spatial), flattened row-major.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from tests.signxai_torch.oracles.formulas import Affine, Array, PartOf

Margins = Sequence[tuple[int, int]]


def dense(weight: Array, bias: Array | None) -> Affine:
    return Affine(lambda part: part(weight), np.zeros(len(weight)) if bias is None else bias)


def dense_on_channels(weight: Array, bias: Array | None, shape: Sequence[int]) -> Affine:
    """The same dense map at every position of a (C, *spatial) sample."""
    kernel = weight.reshape(*weight.shape, *[1] * (len(shape) - 1))
    return convolution(kernel, bias, shape)


def convolution(
    weight: Array,
    bias: Array | None,
    shape: Sequence[int],
    stride: Sequence[int] | None = None,
    margins: Margins | None = None,
    dilation: Sequence[int] | None = None,
    groups: int = 1,
) -> Affine:
    """`weight` is (filters, channels / groups, *kernel); zeros are padded as `margins` say, per axis."""
    filters = weight.shape[0]
    size = _output_size(weight.shape[2:], shape[1:], stride, margins, dilation)

    outputs, sources, taps = [], [], []
    for out, position in itertools.product(range(filters), np.ndindex(*size)):
        for channel in range(weight.shape[1]):
            source = out // (filters // groups) * weight.shape[1] + channel
            for tap, place in _taps(weight.shape[2:], position, shape[1:], stride, margins, dilation):
                outputs.append(np.ravel_multi_index((out, *position), (filters, *size)))
                sources.append(np.ravel_multi_index((source, *place), tuple(shape)))
                taps.append(np.ravel_multi_index((out, channel, *tap), weight.shape))

    def matrix(part: PartOf) -> Array:
        result = np.zeros((filters * int(np.prod(size)), int(np.prod(shape))))
        values = part(weight).ravel()
        for out, source, tap in zip(outputs, sources, taps, strict=True):
            result[out, source] += values[tap]
        return result

    values = np.zeros(filters) if bias is None else bias
    return Affine(matrix, np.repeat(values, int(np.prod(size))))


def separable(
    depthwise: Array,
    pointwise: Array,
    bias: Array | None,
    shape: Sequence[int],
    stride: Sequence[int],
    margins: Margins,
    dilation: Sequence[int],
) -> Affine:
    """Two kernels, one layer: a part of its weights is that part of each kernel."""
    first = convolution(depthwise, None, shape, stride, margins, dilation, groups=shape[0])
    between = (len(depthwise), *_output_size(depthwise.shape[2:], shape[1:], stride, margins, dilation))
    second = convolution(pointwise, bias, between)
    return Affine(lambda part: second.matrix(part) @ first.matrix(part), second.bias)


def average_pool(
    shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], margins: Margins | None = None
) -> Affine:
    """Means of the values a window really covers: what is padded does not count."""
    size = _output_size(kernel, shape[1:], stride, margins, None)
    result = np.zeros((shape[0], *size, *shape))
    for channel, position in itertools.product(range(shape[0]), np.ndindex(*size)):
        covered = [place for _, place in _taps(kernel, position, shape[1:], stride, margins, None)]
        for place in covered:
            result[(channel, *position, channel, *place)] = 1 / len(covered)
    return _fixed(result.reshape(shape[0] * int(np.prod(size)), -1))


def total(count: int, features: int) -> Affine:
    """The sum of `count` tensors that are stacked along a last axis."""
    result = np.zeros((features, features, count))
    for feature, which in itertools.product(range(features), range(count)):
        result[feature, feature, which] = 1.0
    return _fixed(result.reshape(features, -1))


def _fixed(matrix: Array) -> Affine:
    return Affine(lambda part: matrix, np.zeros(len(matrix)))


def max_pool(x: Array, R: Array, kernel: Sequence[int], stride: Sequence[int], margins: Margins | None = None) -> Array:
    """All of a window's relevance goes to its first maximum in row-major order; the padding never wins."""
    size = _output_size(kernel, x.shape[1:], stride, margins, None)
    result = np.zeros_like(x)
    for channel, position in itertools.product(range(len(x)), np.ndindex(*size)):
        covered = [place for _, place in _taps(kernel, position, x.shape[1:], stride, margins, None)]
        best = covered[0]
        for place in covered:
            if x[(channel, *place)] > x[(channel, *best)]:
                best = place
        result[(channel, *best)] += R[(channel, *position)]
    return result


def global_max_pool(x: Array, R: Array) -> Array:
    """Tied maxima share equally."""
    result = np.zeros_like(x)
    for channel in range(len(x)):
        winners = [place for place in np.ndindex(*x.shape[1:]) if x[(channel, *place)] == x[channel].max()]
        for place in winners:
            result[(channel, *place)] = R[channel] / len(winners)
    return result


def _output_size(
    kernel: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int] | None,
    margins: Margins | None,
    dilation: Sequence[int] | None,
) -> tuple[int, ...]:
    count = len(kernel)
    return tuple(
        (length + before + after - wide * (taps - 1) - 1) // step + 1
        for taps, length, step, (before, after), wide in zip(
            kernel, size, stride or [1] * count, margins or [(0, 0)] * count, dilation or [1] * count, strict=True
        )
    )


def _taps(
    kernel: Sequence[int],
    position: Sequence[int],
    size: Sequence[int],
    stride: Sequence[int] | None,
    margins: Margins | None,
    dilation: Sequence[int] | None,
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield the taps of a window that lie on the input, and where they lie, in row-major order."""
    count = len(kernel)
    for tap in np.ndindex(*kernel):
        place = tuple(
            position[axis] * (stride or [1] * count)[axis]
            + tap[axis] * (dilation or [1] * count)[axis]
            - (margins or [(0, 0)] * count)[axis][0]
            for axis in range(count)
        )
        if all(0 <= at < length for at, length in zip(place, size, strict=True)):
            yield tap, place
