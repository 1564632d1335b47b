"""Maps as small palette PNGs in data URIs.

Two palettes, both diverging and readable with any kind of color vision: red-blue for the maps (red
positive) and orange-purple for differences, so that the two scales are not confused.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]
Plane = npt.NDArray[np.float64]
Palette = Literal["map", "difference"]

# RdBu and PuOr of ColorBrewer 2.0 (Brewer, Harrower and others), from the negative end to the positive one.
COLORS: dict[Palette, tuple[str, ...]] = {
    "map": (
        "053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b", "67001f",
    ),
    "difference": (
        "2d004b", "542788", "8073ac", "b2abd2", "d8daeb", "f7f7f7", "fee0b6", "fdb863", "e08214", "b35806", "7f3b08",
    ),
}  # fmt: skip
CLIP = 0.995  # the color scale of maps ends at this quantile of |R|; the text gives the full range
INPUT_SIDE = 160
STRIP = 64  # flat vectors are broken into lines of this many values


@dataclass(frozen=True)
class Detail:
    """How finely maps are drawn: longest side in pixels, colors, dots in a scatter plot."""

    side: int
    levels: int
    dots: int


def detail_for(rows: int) -> Detail:
    """Return the detail that keeps a report of this many rows well under 15 MB."""
    if rows <= 160:
        return Detail(side=112, levels=63, dots=400)
    if rows <= 400:
        return Detail(side=112, levels=31, dots=250)
    return Detail(side=80, levels=21, dots=100)


class Pictures:
    """The pictures of a report, each stored once however often it is shown.

    Where both sides agree, their maps are the same picture; every method shows the same inputs.
    """

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}
        self._drawn: dict[tuple[Any, ...], str] = {}

    def plane(self, plane: Plane, scale: float, palette: Palette, levels: int) -> str:
        """Draw a plane with a symmetric scale of ±`scale` and keep it; see `plane_png`."""
        steps = color_steps(plane, scale, levels)
        key = (palette, levels, steps.shape, steps.tobytes())
        if key not in self._drawn:
            self._drawn[key] = self.add(plane_png(steps, palette, levels))
        return self._drawn[key]

    def input(self, key: str, array: Array) -> str:
        """Draw an input once and keep it."""
        if (key,) not in self._drawn:
            self._drawn[(key,)] = self.add(input_png(array))
        return self._drawn[(key,)]

    def add(self, png: bytes) -> str:
        """Keep a picture and return the name of the CSS class that shows it."""
        uri = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        return self._classes.setdefault(uri, f"i{len(self._classes)}")

    def css(self) -> str:
        """Return one style rule per picture."""
        return "\n".join(f'.{name}{{background-image:url("{uri}")}}' for uri, name in self._classes.items())


def map_plane(array: Array) -> Plane:
    """Return a map as a plane for the eye: the channels of a picture are summed.

    (H, W, C) becomes (H, W); (T, C) becomes (C, T), one line per channel; (F,) is broken into lines.
    """
    values = np.asarray(array, dtype=np.float64)
    return values.sum(axis=-1) if values.ndim == 3 else _flat_plane(values)


def difference_plane(reference: Array, subject: Array) -> Plane:
    """Return subject - reference as a plane; of a picture's channels the largest in size is kept.

    A sum would hide errors that cancel between channels.
    """
    difference = np.asarray(subject, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    if difference.ndim != 3:
        return _flat_plane(difference)
    return _largest(difference, axis=-1)


def _flat_plane(values: Plane) -> Plane:
    if values.ndim == 2:
        return values.T
    flat = values.ravel()
    if flat.size <= STRIP:
        return flat[None]
    padded = np.zeros(math.ceil(flat.size / STRIP) * STRIP)
    padded[: flat.size] = flat
    return padded.reshape(-1, STRIP)


def _largest(values: Plane, axis: int) -> Plane:
    """Return, along an axis, the value that is largest in absolute size."""
    at = np.expand_dims(np.abs(values).argmax(axis=axis), axis)
    return np.take_along_axis(values, at, axis=axis).squeeze(axis)


def shrink(plane: Plane, side: int, keep_largest: bool = False) -> Plane:
    """Return the plane no longer than `side`, each pixel standing for a block of values.

    Blocks are averaged, or, with `keep_largest`, stand for their value of largest absolute size, so that a
    single wrong pixel stays visible.
    """
    if max(plane.shape) <= side:
        return plane
    # Blocks of nearly equal length; a side that is short enough keeps its pixels.
    cuts = [np.arange(kept) * length // kept for length in plane.shape for kept in [min(length, side)]]
    if keep_largest:
        high, low = (_blocks(ufunc, plane, cuts) for ufunc in (np.maximum, np.minimum))
        return np.where(np.abs(high) >= np.abs(low), high, low)
    return _blocks(np.add, plane, cuts) / _blocks(np.add, np.ones(plane.shape), cuts)


def _blocks(ufunc: np.ufunc, plane: Plane, cuts: list[npt.NDArray[np.int64]]) -> Plane:
    reduced: Plane = ufunc.reduceat(ufunc.reduceat(plane, cuts[0], axis=0), cuts[1], axis=1)
    return reduced


def map_scale(reference: Plane, subject: Plane) -> float:
    """Return the end of the symmetric color scale that both maps share: a quantile of |R|, never 0."""
    sizes = np.abs(np.concatenate([reference.ravel(), subject.ravel()]))
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return 1.0
    # "higher" takes a value that the map has instead of one between two.
    scale = float(np.quantile(sizes, CLIP, method="higher"))
    return scale or float(sizes.max()) or 1.0


def difference_scale(difference: Plane) -> float:
    """Return the end of the difference's own scale: its largest value, never 0."""
    sizes = np.abs(difference[np.isfinite(difference)])
    return float(sizes.max(initial=0.0)) or 1.0


def color_steps(plane: Plane, scale: float, levels: int) -> npt.NDArray[np.uint8]:
    """Return the palette index of each value on a symmetric scale of ±`scale`; `levels` where it is NaN."""
    finite = np.nan_to_num(plane, nan=0.0, posinf=scale, neginf=-scale)
    steps = np.clip(np.rint((finite / scale + 1) / 2 * (levels - 1)), 0, levels - 1).astype(np.uint8)
    steps[np.isnan(plane)] = levels
    return steps


def plane_png(steps: npt.NDArray[np.uint8], palette: Palette, levels: int) -> bytes:
    """Draw palette indices (see `color_steps`); what is not a number is green."""
    picture = Image.fromarray(steps)
    picture.putpalette(_palette(palette, levels))
    return _encode(picture)


def input_png(array: Array) -> bytes:
    """Draw an input: a uint8 picture as it is, anything else in gray from its least to its largest value."""
    values = np.asarray(array)
    if values.dtype != np.uint8:
        plane = values.astype(np.float64)
        plane = _flat_plane(plane) if plane.ndim != 3 else plane
        low, high = float(plane.min()), float(plane.max())
        values = np.rint((plane - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[-1] != 3:
        values = np.rint(values.mean(axis=-1)).astype(np.uint8)
    picture = Image.fromarray(values)
    if max(picture.size) > INPUT_SIDE:
        picture.thumbnail((INPUT_SIDE, INPUT_SIDE), Image.Resampling.LANCZOS)
    return _encode(picture.quantize(64, dither=Image.Dither.NONE))


@cache
def _palette(palette: Palette, levels: int) -> bytes:
    return bytes(np.rint(_colors(palette, levels)).astype(np.uint8).tobytes()) + bytes((0, 158, 115))


def _colors(palette: Palette, levels: int) -> npt.NDArray[np.float64]:
    """Return so many colors (levels, 3) from 0 to 255, evenly spread over the palette."""
    known = np.array([tuple(bytes.fromhex(color)) for color in COLORS[palette]], dtype=np.float64)
    places = np.linspace(0.0, len(known) - 1, levels)
    return np.stack([np.interp(places, np.arange(len(known)), channel) for channel in known.T], axis=1)


def palette_css(palette: Palette) -> str:
    """Return the palette as a CSS gradient, from negative to positive."""
    stops = ",".join("rgb({:.0f} {:.0f} {:.0f})".format(*color) for color in _colors(palette, 9))
    return f"linear-gradient(to right,{stops})"


def _encode(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    # Run-length deflate: smallest on noisy maps, and many times faster than the default.
    picture.save(stream, "PNG", compress_level=9, compress_type=3)
    return stream.getvalue()
