"""What the axes of a map are, read off its shape where that is unambiguous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kind = Literal["image", "series", "vector"]
Channels = Literal["first", "last"]
KINDS = ("image", "series", "vector")
CHANNELS = ("first", "last")
PICTURE_CHANNELS = (1, 3, 4)
"""Of grey, RGB and RGBA pictures."""
LONG = 64
"""Values in a row from which on they are a time series; fewer are features."""
_LEAST, _MOST_RATIO = 5, 4  # sides of a picture
_MOST_LAST = 16  # what stands last and is so short is no time: an ECG has 12 leads


@dataclass(frozen=True)
class Axes:
    """The kind of a map and the order of its axes, such as ("image", "NCHW") or ("series", "CT")."""

    kind: Kind
    order: str

    def canonical(self, values: Array) -> Array:
        """Return an array as (N, C, H, W), (N, C, T) or (N, F)."""
        full = {"image": "NCHW", "series": "NCT", "vector": "NF"}[self.kind]
        present = [axis for axis in full if axis in self.order]
        moved = values.transpose([self.order.index(axis) for axis in present])
        return np.expand_dims(moved, [full.index(axis) for axis in full if axis not in self.order])


def axes_of(shape: Sequence[int], where: str, kind: Kind | None = None, channels: Channels | None = None) -> Axes:
    """Return what the axes of a map are.

    Parameters
    ----------
    shape : sequence of int
        The shape.
    where : str
        What messages call the map.
    kind : {"image", "series", "vector"}, optional
        What the map is of, where the user says so.
    channels : {"first", "last"}, optional
        Where the channels are, where the user says so.

    Raises
    ------
    ValueError
        If no map has such a shape, or several kinds have, which a picture must not be guessed of.
    """
    shape = tuple(shape)
    read = {1: _one, 2: _two, 3: _three, 4: _four}.get(len(shape))
    if read is None:
        raise ValueError(
            f"{where} has the shape {shape}; maps have 1 to 4 axes, from (T,) to (N, C, H, W). Of a volume or a video "
            "show one slice, such as relevance[:, :, 0]"
        )
    return read(shape, where, kind, channels)


def _squarish(sides: Sequence[int]) -> bool:
    return min(sides) >= _LEAST and max(sides) <= _MOST_RATIO * min(sides)


def _one(shape: tuple[int, ...], where: str, kind: Kind | None, channels: Channels | None) -> Axes:
    if kind == "image":
        raise ValueError(f"{where} has the shape {shape}, and an image has at least two axes: (H, W)")
    kind = kind or ("series" if shape[0] > LONG else "vector")
    return Axes(kind, "T" if kind == "series" else "F")


def _two(shape: tuple[int, ...], where: str, kind: Kind | None, channels: Channels | None) -> Axes:
    if kind is None:
        kind = "image" if _squarish(shape) and not channels else "series" if max(shape) > LONG else "vector"
    if kind == "image":
        return Axes(kind, "HW")
    return Axes(kind, _series_order(shape, channels)) if kind == "series" else Axes(kind, "NF")


def _series_order(shape: Sequence[int], channels: Channels | None) -> str:
    """Return "CT" or "TC": first unless so few stand last that they can only be channels, or somebody says so."""
    if channels is not None:
        return "CT" if channels == "first" else "TC"
    return "TC" if shape[-1] <= _MOST_LAST and shape[-2] > _MOST_RATIO * shape[-1] else "CT"


def _three(shape: tuple[int, ...], where: str, kind: Kind | None, channels: Channels | None) -> Axes:
    if kind == "vector":
        raise ValueError(f"{where} has the shape {shape}, and vectors have one axis or two: (F,) or (N, F)")
    first = channels != "last" and shape[0] in PICTURE_CHANNELS
    last = channels != "first" and shape[-1] in PICTURE_CHANNELS
    if kind == "image":
        if channels or first or last:
            return Axes(kind, "CHW" if channels == "first" or (first and not channels) else "HWC")
        raise ValueError(
            f"{where} has the shape {shape}: {shape[0]} maps (H, W), or one of {shape[0]} channels? For maps, give the "
            "axis of channels too, relevance[:, None]; for one map of them, say channels='first' (or 'last')"
        )
    if kind is None and first and _squarish(shape[1:]):
        return Axes("image", "CHW")
    if kind is None and last and _squarish(shape[:2]):
        return Axes("image", "HWC")
    if kind is None and channels is None and _squarish(shape[1:]):
        raise ValueError(
            f"{where} has the shape {shape}, which may be {shape[0]} maps (H, W) or {shape[0]} time series. For "
            "maps, give the axis of channels too, relevance[:, None]; for time series, say kind='series'"
        )
    return Axes("series", "N" + _series_order(shape, channels))


def _four(shape: tuple[int, ...], where: str, kind: Kind | None, channels: Channels | None) -> Axes:
    if kind not in (None, "image"):
        raise ValueError(f"{where} has the shape {shape}, which {kind} maps do not have; four axes are images'")
    if channels is None:
        channels = "last" if shape[3] in PICTURE_CHANNELS and shape[1] not in PICTURE_CHANNELS else "first"
    return Axes("image", "NCHW" if channels == "first" else "NHWC")
