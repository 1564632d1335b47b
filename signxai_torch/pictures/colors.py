"""The colours of relevance: diverging, zero in the middle, readable with any kind of colour vision.

They are those of the parity report, so that both look alike: red-blue for maps, orange-purple for differences of maps.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
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
NO_NUMBER = (0, 158, 115)
"""Green, which neither palette has: NaN and infinity."""
_GREY = "a6a6a6"  # the middle of a line's colours: the nearly white one of areas would vanish on paper
_STEPS = 511  # odd, so that zero has a colour of its own


def color(values: Array, end: float, palette: Palette = "map") -> npt.NDArray[np.uint8]:
    """Return the colour of each value, (..., 3), on a scale from -`end` to `end`.

    Parameters
    ----------
    values : numpy.ndarray
        Relevance. What is beyond the scale has the colour of its end; NaN and infinity are `NO_NUMBER`.
    end : float
        Where the scale ends, at least 0; with 0 every number has the colour of zero.
    palette : {"map", "difference"}
        Red-blue or orange-purple.
    """
    return _looked_up(values, end, _table(COLORS[palette]))


def line_color(values: Array, end: float, palette: Palette = "map") -> npt.NDArray[np.uint8]:
    """Return the same for thin lines: grey for zero, and no light colours."""
    colors = COLORS[palette]
    return _looked_up(values, end, _table((*colors[:3], _GREY, *colors[-3:])))


def strength(values: Array, end: float) -> Array:
    """Return the share of the scale that each value reaches, 0 to 1; 1 for what is no number, which must be seen."""
    share = np.minimum(np.abs(np.where(np.isfinite(values), values, 0.0)) / (end or 1.0), 1.0)
    return np.where(np.isfinite(values), share if end else 0.0, 1.0)


def _looked_up(values: Array, end: float, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    finite = np.isfinite(values)
    share = np.clip(np.where(finite, values, 0.0) / (end or 1.0), -1.0, 1.0) if end else np.zeros(values.shape)
    steps = np.rint((share + 1.0) / 2.0 * (_STEPS - 1)).astype(np.intp)
    steps[~finite] = _STEPS
    return table[steps]


@cache
def _table(colors: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    known = np.array([tuple(bytes.fromhex(one)) for one in colors], dtype=np.float64)
    places = np.linspace(0.0, len(known) - 1, _STEPS)
    mixed = np.stack([np.interp(places, np.arange(len(known)), part) for part in known.T], axis=1)
    return np.concatenate([np.rint(mixed), [NO_NUMBER]]).astype(np.uint8)
