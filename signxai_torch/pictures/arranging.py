"""Columns of maps become rows of panels: with their scales, in a width that can be read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Literal

from signxai_torch.pictures.axes import Kind
from signxai_torch.pictures.columns import Column
from signxai_torch.pictures.panel import Panel, Reduce, set_scales

MOST_PANELS = 1500
"""A figure of more takes minutes, and no viewer opens it."""
_MOST_ROWS = 12
"""Samples under one another, before they also stand side by side."""
_IN_A_ROW: dict[Kind, int] = {"image": 6, "series": 2, "vector": 4}


class NoNumberWarning(UserWarning):
    """A map holds NaN or infinity, which is drawn in green."""


def arranged(
    maps: Sequence[Column],
    labels: Sequence[str] | None,
    reduce: Reduce,
    overlay: float,
    scale: Literal["map", "shared"] | float,
    clip: float | None,
    columns: int | None,
    with_image: bool = True,
) -> tuple[list[list[Panel | None]], list[str]]:
    """Return the panels of a figure in rows of one length, and the labels of the rows.

    Parameters
    ----------
    maps : sequence of Column
        All of as many samples.
    labels : sequence of str, optional
        One for each sample.
    reduce, overlay, scale, clip, columns
        As `signxai_torch.show` takes them.
    with_image : bool
        Whether images have a panel of their own.

    Raises
    ------
    ValueError
        If the numbers of samples, or of labels, differ, or there are too many panels.
    """
    samples = {len(one.values) for one in maps}
    if len(samples) > 1:
        counts = ", ".join(f"{one.where} {len(one.values)}" for one in maps[:6])
        raise ValueError(f"the maps are of different numbers of samples: {counts}; show them one by one")
    (count,) = samples
    if labels is not None and (isinstance(labels, str) or len(labels) != count):
        raise ValueError(f"labels must be one for each of the {count} samples, not {labels!r}")
    each = sum(one.values.shape[1] if reduce == "none" and one.kind == "image" else 1 for one in maps)
    if count * each > MOST_PANELS:
        raise ValueError(
            f"{count} samples of {each} maps are more than the {MOST_PANELS} pictures of one figure; show a part, "
            "such as relevance[:10]"
        )
    rows = [
        [panel for column in maps for panel in column.panels(sample, reduce, overlay, with_image)]
        for sample in range(count)
    ]
    if marked := [column.no_numbers for column in maps if column.no_numbers]:
        warnings.warn(f"drawn in green: {'; '.join(marked[:6])}", NoNumberWarning, stacklevel=3)
    set_scales([panel for row in rows for panel in row], scale, clip)
    return _wrapped(rows, [str(label) for label in labels or ()], columns)


def _wrapped(
    rows: list[list[Panel]], labels: list[str], columns: int | None
) -> tuple[list[list[Panel | None]], list[str]]:
    """Return rows of a width that can be read, and their labels.

    Longer rows are broken, and all samples of the first part stand above all of the next. Samples of one map each, and
    very many samples, stand side by side, each with its label as the title.
    """
    if len(rows) > 1 and len(rows[0]) == 1:
        for row, label in zip(rows, labels or map(str, range(len(rows))), strict=True):
            row[0].title = f"{row[0].title} {label}".strip()
        rows, labels = [[row[0] for row in rows]], []
    width, usual = len(rows[0]), max(_IN_A_ROW[panel.kind] for panel in rows[0])
    across = math.isqrt(len(rows) // width)
    if columns is None and len(rows) > _MOST_ROWS and across > 1:
        return _side_by_side(rows, labels, across), []
    if columns is None:
        columns = width if width <= usual else max(usual, math.ceil(math.sqrt(width)))
    wrapped: list[list[Panel | None]] = []
    for first in range(0, width, columns):
        for row in rows:
            part = row[first : first + columns]
            wrapped.append([*part, *[None] * (min(columns, width) - len(part))])
    return wrapped, labels * -(-width // columns)


def _side_by_side(rows: list[list[Panel]], labels: list[str], across: int) -> list[list[Panel | None]]:
    """Return the rows of many samples as a few long rows, each sample with its label, or its number, as the title."""
    for row, label in zip(rows, labels or map(str, range(len(rows))), strict=True):
        row[0].title = f"{row[0].title} {label}".strip()
    width = len(rows[0])
    long = [[panel for row in rows[i : i + across] for panel in row] for i in range(0, len(rows), across)]
    return [[*row, *[None] * (across * width - len(row))] for row in long]
