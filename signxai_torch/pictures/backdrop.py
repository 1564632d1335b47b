"""What lies under a map: the image, made ready for the eye, the trace of a time series, the values of features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from signxai_torch.pictures.axes import PICTURE_CHANNELS, Kind

Array = npt.NDArray[Any]
_ORDERS = {
    "image": ("NCHW", "NHWC", "CHW", "HWC", "NHW", "HW"),
    "series": ("NCT", "NTC", "CT", "TC", "NT", "T"),
    "vector": ("NF", "F"),
}
GREYS = np.array([0.299, 0.587, 0.114])
"""The weights of red, green and blue in what the eye takes for brightness (ITU-R BT.601)."""


def fitted(image: Array, shape: Sequence[int], kind: Kind, where: str) -> Array:
    """Return an image, or traces, or values, as (N, C, H, W), (N, C, T) or (N, F), where they fit a map.

    Parameters
    ----------
    image : numpy.ndarray
        Channels first or last, with or without the axes of samples and channels. Where one lies for all samples, or
        one channel for all, it is repeated.
    shape : sequence of int
        Of the map: (N, C, H, W), (N, C, T) or (N, F).
    kind : {"image", "series", "vector"}
        What it is of.
    where : str
        What the message calls the map.

    Raises
    ------
    ValueError
        If they do not fit: with both shapes.
    """
    canonical = _ORDERS[kind][0]
    sizes = dict(zip(canonical, shape, strict=True))
    for order in _ORDERS[kind]:
        if len(order) == image.ndim and all(
            _fits(kind, axis, n, sizes) for axis, n in zip(order, image.shape, strict=True)
        ):
            present = [axis for axis in canonical if axis in order]
            moved = image.transpose([order.index(axis) for axis in present])
            missing = [canonical.index(axis) for axis in canonical if axis not in order]
            moved = np.expand_dims(moved, missing)
            return np.repeat(moved, sizes["N"], axis=0) if len(moved) < sizes["N"] else moved
    raise ValueError(
        f"the image has the shape {image.shape}, which does not fit {where}: "
        f"{', '.join(f'{axis} = {n}' for axis, n in sizes.items())} (N samples, C channels). They must have the same "
        "places, and an image for each sample"
    )


def _fits(kind: Kind, axis: str, size: int, sizes: dict[str, int]) -> bool:
    if axis == "C" and kind == "image":  # a map may have had its channels summed, or be of other features
        return size in (*PICTURE_CHANNELS, sizes["C"])
    return size == sizes[axis] or (axis == "N" and size == 1)


def display(picture: Array, side: int) -> Array:
    """Return a picture (C, H, W) as floats from 0 to 1, (H, W) or (H, W, 3), no side longer than `side`.

    Whole numbers from 0 to 255 and fractions from 0 to 1 are taken as they are. Everything else, such as what a
    network's preprocessing made, is stretched from its least to its largest value. Of RGBA pictures the alpha is left
    out; the mean stands for other numbers of channels. What is no number is NaN.
    """
    values = picture[:3] if len(picture) == 4 else picture
    finite = np.isfinite(values)
    numbers = values[finite]
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (np.inf, -np.inf)
    if not 0.0 <= low <= high <= 1.0:
        whole = low >= 0.0 and high <= 255.0 and np.array_equal(values, np.rint(values))
        low, high = (0.0, 255.0) if whole else (low, high)
    else:
        low, high = 0.0, 1.0
    small = shrunk(np.moveaxis(np.where(finite, values, np.nan), 0, -1), side)
    spread = high - low if low < high else 1.0
    scaled = np.clip((small - low) / spread, 0.0, 1.0) if low <= high else small
    return scaled if scaled.shape[-1] == 3 else scaled.mean(axis=-1)


def grey(picture: Array) -> Array:
    """Return what `display` returned in grey, (H, W)."""
    return picture if picture.ndim == 2 else picture @ GREYS


def shrunk(values: Array, side: int) -> Array:
    """Return (H, W) or (H, W, C) with no axis of places longer than `side`, by the means of blocks of equal size.

    A block that holds what is no number is none.
    """
    for axis in (0, 1):
        if values.shape[axis] > side:
            cuts = np.arange(side) * values.shape[axis] // side
            counts = np.diff([*cuts, values.shape[axis]])
            sums = np.add.reduceat(values, cuts, axis=axis, dtype=np.float64)
            values = sums / np.expand_dims(counts, [other for other in range(values.ndim) if other != axis])
    return values


def runs(length: int, most: int) -> list[tuple[int, int]]:
    """Return a row of so many values cut into at most `most` pieces: (begin, end) of each."""
    cuts = [i * length // most for i in range(most)] if length > most else list(range(length))
    return list(itertools.pairwise([*cuts, length]))
