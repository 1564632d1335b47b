"""One picture of a grid as data: what is drawn, on which scale, over what, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from signxai_torch.pictures.axes import Kind
from signxai_torch.pictures.backdrop import runs, shrunk
from signxai_torch.pictures.colors import Palette

Array = npt.NDArray[Any]
Reduce = Literal["sum", "max_abs", "none"]
REDUCTIONS = ("sum", "max_abs", "none")
OVERLAY = 0.9
"""How much of the image the strongest relevance covers."""
SIDE = 1000
"""The longest side of what is drawn of an image, and twice the pieces of a trace; larger ones are shrunk."""
MOST_BARS, MOST_TRACES = 40, 40
"""Features and channels that are drawn one by one; more of them become coloured cells."""
CELLS = 64
"""Features are laid out as cells in lines of this many."""
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The names of the twelve leads of an ECG in the order in which they are stored by nearly everyone."""


@dataclass
class Panel:
    """One picture.

    Attributes
    ----------
    kind : {"image", "series", "vector"}
        How it is drawn.
    values : numpy.ndarray or None
        The relevance: (H, W), (C, T) or (F,); None for a picture of the image alone.
    title : str
        Over it.
    notes : list of str
        Lines under it: what a reader must know.
    backdrop : numpy.ndarray, optional
        The image (H, W) or (H, W, 3) from 0 to 1, the trace (C, T), or the values of features (F,).
    names : sequence of str
        Of channels or features; empty for their numbers.
    lead_layout : bool
        Whether the channels stand in two columns, as the leads of an ECG do.
    overlay : float
        How opaque the strongest relevance is over an image.
    palette : {"map", "difference"}
        The colours.
    end : float
        Where the scale ends; 0 if all is zero.
    """

    kind: Kind
    values: Array | None
    title: str = ""
    notes: list[str] = field(default_factory=list)
    backdrop: Array | None = None
    names: Sequence[str] = ()
    lead_layout: bool = False
    overlay: float = 1.0
    palette: Palette = "map"
    end: float = 0.0

    @property
    def sizes(self) -> Array:
        """Absolute relevance of all places that have a number."""
        values = np.zeros(0) if self.values is None else self.values
        return np.abs(values[np.isfinite(values)])


def planes(channels: Array, reduce: Reduce) -> list[tuple[str, Array]]:
    """Return the relevance of a picture (C, H, W) as planes (H, W), each with what is added to the title.

    Parameters
    ----------
    channels : numpy.ndarray
        (C, H, W).
    reduce : {"sum", "max_abs", "none"}
        The sum over the channels, the value of the largest absolute size, or each channel by itself.
    """
    if len(channels) == 1:
        return [("", shrunk(channels[0].astype(np.float64), SIDE))]
    if reduce == "none":
        return [(f"channel {i}", shrunk(one.astype(np.float64), SIDE)) for i, one in enumerate(channels)]
    finite = np.isfinite(channels).all(axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        if reduce == "sum":
            plane = channels.sum(axis=0, dtype=np.float64)
        else:
            at = np.abs(channels).argmax(axis=0)[None]
            plane = np.take_along_axis(channels, at, axis=0)[0].astype(np.float64)
    plane[~finite] = np.nan
    return [("", shrunk(plane, SIDE))]


def shortened(values: Array, trace: Array | None) -> tuple[Array, Array, Array]:
    """Return the points of time, relevance and trace of a series (C, T) that has more values than can be drawn.

    Each piece of a longer one is drawn by two points, the least and the largest value of its trace, both with the
    relevance that is strongest in the piece, so that neither a spike nor its relevance is lost.

    Returns
    -------
    times, relevance, trace : numpy.ndarray
        (C, points) each.
    """
    length = values.shape[1]
    drawn = values if trace is None else trace
    if length <= SIDE * 2:
        return np.broadcast_to(np.arange(length), values.shape), values, drawn
    times, relevance, points = [], [], []
    rows = np.arange(len(values))
    for begin, end in runs(length, SIDE):
        piece, part = drawn[:, begin:end], values[:, begin:end]
        there = np.isfinite(piece)
        low = np.where(there, piece, np.inf).argmin(axis=1)
        high = np.where(there, piece, -np.inf).argmax(axis=1)
        size = np.where(np.isfinite(part), np.abs(part), np.inf)  # what is no number must be seen
        strongest = part[rows, size.argmax(axis=1)]
        for at in (np.minimum(low, high), np.maximum(low, high)):
            times.append(begin + at)
            points.append(piece[rows, at])
            relevance.append(strongest)
    return np.stack(times, axis=1), np.stack(relevance, axis=1), np.stack(points, axis=1)


def set_scales(panels: Iterable[Panel], scale: Literal["map", "shared"] | float, clip: float | None) -> None:
    """Give every panel of relevance the end of its scale, and the notes on scale, zeros and what is no number.

    Parameters
    ----------
    panels : iterable of Panel
        All that are drawn together.
    scale : {"map", "shared"} or float
        A scale for each, one for all, or where it ends.
    clip : float, optional
        The percentile of the absolute relevance at which a scale ends, instead of the largest.
    """
    maps = [panel for panel in panels if panel.values is not None]
    if scale == "shared":
        end = _end(np.concatenate([panel.sizes for panel in maps]) if maps else np.zeros(0), clip)
        ends = [end] * len(maps)
    else:
        ends = [_end(panel.sizes, clip) if scale == "map" else float(scale) for panel in maps]
    for panel, end in zip(maps, ends, strict=True):
        largest = float(panel.sizes.max(initial=0.0))
        panel.end = end
        if not panel.sizes.size:
            panel.notes.append("no number in it")
        elif largest == 0.0:
            panel.notes.append("zero everywhere")
        elif largest > end:
            where = "" if clip is None else f"ends at percentile {clip:g}; "
            panel.notes.append(f"{where}largest |R| {largest:.3g}")


def _end(sizes: Array, clip: float | None) -> float:
    if not sizes.size:
        return 0.0
    largest = float(sizes.max())
    # "higher" takes a value that the map has instead of one between two.
    return float(np.percentile(sizes, clip, method="higher")) or largest if clip is not None else largest
