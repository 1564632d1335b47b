"""What takes some places of an axis, spelled as layers: ``x[:, 1:-1]``, ``tf.split``, ``tf.reverse``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from parity.keras.functions.spelling import (
    RESULT,
    Arguments,
    NotSpelledError,
    OpenSizeError,
    Spelled,
    Spelling,
    Tensor,
    axis_of,
    first_tensor,
    refuse_shape,
)

Margin = tuple[int, int]
"""How many places are left off before and behind."""
_MOST_RUNS = 64
_IMAGE_AXES = 3
ALL_PLACES: Mapping[str, Any] = {"start": None, "stop": None, "step": None}
"""Of an axis, as a part of it."""
_CROPPED_RANKS = (2, 3, 4)


@dataclass
class _Chain:
    """Layers that each read the one before; only parts of one tensor that are joined read it by number."""

    reads: str
    shape: list[int | None]
    layers: list[Spelled] = field(default_factory=list)

    def add(self, class_name: str, **config: Any) -> None:
        self.layers.append(Spelled(class_name, config, (self._end,)))

    @property
    def _end(self) -> str | int:
        return len(self.layers) - 1 if self.layers else self.reads

    def reshape(self, shape: Sequence[int | None]) -> None:
        if list(shape) == self.shape:
            return
        refuse_shape(shape)
        refuse_shape(self.shape)
        self.add("Reshape", target_shape=list(shape))
        self.shape = list(shape)

    def permute(self, dims: Sequence[int]) -> None:
        self.add("Permute", dims=list(dims))
        self.shape = [self.shape[axis - 1] for axis in dims]

    def crop(self, margins: Mapping[int, Margin], reads: str | int | None = None) -> None:
        """Cut axes that are not the channels; a size may be open."""
        pairs = [list(margins.get(axis, (0, 0))) for axis in range(1, len(self.shape))]
        config = {"cropping": pairs[0] if len(pairs) == 1 else pairs}
        self.layers.append(Spelled(f"Cropping{len(pairs)}D", config, (self._end if reads is None else reads,)))

    def cut(self, margins: Mapping[int, Margin]) -> None:
        """Leave margins of axes off, of the channels and features too."""
        rank = len(self.shape)
        there = {axis: margin for axis, margin in margins.items() if margin != (0, 0)}
        cropped = {axis: margin for axis, margin in there.items() if axis < rank and rank in _CROPPED_RANKS}
        if cropped:
            self.crop(cropped)
            for axis, (before, behind) in cropped.items():
                size = self.shape[axis - 1]
                self.shape[axis - 1] = None if size is None else size - before - behind
        for axis in [axis for axis in there if axis not in cropped]:
            before, behind = there[axis]
            self.take(axis, range(before, self.known(axis) - behind))

    def take(self, axis: int, places: Sequence[int]) -> None:
        """Take places of an axis, in their order."""
        size, rank = self.known(axis), len(self.shape)
        if list(places) == list(range(size)):
            return
        if rank == 1:
            self.reshape([size, 1])
            self.take(1, places)
            self.reshape([len(places)])
        elif rank not in _CROPPED_RANKS:
            raise NotSpelledError(f"takes a part of a tensor of {rank + 1} axes")
        elif axis == rank:
            self.permute([rank, *range(1, rank)])
            self.take(1, places)
            self.permute([*range(2, rank + 1), 1])
        else:
            self._join(axis, size, _runs(places))
            self.shape[axis - 1] = len(places)

    def _join(self, axis: int, size: int, runs: Sequence[tuple[int, int]]) -> None:
        if len(runs) > _MOST_RUNS:
            raise NotSpelledError(f"takes {len(runs)} places one by one, and at most {_MOST_RUNS} are spelled")
        source = self._end
        for first, last in runs:
            self.crop({axis: (first, size - 1 - last)}, source)
        if len(runs) > 1:
            parts = range(len(self.layers) - len(runs), len(self.layers))
            self.layers.append(Spelled("Concatenate", {"axis": axis}, tuple(parts)))

    def known(self, axis: int) -> int:
        size = self.shape[axis - 1]
        if size is None:
            raise OpenSizeError("takes a part of an open size")
        return size

    def spelled(self) -> tuple[Spelled, ...]:
        if not self.layers:
            self.add("Activation", activation="linear")
        return tuple(self.layers)


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and the last of each run of places that follow each other."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and place == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], place)
        else:
            runs.append((place, place))
    return runs


def part(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x[:, a:b]``; ``x[:, i]`` takes an axis off, ``x[:, None]`` adds one, and ``x[..., ::-1]`` turns one around."""
    x, spec = first_tensor(arguments), arguments.get("slice_spec", arguments.get("key"))
    spans = _spans(spec, len(x.shape) + 1)
    axes = [span for span in spans if span is not None]
    if spans[0] is None or not _is_whole(axes[0]):
        raise NotSpelledError("takes a part of the batch")
    chain = _Chain(x.name, list(x.shape))
    margins = {axis: _margin(span, x.shape[axis - 1]) for axis, span in enumerate(axes[1:], start=1)}
    chain.cut({axis: margin for axis, margin in margins.items() if margin is not None})
    for axis, margin in margins.items():
        if margin is None:
            chain.take(axis, range(chain.known(axis))[slice(*_slice(axes[axis]))])
    left = iter(chain.shape)
    sizes = [(1 if span is None else next(left), span) for span in spans[1:]]
    chain.reshape([size for size, span in sizes if type(span) is not int])
    return chain.spelled()


def _spans(spec: Any, axes: int) -> list[Any]:
    """Return what is taken of each axis, the batch included, with None for a new axis; what is not told is all."""
    if not isinstance(spec, list):
        spec = [spec]
    rests = [place for place, span in enumerate(spec) if _is_rest(span)]
    counted = sum(span is not None for span in spec) - len(rests)
    if len(rests) > 1 or counted > axes:
        raise NotSpelledError(f"takes the part {spec!r}")
    place = rests[0] if rests else len(spec)
    return [*spec[:place], *[ALL_PLACES] * (axes - counted), *spec[place + 1 :]]


def _is_rest(span: Any) -> bool:
    """Return whether it is ``...``, as files of Keras keep it."""
    return span == "..." or (isinstance(span, Mapping) and span.get("class_name") in ("__ellipsis__", "Ellipsis"))


def _slice(span: Any) -> tuple[int | None, int | None, int | None]:
    config = span.get("config", span) if isinstance(span, Mapping) else None
    if not isinstance(config, Mapping) or config.get("step") == 0:
        raise NotSpelledError(f"takes the part {span!r}")

    def end(name: str) -> int | None:
        value = config.get(name)
        if value is None or type(value) is int:
            return value
        raise NotSpelledError(f"takes the part {span!r}")

    return end("start"), end("stop"), end("step")


def _is_whole(span: Any) -> bool:
    return type(span) is not int and _slice(span) in (
        (None, None, None),
        (None, None, 1),
        (0, None, None),
        (0, None, 1),
    )


def _margin(span: Any, size: int | None) -> Margin | None:
    """Return how many places a span, or the number of one place, leaves off before and behind; None with a step."""
    if type(span) is int:
        if size is None:
            raise OpenSizeError(f"takes the place {span} of an open size")
        if not -size <= span < size:
            raise NotSpelledError(f"takes the place {span} of {size}")
        return span % size, size - 1 - span % size
    start, stop, step = _slice(span)
    if size is not None:
        places = range(size)[slice(start, stop, step)]
        if not places:
            raise NotSpelledError(f"takes nothing: the part {span!r} of {size} places")
        return None if places.step != 1 and len(places) > 1 else (places[0], size - 1 - places[-1])
    if step not in (None, 1):
        raise OpenSizeError(f"takes the part {span!r} of an open size")
    if (start or 0) >= 0 and (stop is None or stop < 0):
        return start or 0, -(stop or 0)
    raise OpenSizeError("counts from the other end of an open size")


def reverse(arguments: Arguments) -> tuple[Spelled, ...]:
    """Axes turned around."""
    x, axes = first_tensor(arguments), arguments.get("axis")
    chain = _Chain(x.name, list(x.shape))
    for told in axes if isinstance(axes, list) else [axes]:
        axis = axis_of(told, len(x.shape))
        chain.take(axis, range(chain.known(axis))[::-1])
    return chain.spelled()


def roll(arguments: Arguments) -> tuple[Spelled, ...]:
    """Places that move along axes; what leaves at one end comes in at the other."""
    x = first_tensor(arguments)
    shifts, axes = (told if isinstance(told := arguments.get(name), list) else [told] for name in ("shift", "axis"))
    if len(shifts) != len(axes) or not all(type(shift) is int for shift in shifts):
        raise NotSpelledError(f"moves by {arguments.get('shift')!r} places, and one number for each axis is supported")
    chain = _Chain(x.name, list(x.shape))
    for told, shift in zip(axes, shifts, strict=True):
        axis = axis_of(told, len(x.shape))
        size = chain.known(axis)
        chain.take(axis, [(place - shift) % size for place in range(size)])
    return chain.spelled()


def pad_with_places(x: Tensor, margins: Sequence[Margin], mode: str) -> tuple[Spelled, ...]:
    """Places of each axis again around them, as NumPy's mode of that name has them."""
    chain = _Chain(x.name, list(x.shape))
    for axis, margin in enumerate(margins, start=1):
        if margin == (0, 0):
            continue
        places = np.arange(chain.known(axis))
        if max(margin) >= len(places) + (mode == "symmetric"):
            raise NotSpelledError(f"pads {len(places)} places with {max(margin)} of them")
        chain.take(axis, [int(place) for place in np.pad(places, margin, mode)])  # type: ignore[call-overload]
    return chain.spelled()


def cut(arguments: Arguments) -> tuple[Spelled, ...]:
    """`tf.slice`: so many places of each axis, -1 for the rest."""
    begin, sizes = arguments.get("begin"), arguments.get("size")
    x = first_tensor(arguments)
    told = [*(begin if isinstance(begin, list) else [None]), *(sizes if isinstance(sizes, list) else [None])]
    if len(told) != 2 * len(x.shape) + 2 or not all(type(number) is int for number in told) or told[0] != 0:
        raise NotSpelledError(f"takes {sizes!r} places from {begin!r}")
    ends = [None if size == -1 else first + size for first, size in zip(begin, sizes, strict=True)]  # type: ignore[arg-type]
    if ends[0] is not None:
        raise NotSpelledError("takes a part of the batch")
    spans = [{"start": first, "stop": end} for first, end in zip(told, ends, strict=False)]
    return part({"x": x, "key": [ALL_PLACES, *spans[1:]]})


def mirrored(axis: int) -> Spelling:
    """Turn images around along one of their sides."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        x = first_tensor(arguments)
        if len(x.shape) != _IMAGE_AXES:  # without a batch axis TensorFlow takes it for one image
            raise NotSpelledError(f"turns around tensors of {len(x.shape) + 1} axes, and only images are supported")
        return reverse({"x": x, "axis": axis})

    return spelling


def gather(arguments: Arguments) -> tuple[Spelled, ...]:
    """Places that are constants, or one of them."""
    x, indices = first_tensor(arguments), arguments.get("indices")
    places = [indices] if type(indices) is int else indices
    axis, chain = axis_of(arguments.get("axis"), len(x.shape)), _Chain(x.name, list(x.shape))
    size = chain.known(axis)
    if (
        not isinstance(places, list)
        or not places
        or not all(type(place) is int and -size <= place < size for place in places)
    ):
        raise NotSpelledError(f"gathers {indices!r} of {size} places, and only constant places are spelled")
    if arguments.get("batch_dims"):
        raise NotSpelledError("gathers other places for each sample")
    chain.take(axis, [place % size for place in places])
    if type(indices) is int:
        chain.reshape([*chain.shape[: axis - 1], *chain.shape[axis:]])
    return chain.spelled()


def split(arguments: Arguments) -> tuple[Spelled, ...]:
    """One of the results of `tf.split`: so many equal parts, or parts of so many places."""
    return _part_of(arguments, arguments.get("num_or_size_splits"))


def split_at(arguments: Arguments) -> tuple[Spelled, ...]:
    """One of the results of Keras 3's `split`: so many equal parts, or what lies between given places."""
    parts = arguments.get("indices_or_sections")
    if isinstance(parts, list) and all(type(places) is int for places in parts):
        parts = [*(end - start for start, end in pairwise([0, *parts])), -1]
    return _part_of(arguments, parts)


def _part_of(arguments: Arguments, parts: Any) -> tuple[Spelled, ...]:
    x, result = first_tensor(arguments), arguments[RESULT]
    axis = axis_of(arguments.get("axis", 0), len(x.shape))
    size = _Chain(x.name, list(x.shape)).known(axis)
    if type(parts) is int and parts > 0 and size % parts == 0:
        parts = [size // parts] * parts
    if not isinstance(parts, list) or not all(type(places) is int for places in parts) or parts.count(-1) > 1:
        raise NotSpelledError(f"splits {size} places into {parts!r} parts")
    sizes = [size - sum(parts) - 1 if places == -1 else places for places in parts]
    if sum(sizes) != size or min(sizes) < 1 or result >= len(sizes):
        raise NotSpelledError(f"splits {size} places into parts of {parts!r}")
    first = sum(sizes[:result])
    return part({"x": x, "key": [*[ALL_PLACES] * axis, {"start": first, "stop": first + sizes[result]}]})


def unstack(arguments: Arguments) -> tuple[Spelled, ...]:
    """One of the results of `tf.unstack`: an axis taken apart place by place."""
    x = first_tensor(arguments)
    axis = axis_of(arguments.get("axis", 0), len(x.shape))
    return part({"x": x, "key": [*[ALL_PLACES] * axis, arguments[RESULT]]})
