"""What moves, joins and repeats values, spelled as layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from parity.keras.functions.arithmetic import add
from parity.keras.functions.elementwise import same
from parity.keras.functions.parts import pad_with_places
from parity.keras.functions.sizes import BATCH
from parity.keras.functions.spelling import (
    PREVIOUS,
    Arguments,
    Composition,
    NotSpelledError,
    OpenSizeError,
    Spelled,
    Tensor,
    axis_of,
    first_tensor,
    refuse_shape,
)


def concatenate(arguments: Arguments) -> tuple[Spelled, ...]:
    """Tensors joined along an axis."""
    tensors = arguments.get("values")
    if not isinstance(tensors, list) or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise NotSpelledError("joins something else than tensors")
    axis = axis_of(arguments.get("axis", 0), len(tensors[0].shape))
    return (Spelled("Concatenate", {"axis": axis}, tuple(tensor.name for tensor in tensors)),)


def reshape(arguments: Arguments) -> tuple[Spelled, ...]:
    """Another shape of each sample."""
    x, shape = first_tensor(arguments), arguments.get("shape", arguments.get("newshape"))
    whole = isinstance(shape, list) and len(shape) > 1 and all(type(size) is int for size in shape[1:])
    if not isinstance(shape, list) or not whole or shape[0] not in (-1, None, BATCH):
        raise NotSpelledError(f"reshapes to {shape!r}, and only [-1, sizes...] keeps the batch")
    sizes = shape[1:]
    if None not in x.shape and -1 not in sizes and math.prod(sizes) != math.prod(size or 0 for size in x.shape):
        raise NotSpelledError(f"reshapes {list(x.shape)} to {shape!r}, which makes samples of places")
    return (Spelled("Reshape", {"target_shape": shape[1:]}, (x.name,)),)


def _sized(x: str | int, shape: Sequence[int | None]) -> tuple[Spelled, ...]:
    refuse_shape(shape)
    return (Spelled("Reshape", {"target_shape": list(shape)}, (x,)),)


def expand_dims(arguments: Arguments) -> tuple[Spelled, ...]:
    """Add an axis of one place."""
    x, axis = first_tensor(arguments), arguments.get("axis")
    if type(axis) is not int:
        raise NotSpelledError(f"is called with axis={axis!r}")
    place = axis + len(x.shape) + 2 if axis < 0 else axis
    if not 1 <= place <= len(x.shape) + 1:
        raise NotSpelledError(f"is called with axis={axis!r}")
    return _sized(x.name, [*x.shape[: place - 1], 1, *x.shape[place - 1 :]])


def squeeze(arguments: Arguments) -> tuple[Spelled, ...]:
    """Take an axis of one place off."""
    x, axes = first_tensor(arguments), arguments.get("axis")
    axes = axes if isinstance(axes, list) else [axes]
    gone = {axis_of(axis, len(x.shape)) for axis in axes}
    if any(x.shape[axis - 1] != 1 for axis in gone):
        raise NotSpelledError(f"takes the axes {axes} off the shape {x.shape}")
    return _sized(x.name, [size for axis, size in enumerate(x.shape, start=1) if axis not in gone])


def transpose(arguments: Arguments) -> tuple[Spelled, ...]:
    """Axes in another order."""
    x, order = first_tensor(arguments), arguments.get("perm", arguments.get("axes"))
    if not (isinstance(order, list) and order[:1] == [0] and sorted(order) == list(range(len(x.shape) + 1))):
        raise NotSpelledError(f"transposes to {order!r}, which moves the batch axis")
    return (Spelled("Permute", {"dims": order[1:]}, (x.name,)),)


def swap(arguments: Arguments) -> tuple[Spelled, ...]:
    """Exchange two axes."""
    x = first_tensor(arguments)
    one, other = (axis_of(arguments.get(name), len(x.shape)) for name in ("axis1", "axis2"))
    order = {one: other, other: one}
    return (Spelled("Permute", {"dims": [order.get(axis, axis) for axis in range(1, len(x.shape) + 1)]}, (x.name,)),)


def move(arguments: Arguments) -> tuple[Spelled, ...]:
    """Put axes at other places, the others in their order."""
    x, told = first_tensor(arguments), [arguments.get("source"), arguments.get("destination")]
    rank = len(x.shape)
    places = [[axis_of(axis, rank) for axis in (axes if isinstance(axes, list) else [axes])] for axes in told]
    if len(places[0]) != len(places[1]) or any(len(set(axes)) < len(axes) for axes in places):
        raise NotSpelledError(f"moves the axes {told[0]} to {told[1]}")
    order = [axis for axis in range(1, rank + 1) if axis not in places[0]]
    for destination, source in sorted(zip(places[1], places[0], strict=True)):
        order.insert(destination - 1, source)
    return (Spelled("Permute", {"dims": order}, (x.name,)),)


def flatten(arguments: Arguments) -> tuple[Spelled, ...]:
    """One row per sample."""
    return (Spelled("Flatten", {}, (first_tensor(arguments).name,)),)


def stack(arguments: Arguments) -> tuple[Spelled, ...]:
    """Tensors side by side along a new axis."""
    tensors, axis = arguments.get("values"), arguments.get("axis", 0)
    if not isinstance(tensors, list) or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise NotSpelledError("joins something else than tensors")
    place = axis_of(axis, len(tensors[0].shape) + 1)
    shapes = [[*tensor.shape[: place - 1], 1, *tensor.shape[place - 1 :]] for tensor in tensors]
    parts = [part for tensor, shape in zip(tensors, shapes, strict=True) for part in _sized(tensor.name, shape)]
    if len(parts) == 1:
        return tuple(parts)
    return (*parts, Spelled("Concatenate", {"axis": place}, tuple(range(len(parts)))))


def pad(arguments: Arguments) -> tuple[Spelled, ...]:
    """Zeros, or another number, around the places; or places again, as in a mirror."""
    x, margins = first_tensor(arguments), arguments.get("paddings", arguments.get("pad_width"))
    mode, value = str(arguments.get("mode", "constant")).lower(), arguments.get("constant_values") or 0
    rank = len(x.shape)
    if mode not in ("constant", "reflect", "symmetric") or not isinstance(value, (int, float)):
        raise NotSpelledError(f"pads with mode={mode!r} and constant_values={value!r}")
    pairs = (
        isinstance(margins, list)
        and len(margins) == rank + 1
        and all(isinstance(pair, list) and len(pair) == 2 for pair in margins)
    )
    if not isinstance(margins, list) or not pairs or margins[0] != [0, 0]:
        raise NotSpelledError(
            f"pads {margins!r}, and only two numbers for each axis, none for the batch, are supported"
        )
    if margins[-1] != [0, 0]:
        if mode != "constant" or value:
            raise NotSpelledError(f"pads the channels with mode={mode!r} and constant_values={value!r}")
        return _zeros_beside_channels(x, margins)
    if rank < 2:
        return same(arguments)
    padding: Any = margins[1:-1]
    if mode != "constant":
        return pad_with_places(x, [(before, behind) for before, behind in padding], mode)
    if value:
        return _padded_with(value, x, margins)
    return (Spelled(f"ZeroPadding{rank - 1}D", {"padding": padding[0] if rank == 2 else padding}, (x.name,)),)


def _zeros_beside_channels(x: Tensor, margins: list[list[int]]) -> tuple[Spelled, ...]:
    """Return zeros beside the channels, which are laid where places are meanwhile, and around the places."""
    if None in x.shape:
        raise OpenSizeError("pads a tensor of an open size")
    rank, composition = len(x.shape), Composition()
    sizes = [size or 0 for size in x.shape]
    if rank > 1:
        turned = composition.add(transpose, {"x": x, "perm": [0, rank, *range(1, rank)]}, (sizes[-1], *sizes[:-1]))
    else:
        turned = composition.add(expand_dims, {"x": x, "axis": -1}, (sizes[0], 1))
    beside = [[0, 0], margins[-1], *[[0, 0]] * (rank - 1 if rank > 1 else 1)]
    wide = (sizes[-1] + sum(margins[-1]), *turned.shape[1:])
    padded = composition.add(pad, {"x": turned, "paddings": beside}, wide)
    if rank == 1:
        composition.add(squeeze, {"x": padded, "axis": -1}, wide[:1])
        return composition.layers
    back = composition.add(transpose, {"x": padded, "perm": [0, *range(2, rank + 1), 1]}, (*sizes[:-1], wide[0]))
    if any(pair != [0, 0] for pair in margins[:-1]):
        composition.add(pad, {"x": back, "paddings": [*margins[:-1], [0, 0]]})
    return composition.layers


def _padded_with(value: float, x: Tensor, margins: list[list[int]]) -> tuple[Spelled, ...]:
    """Return zeros around the places, and then the number added to these, so that no value within loses a digit."""
    if None in x.shape[:-1]:
        raise OpenSizeError("pads places of an open size with a number")
    sizes = [size or 0 for size in x.shape[:-1]]
    around = np.pad(np.zeros(sizes), margins[1:-1], constant_values=value)[..., None]
    composition = Composition()
    padded = composition.add(pad, {"x": x, "paddings": margins}, (*around.shape[:-1], x.shape[-1]))
    composition.add(add, {"x": padded, "y": around.tolist()})
    return composition.layers


def tile(arguments: Arguments) -> tuple[Spelled, ...]:
    """`tf.tile`: copies of the whole, one behind the other along an axis."""
    x, counts = first_tensor(arguments), arguments.get("multiples", arguments.get("repeats"))
    rank = len(x.shape)
    if not isinstance(counts, list) or len(counts) != rank + 1 or not all(type(n) is int and n > 0 for n in counts):
        raise NotSpelledError(f"repeats the axes {counts!r} times, and only one number for each axis is supported")
    if counts[0] != 1 or max(counts) > _MOST_COPIES:
        raise NotSpelledError(f"repeats the axes {counts!r} times, the batch among them or more than {_MOST_COPIES}")
    layers: list[Spelled] = []
    for axis, count in enumerate(counts[1:], start=1):
        if count > 1:
            source: str | int = len(layers) - 1 if layers else x.name
            layers.append(Spelled("Concatenate", {"axis": axis}, (source,) * count))
    return tuple(layers) or (Spelled("Activation", {"activation": "linear"}, (x.name,)),)


_MOST_COPIES = 64


def repeat(arguments: Arguments) -> tuple[Spelled, ...]:
    """Each place of an axis so many times."""
    x = first_tensor(arguments)
    count = arguments.get("repeats", arguments.get("rep"))
    axis = axis_of(arguments.get("axis"), len(x.shape))
    if type(count) is not int or count < 1:
        raise NotSpelledError(f"repeats places {count!r} times")
    before, behind = (math.prod(size or 0 for size in part) for part in (x.shape[: axis - 1], x.shape[axis:]))
    size = x.shape[axis - 1]
    if None in x.shape or size is None:
        raise OpenSizeError("repeats places beside open sizes")
    return (
        *_sized(x.name, [before, size, behind]),
        Spelled("UpSampling2D", {"size": [1, count], "interpolation": "nearest"}, (PREVIOUS,)),
        *_sized(PREVIOUS, [*x.shape[: axis - 1], size * count, *x.shape[axis:]]),
    )


def depth_to_space(arguments: Arguments) -> tuple[Spelled, ...]:
    """Blocks of channels laid out as places of an image."""
    x, block = _image_in_blocks(arguments)
    height, width, channels = x.shape
    if channels is None or channels % block**2:
        raise NotSpelledError(f"lays {channels} channels out in blocks of {block}")
    return (
        *_sized(x.name, [height, width, block, block, channels // block**2]),
        Spelled("Permute", {"dims": [1, 3, 2, 4, 5]}, (PREVIOUS,)),
        *_sized(PREVIOUS, [_times(height, block), _times(width, block), channels // block**2]),
    )


def space_to_depth(arguments: Arguments) -> tuple[Spelled, ...]:
    """Blocks of places of an image laid out as channels."""
    x, block = _image_in_blocks(arguments)
    height, width, channels = x.shape
    if height is None or width is None or height % block or width % block:
        raise NotSpelledError(f"lays {height} x {width} places out in blocks of {block}")
    return (
        *_sized(x.name, [height // block, block, width // block, block, channels]),
        Spelled("Permute", {"dims": [1, 3, 2, 4, 5]}, (PREVIOUS,)),
        *_sized(PREVIOUS, [height // block, width // block, _times(channels, block**2)]),
    )


def _image_in_blocks(arguments: Arguments) -> tuple[Tensor, int]:
    x, block = first_tensor(arguments), arguments.get("block_size")
    if len(x.shape) != 3 or str(arguments.get("data_format", "NHWC")) != "NHWC" or type(block) is not int or block < 2:
        raise NotSpelledError("lays out something else than images with their channels last")
    return x, block


def _times(size: int | None, count: int) -> int | None:
    return None if size is None else size * count
