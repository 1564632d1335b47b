"""What moves, cuts, joins and reduces tensors, spelled as layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from parity.keras.functions.spelling import (
    PREVIOUS,
    Arguments,
    NotSpelledError,
    Spelled,
    Spelling,
    Tensor,
    axis_of,
    first_tensor,
)


def concatenate(arguments: Arguments) -> tuple[Spelled, ...]:
    """Tensors joined along an axis."""
    tensors = arguments.get("values", arguments.get("xs"))
    if not isinstance(tensors, list) or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise NotSpelledError("joins something else than tensors")
    axis = axis_of(arguments.get("axis", 0), len(tensors[0].shape))
    return (Spelled("Concatenate", {"axis": axis}, tuple(tensor.name for tensor in tensors)),)


def reshape(arguments: Arguments) -> tuple[Spelled, ...]:
    """Another shape of each sample."""
    x, shape = first_tensor(arguments), arguments.get("shape", arguments.get("newshape"))
    whole = isinstance(shape, list) and len(shape) > 1 and all(type(size) is int for size in shape)
    if not isinstance(shape, list) or not whole or shape[0] != -1:
        raise NotSpelledError(f"reshapes to {shape!r}, and only [-1, sizes...] keeps the batch")
    return (Spelled("Reshape", {"target_shape": shape[1:]}, (x.name,)),)


def _sized(x: str | int, shape: Sequence[int | None]) -> tuple[Spelled, ...]:
    if any(size is None for size in shape) or not shape:
        raise NotSpelledError("changes a shape of open or no sizes")
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


def flatten(arguments: Arguments) -> tuple[Spelled, ...]:
    """One row per sample."""
    return (Spelled("Flatten", {}, (first_tensor(arguments).name,)),)


def reduced(class_name: str) -> Spelling:
    """Reduce all axes but the last."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        x = first_tensor(arguments)
        axes = arguments.get("axis")
        axes = axes if isinstance(axes, list) else [axes]
        rank = len(x.shape)
        taken = sorted(axis_of(axis, rank) for axis in axes if axis is not None)
        if taken != list(range(1, rank)) or rank not in (2, 3, 4):
            raise NotSpelledError(f"reduces the axes {arguments.get('axis')!r} of {rank + 1}, and not all but the last")
        keep = {"keepdims": True} if arguments.get("keepdims") else {}
        pooled = Spelled(f"Global{class_name}Pooling{rank - 1}D", keep, (x.name,))
        if class_name != "Sum":
            return (pooled,)
        if None in x.shape[:-1]:
            raise NotSpelledError("adds up a number of values that is open")
        count = math.prod(size for size in x.shape[:-1] if size is not None)
        mean = Spelled(f"GlobalAveragePooling{rank - 1}D", keep, (x.name,))
        return mean, Spelled("Rescaling", {"scale": float(count), "offset": 0.0}, (PREVIOUS,))

    return spelling


def stack(arguments: Arguments) -> tuple[Spelled, ...]:
    """Tensors side by side along a new last axis."""
    tensors, axis = arguments.get("values", arguments.get("x")), arguments.get("axis", 0)
    if not isinstance(tensors, list) or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise NotSpelledError("joins something else than tensors")
    rank = len(tensors[0].shape)
    if axis_of(axis, rank + 1) != rank + 1:
        raise NotSpelledError(f"joins along the new axis {axis}, and only a new last axis is supported")
    parts = [part for tensor in tensors for part in _sized(tensor.name, [*tensor.shape, 1])]
    return (*parts, Spelled("Concatenate", {"axis": -1}, tuple(range(len(parts)))))


def part(arguments: Arguments) -> tuple[Spelled, ...]:
    """`x[:, a:b]`: what leaves margins off; `x[:, i]` takes an axis off, and `x[..., ::-1]` turns one around."""
    x, spec = first_tensor(arguments), arguments.get("slice_spec", arguments.get("key"))
    spans = _spans(spec, len(x.shape) + 1)
    turned = [axis for axis, span in enumerate(spans) if _turns(span)]
    sizes = (None, *x.shape)
    margins = [(0, 0) if axis in turned else _margin(span, sizes[axis]) for axis, span in enumerate(spans)]
    rank = len(x.shape)
    if margins[0] != (0, 0) or 0 in turned or margins[-1] != (0, 0) or rank not in (2, 3, 4):
        raise NotSpelledError("takes a part of the batch, of the channels, or of features")
    cropping: Any = [list(pair) for pair in margins[1:-1]]
    layers: list[Spelled] = []
    if not turned or any(pair != (0, 0) for pair in margins):
        config = {"cropping": cropping[0] if rank == 2 else cropping}
        layers.append(Spelled(f"Cropping{rank - 1}D", config, (x.name,)))
    for axis in turned:
        # A turned axis keeps its size: nothing is cropped off it.
        layers += _turned(axis, x.shape[axis - 1], rank, PREVIOUS if layers else x.name, len(layers))
    chosen = [axis for axis, span in enumerate(spans) if type(span) is int]
    if chosen:
        left = zip(x.shape, margins[1:], strict=True)
        cut = [None if size is None else size - sum(margin) for size, margin in left]
        layers += _sized(PREVIOUS, [size for axis, size in enumerate(cut, start=1) if axis not in chosen])
    return tuple(layers)


def _spans(spec: Any, axes: int) -> list[Any]:
    """Return what is taken of each axis, the batch included; what is not told is all."""
    if not isinstance(spec, list) or len(spec) > axes + 1:
        raise NotSpelledError(f"takes the part {spec!r}")
    rests = [place for place, span in enumerate(spec) if _is_rest(span)]
    if len(rests) > 1 or len(spec) - len(rests) > axes:
        raise NotSpelledError(f"takes the part {spec!r}")
    if not rests:
        return [*spec, *[_ALL] * (axes - len(spec))]
    before, behind = spec[: rests[0]], spec[rests[0] + 1 :]
    return [*before, *[_ALL] * (axes - len(before) - len(behind)), *behind]


_ALL: dict[str, Any] = {"start": None, "stop": None, "step": None}


def _is_rest(span: Any) -> bool:
    """Return whether it is `...`, as files of Keras keep it."""
    return span == "..." or (isinstance(span, Mapping) and span.get("class_name") in ("__ellipsis__", "Ellipsis"))


def _turns(span: Any) -> bool:
    """Return whether it is `::-1`."""
    config = span.get("config", span) if isinstance(span, Mapping) else None
    return isinstance(config, Mapping) and config.get("step") == -1 and not (
        {config.get("start"), config.get("stop")} - {None}
    )  # fmt: skip


def _turned(axis: int, size: int | None, rank: int, reads: str | int, place: int) -> list[Spelled]:
    """Return layers that turn an axis around: its places one by one, joined from the last to the first.

    Parameters
    ----------
    axis, size
        The axis, counted from the batch axis 0, and how many places it has.
    rank
        How many axes there are besides the batch.
    reads
        The node that they read, or `PREVIOUS`.
    place
        How many layers are spelled before.
    """
    if size is None or size > _MOST_TURNED:
        raise NotSpelledError(f"turns around an axis of {size} places, and at most {_MOST_TURNED} are spelled")
    # Only axes before the channels are cropped.
    order = [axis, *(other for other in range(1, rank + 1) if other != axis)]
    back = [order.index(other) + 1 for other in range(1, rank + 1)]
    layers: list[Spelled] = []
    if axis != 1:
        layers.append(Spelled("Permute", {"dims": order}, (reads,)))
        reads = PREVIOUS
    source = reads if isinstance(reads, str) else place + len(layers) - 1
    rest = [[0, 0]] * (rank - 2)
    for one in reversed(range(size)):
        alone = [one, size - 1 - one]
        layers.append(Spelled(f"Cropping{rank - 1}D", {"cropping": [alone, *rest] if rest else alone}, (source,)))
    first = place + len(layers) - size
    layers.append(Spelled("Concatenate", {"axis": 1}, tuple(range(first, first + size))))
    if axis != 1:
        layers.append(Spelled("Permute", {"dims": back}, (PREVIOUS,)))
    return layers


_MOST_TURNED = 64


def _margin(part: Any, size: int | None) -> tuple[int, int]:
    """Return how many places a span, or the number of one place, leaves off before and after."""
    if type(part) is int:
        if size is None or not -size <= part < size:
            raise NotSpelledError(f"takes the place {part} of {'an open size' if size is None else size}")
        return part % size, size - 1 - part % size
    config = part.get("config", part) if isinstance(part, Mapping) else None
    if not isinstance(config, Mapping) or config.get("step") not in (None, 1):
        raise NotSpelledError(f"takes the part {part!r}")
    start, stop = config.get("start") or 0, config.get("stop")
    if type(start) is not int or (stop is not None and type(stop) is not int):
        raise NotSpelledError(f"takes the part {part!r}")
    if start >= 0 and stop is None:
        return start, 0
    if start >= 0 and stop is not None and stop < 0:
        return start, -stop
    if size is None:
        raise NotSpelledError("counts from the other end of an open size")
    first = start if start >= 0 else max(size + start, 0)
    last = size if stop is None else min(stop, size) if stop >= 0 else size + stop
    return first, size - last


def pad(arguments: Arguments) -> tuple[Spelled, ...]:
    """Zeros around the places."""
    x, margins = first_tensor(arguments), arguments.get("paddings")
    if str(arguments.get("mode", "CONSTANT")).upper() != "CONSTANT" or arguments.get("constant_values"):
        raise NotSpelledError("pads with something else than zeros")
    rank = len(x.shape)
    pairs = (
        isinstance(margins, list)
        and len(margins) == rank + 1
        and all(isinstance(pair, list) and len(pair) == 2 for pair in margins)
    )
    if not isinstance(margins, list) or not pairs or margins[0] != [0, 0] or margins[-1] != [0, 0] or rank < 2:
        raise NotSpelledError(f"pads {margins!r}, and not the places alone")
    padding: Any = margins[1:-1]
    return (Spelled(f"ZeroPadding{rank - 1}D", {"padding": padding[0] if rank == 2 else padding}, (x.name,)),)
