"""Branches that come together, layers called twice, and further inputs."""

from __future__ import annotations

from tests.fuzz.blocks.kernels import convolution, dense
from tests.fuzz.builder import Builder


def residual(b: Builder, y: str) -> str:
    """x + f(x), or f(x) + g(x)."""
    one = convolution(b, y, filters=b.shapes[y][-1], keep=True)
    other = y if b.flag() else convolution(b, y, filters=b.shapes[y][-1], keep=True)
    if other == one:
        return y
    return b.add("Add", *b.ordered(one, other))


def joined(b: Builder, y: str) -> str:
    """[x, f(x)], or [f(x), g(x)], along the channels."""
    one = convolution(b, y, keep=True) if b.axes(y) == 0 else convolution(b, y, b.integer(2, 3), keep=True)
    other = y if b.flag() else convolution(b, y, b.integer(2, 3), keep=True)
    if other == one:
        return y
    return b.add("Concatenate", *b.ordered(one, other), axis=-1)


def merged(b: Builder, y: str) -> str:
    """The mean, the larger, the smaller or the difference of two branches, or their product, or a scaled sum."""
    one = convolution(b, y, filters=b.shapes[y][-1], keep=True)
    other = convolution(b, y, filters=b.shapes[y][-1], keep=True)
    if other == one or y in (one, other):
        return y
    kind = b.of("Average", "Maximum", "Minimum", "Subtract", *(() if b.exact else ("Multiply",)))
    if b.seldom():
        return b.add("Custom>CustomScaleLayer", *b.ordered(one, other), scale=0.5)
    return b.add(kind, *b.ordered(one, other))


def read_again(b: Builder, y: str) -> str:
    """One tensor in several places of one layer."""
    kind = b.of("Add", "Average", "Maximum", "Concatenate", *(() if b.exact else ("Multiply",)))
    reads = [y] * (2 if b.exact else b.integer(2, 3))
    return b.add(kind, *reads, **({"axis": -1} if kind == "Concatenate" else {}))


def gated(b: Builder, y: str) -> str:
    """An image times what its mean says of each channel: squeeze and excitation."""
    if b.axes(y) != 2 or b.exact:
        return y
    channels = b.shapes[y][-1]
    mean = b.add("GlobalAveragePooling2D", y)
    gate = b.add("Reshape", mean, target_shape=[1, 1, channels])
    gate = b.add("Conv2D", gate, filters=b.integer(1, 3), kernel_size=[1, 1], strides=[1, 1], padding="same",
                 activation="relu", use_bias=True)  # fmt: skip
    gate = b.add("Conv2D", gate, filters=channels, kernel_size=[1, 1], strides=[1, 1], padding="same",
                 activation="sigmoid", use_bias=True)  # fmt: skip
    return b.add("Multiply", *b.ordered(y, gate))


def multiplied_out(b: Builder, y: str) -> str:
    """Products of two series, summed over their steps."""
    if b.axes(y) != 1 or b.exact:
        return y
    one, other = (convolution(b, y, b.integer(2, 3), keep=True) for _ in range(2))
    if other == one or y in (one, other):
        return y
    return b.add("Dot", one, other, axes=1, normalize=b.seldom())


def attending(b: Builder, y: str) -> str:
    if b.axes(y) != 1 or b.exact:
        return y
    size = b.integer(2, 3)
    query, value = (convolution(b, y, size, keep=True) for _ in range(2))
    if query == value or y in (query, value):
        return y
    kind = b.of("Attention", "AdditiveAttention")
    return b.add(kind, query, value, use_scale=b.flag())


def twice(b: Builder, y: str) -> str:
    """A layer called twice: on its own result, or on two branches that are then joined."""
    if b.flag():
        once = convolution(b, y, filters=b.shapes[y][-1], keep=True)
        return y if once == y else b.again(once, once)
    branches = [convolution(b, y, b.shapes[y][-1], keep=True) for _ in range(2)]
    if y in branches:
        return y
    first = convolution(b, branches[0], keep=True)
    if first == branches[0]:
        return y
    return b.add("Concatenate", *b.ordered(first, b.again(first, branches[1])), axis=-1)


def second_input(b: Builder, y: str) -> str:
    """Features of their own beside features, or another image or series beside one."""
    if len(b.inputs) == b.most_inputs or b.exact:
        return y
    shape = b.shapes[y]
    more = b.input((*shape[:-1], b.integer(2, 4)))
    z = dense(b, more) if b.axes(y) == 0 else convolution(b, more, shape[-1], keep=True)
    return b.add("Concatenate", *b.ordered(y, z), axis=-1)
