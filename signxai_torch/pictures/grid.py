"""Panels laid out in rows and columns on a figure that belongs to nobody but the caller."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from signxai_torch.pictures.drawing import SMALL, TEXT, draw
from signxai_torch.pictures.panel import CELLS, MOST_BARS, MOST_TRACES, Panel

Row = Sequence[Panel | None]
_LETTER, _LINE = 0.062, 0.145  # inches that a letter of a title, and a line, take
_GAP, _EDGE = 0.18, 0.12
_SHARP, _PRINT = 144, 200  # dots per inch in a notebook and in a file
_MOST_DOTS = 20_000
"""On a side: what viewers open."""
_MOST_LINES = 3


class Picture(Figure):
    """A figure that shows itself in a notebook, and that no pyplot keeps: it goes when nobody holds it any more."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"layout": "none"} | options)  # places are given, whatever rcParams say
        FigureCanvasAgg(self)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture for a notebook, as sharp as screens are today, and its size there."""
        stream = io.BytesIO()
        dots = _dots(self, _SHARP)
        self.savefig(stream, format="png", dpi=dots)
        width, height = (round(side * 72 * dots / _SHARP) for side in self.get_size_inches())
        return stream.getvalue(), {"width": width, "height": height}


def _dots(figure: Figure, asked: float) -> float:
    return min(asked, _MOST_DOTS / float(max(figure.get_size_inches())))


@dataclass(frozen=True)
class _Sizes:
    """Inches: of what is drawn, and of what stands left of it, over it and under it."""

    width: float
    height: float
    left: float
    over: float
    under: float


def _sizes(panel: Panel) -> _Sizes:
    notes = len(panel.notes) * _LINE * 0.85
    left = 0.0
    if panel.kind == "image":
        shape = (panel.backdrop if panel.values is None else panel.values).shape[:2]  # type: ignore[union-attr]
        width, height = _fit(shape[1] / shape[0])
        under = 0.0 if panel.values is None else 0.27
    elif panel.kind == "series":
        assert panel.values is not None
        channels, columns = len(panel.values), 2 if panel.lead_layout else 1
        rows = -(-channels // columns)
        width, left = (6.4 if columns == 2 else 4.4), _names_width(panel, channels)
        height = 2.6 if channels > MOST_TRACES else max(1.2, min(0.55 * rows, 12.0))
        under = 0.52
    else:
        assert panel.values is not None
        features = len(panel.values)
        bars = features <= MOST_BARS
        width = 3.0
        height = max(0.5, 0.17 * features) if bars else min(max(0.4, 0.06 * (features // CELLS + 1)), 6.0)
        left, under = (_names_width(panel, features), 0.25) if bars else (0.0, 0.27)
    over = len(_broken(panel.title, width)) * _LINE
    return _Sizes(width, height, left, over + 0.05, under + notes)


def _fit(ratio: float) -> tuple[float, float]:
    """Return width and height of a picture of any proportions."""
    return (2.2, 2.2 / min(ratio, 11.0)) if ratio >= 1 else (max(2.2 * ratio, 0.6), 2.2)


def _names_width(panel: Panel, count: int) -> float:
    letters = max((len(str(name)) for name in panel.names), default=len(str(count)))
    return min(0.12 + 0.055 * (letters + (9 if panel.kind == "vector" and panel.backdrop is not None else 0)), 2.2)


def _broken(text: str, width: float) -> list[str]:
    """Return a title in lines that are no longer than their panel, broken after blanks and underscores."""
    most = max(int(width / _LETTER), 8)
    lines: list[str] = []
    for word in re.findall(r"[^\s_]*[\s_]*", re.sub(r"\s", " ", text)):
        for piece in (word[i : i + most] for i in range(0, len(word), most)):
            if lines and len(lines[-1]) + len(piece.rstrip()) <= most:
                lines[-1] += piece
            else:
                lines.append(piece)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1][: most - 1] + "…"]
    return [line.rstrip() for line in lines]


def draw_grid(rows: Sequence[Row], labels: Sequence[str] = (), figure: FigureBase | None = None) -> FigureBase:
    """Draw panels in rows; those of a column have one width, those of a row one height.

    Parameters
    ----------
    rows : sequence of sequence of Panel or None
        All of one length; None leaves a place free.
    labels : sequence of str
        Of the rows, at their left.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where; a new one of fitting size if not given.
    """
    sizes = [[None if panel is None else _sizes(panel) for panel in row] for row in rows]
    columns = [[size for size in column if size is not None] for column in zip(*sizes, strict=True)]
    lines = [[size for size in row if size is not None] for row in sizes]
    widths = [max((s.width for s in column), default=0.0) for column in columns]
    lefts = [max((s.left for s in column), default=0.0) for column in columns]
    heights = [max((s.height for s in line), default=0.0) for line in lines]
    overs = [max((s.over for s in line), default=0.0) for line in lines]
    unders = [max((s.under for s in line), default=0.0) for line in lines]
    beside = [
        "\n".join(piece for line in label.split("\n") for piece in _broken(line, height + over))
        for label, height, over in zip(labels, heights, overs, strict=False)
    ]
    label_width = max((0.11 + _LINE * len(label.split("\n")) for label in beside if label), default=0.0)
    total_width = label_width + 2 * _EDGE + sum(widths) + sum(lefts) + _GAP * (len(widths) - 1) + 0.06
    total_height = 2 * _EDGE + sum(heights) + sum(overs) + sum(unders) + 0.08 * (len(heights) - 1)
    target = figure if figure is not None else Picture(figsize=(total_width, total_height))
    top = total_height - _EDGE
    for i, (row, height) in enumerate(zip(rows, heights, strict=True)):
        top -= overs[i]
        if i < len(beside) and beside[i]:
            target.text(
                (_EDGE + label_width / 2) / total_width, (top - height / 2) / total_height, beside[i], rotation=90,
                ha="center", va="center", size=TEXT, parse_math=False,
            )  # fmt: skip
        left = _EDGE + label_width
        for panel, size, width, names in zip(row, sizes[i], widths, lefts, strict=True):
            left += names
            if panel is not None and size is not None:
                # Narrow pictures stand in the middle of their column, all begin at the top of their row.
                x, y = left + (width - size.width) / 2, top - size.height
                axes = target.add_axes(
                    (x / total_width, y / total_height, size.width / total_width, size.height / total_height)
                )
                draw_panel(axes, panel, size)
            left += width + _GAP
        top -= height + unders[i] + 0.08
    return target


def draw_panel(axes: Axes, panel: Panel, size: _Sizes | None = None) -> None:
    """Draw a panel with title and notes into axes."""
    size = size or _sizes(panel)
    draw(axes, panel)
    axes.set_title("\n".join(_broken(panel.title, size.width)), size=TEXT, pad=3, parse_math=False, linespacing=1.1)
    if panel.notes:
        under = size.under - len(panel.notes) * _LINE * 0.85
        axes.annotate(
            "\n".join(panel.notes), (0.0, 0.0), (0.0, -under * 72.0), "axes fraction", "offset points",
            size=SMALL, va="top", ha="left", style="italic", parse_math=False,
        )  # fmt: skip


def save(figure: FigureBase, path: Path) -> None:
    """Write a figure to a file whose ending says how: whole, or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    whole = figure.figure
    assert isinstance(whole, Figure)
    stream = io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    metadata = {"Date": None} if kind == "svg" else {"CreationDate": None} if kind == "pdf" else None
    whole.savefig(stream, format=kind, dpi=_dots(whole, _PRINT), metadata=metadata)
    path.write_bytes(stream.getvalue())
