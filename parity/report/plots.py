"""The geometry of the small plots: SVG path strings in a box of 200 x 200, drawn by the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BOX = 200
STEPS = 38  # bars across, half a decade each
CURVE_LOW, CURVE_HIGH = -17, 1  # error by depth: decades of the relative L2 distance
LOW_DECADE, HIGH_DECADE = -18, 1  # error histogram: decades of |difference| / max|reference|


@dataclass(frozen=True)
class Scatter:
    """Subject against reference on one symmetric scale.

    `dots` and `fit` are SVG paths; `end` is the value at the box's edge; `shown` of `total` values are drawn.
    """

    dots: str
    fit: str
    end: float
    shown: int
    total: int


@dataclass(frozen=True)
class Histogram:
    """How errors are spread over decades.

    `bars` is an SVG path in steps of half a decade across; `limit_x` is where the limit stands, in the same
    steps; `equal` is the share of values that are exactly equal, `highest` that in the highest bar.
    """

    bars: str
    limit_x: float | None
    equal: float
    highest: float


@dataclass(frozen=True)
class Curve:
    """The error by depth, output at the left: SVG paths with a decade on the height, and where the limit stands."""

    relevance: str
    activations: str
    limit_y: float
    low: int
    high: int


def curve(relevance: Sequence[float | None], activations: Sequence[float | None], limit: float) -> Curve:
    """Plot errors layer by layer on decades from `CURVE_LOW` to `CURVE_HIGH`; a layer without a number is left out."""

    def height(value: float) -> float:
        decade = float(np.clip(np.log10(max(value, 10.0**CURVE_LOW)), CURVE_LOW, CURVE_HIGH))
        return round(BOX - (decade - CURVE_LOW) / (CURVE_HIGH - CURVE_LOW) * BOX, 1)

    def path(values: Sequence[float | None]) -> str:
        step = BOX / max(1, len(values) - 1)
        points = [(round(place * step, 1), height(one)) for place, one in enumerate(values) if one is not None]
        return "".join(f"{'L' if place else 'M'}{x} {y}" for place, (x, y) in enumerate(points))

    return Curve(path(relevance), path(activations), height(limit), CURVE_LOW, CURVE_HIGH)


def scatter(reference: Array, subject: Array, slope: float | None, offset: float | None, dots: int) -> Scatter:
    """Plot some values against each other: the largest of either side, and an even sample of the rest."""
    x = np.asarray(reference, dtype=np.float64).ravel()
    y = np.asarray(subject, dtype=np.float64).ravel()
    finite = np.isfinite(x) & np.isfinite(y)
    total = int(x.size)
    x, y = x[finite], y[finite]
    if not x.size:
        return Scatter("", "", 1.0, 0, total)
    sizes = np.maximum(np.abs(x), np.abs(y))
    order = np.argsort(-sizes, kind="stable")
    chosen = np.unique(np.concatenate([order[: dots // 2], order[:: max(1, x.size // max(1, dots // 2))]]))
    end = float(sizes.max()) or 1.0

    def place(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        return np.rint((values / end + 1) / 2 * BOX).astype(np.int64)

    points = np.unique(np.stack([place(x[chosen]), BOX - place(y[chosen])], axis=1), axis=0)
    path = "".join(f"M{column} {row}h0" for column, row in points.tolist())
    fit = ""
    if slope is not None and offset is not None:
        ends = np.array([-1.0, 1.0])
        heights = BOX - (slope * ends + offset / end + 1) / 2 * BOX
        # A steep fit leaves the box; the template clips it.
        fit = f"M0 {heights[0]:.0f}L{BOX} {heights[1]:.0f}" if np.abs(heights).max() < 1e5 else ""
    return Scatter(path, fit, end, int(chosen.size), total)


def histogram(reference: Array, subject: Array, limit: float | None) -> Histogram:
    """Count |subject - reference| / max|reference| in half decades; exact equality is counted apart."""
    x = np.asarray(reference, dtype=np.float64).ravel()
    y = np.asarray(subject, dtype=np.float64).ravel()
    top = float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) or 1.0
    error = np.abs(y - x) / top
    error = error[np.isfinite(error)]
    edges = np.arange(LOW_DECADE, HIGH_DECADE + 0.25, 0.5)
    unequal = error[error > 0]
    logs = np.clip(np.log10(unequal), LOW_DECADE, HIGH_DECADE - 1e-9) if unequal.size else unequal
    counts, _ = np.histogram(logs, edges)
    shares = counts / max(1, error.size)
    highest = float(shares.max(initial=0.0))

    bars = ""
    for step, share in enumerate(shares):
        if share > 0:
            height = max(1, round(share / highest * BOX * 0.95))
            bars += f"M{step} {BOX}v-{height}h1v{height}z"
    limit_x = None
    if limit is not None and limit > 0:
        decade = float(np.clip(np.log10(limit), LOW_DECADE, HIGH_DECADE))
        limit_x = round(2 * (decade - LOW_DECADE), 2)
    equal = float((error == 0).mean()) if error.size else 0.0
    return Histogram(bars, limit_x, equal, highest)
