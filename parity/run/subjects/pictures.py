"""Pictures of maps, drawn by `signxai_torch.show` and what it is made of: the harness' maps are in Keras layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from parity.errors import ParityError
from signxai_torch.pictures.arranging import arranged
from signxai_torch.pictures.axes import Axes, Channels, Kind
from signxai_torch.pictures.backdrop import fitted
from signxai_torch.pictures.columns import Column
from signxai_torch.pictures.panel import OVERLAY, Panel, set_scales
from signxai_torch.pictures.show import checked_path, matplotlib_grid

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

Array = npt.NDArray[Any]
_KINDS: dict[int, tuple[Kind, str]] = {1: ("vector", "F"), 2: ("series", "TC"), 3: ("image", "HWC")}
"""By the number of axes of one map in Keras layout."""


@dataclass(frozen=True)
class Sides:
    """One case of a finished run: both maps, in Keras layout without a batch axis, None where a side has none.

    Attributes
    ----------
    label : str
        Beside the row: what the case is.
    names : (str, str)
        What the reference and the subject are called.
    note : str
        Under the difference: the verdict.
    picture : numpy.ndarray or None
        What was explained, for the eye.
    """

    label: str
    names: tuple[str, str]
    note: str
    picture: Array | None
    reference: Array | None
    subject: Array | None


def require_pictures(save: Path) -> None:
    """Refuse a place for a picture that cannot be, and a machine that cannot draw, before anything is computed.

    Raises
    ------
    ParityError
        Saying what to do.
    """
    try:
        checked_path(save)
        matplotlib_grid()
    except (ValueError, OSError, ImportError) as error:
        text = str(error).replace("save=", "--save ").replace("show() draws", "`parity show` draws")
        raise ParityError(text) from None


def draw_maps(
    maps: Mapping[str, Any],
    inputs: Any,
    labels: Sequence[str],
    save: Path,
    channels: Channels,
    scale: Literal["map", "shared"],
    clip: float | None,
) -> None:
    """Draw maps by method, a row per sample, and write them to a file.

    Parameters
    ----------
    maps : mapping of str to numpy.ndarray, or to a mapping of such
        Method -> batch, or one for each input of the model by its name.
    inputs : numpy.ndarray or mapping
        What was explained, held as the maps of a method are.
    labels : sequence of str
        Of the samples.
    save : Path
        The file.
    channels : {"first", "last"}
        Where they are in maps and arrays.
    scale, clip
        As `signxai_torch.show` takes them.

    Raises
    ------
    ParityError
        If they cannot be drawn or written.
    """
    grid = matplotlib_grid()
    parts = inputs if isinstance(inputs, Mapping) else {"": inputs}
    columns: list[Column] = []
    for method, found in maps.items():
        for name, batch in (found if isinstance(found, Mapping) else {"": found}).items():
            first = len(columns) < len(parts)
            columns.append(_batch(f"{method}, {name}" if name else method, batch, parts[name], channels, first))
    try:
        figure = grid.draw_grid(*arranged(columns, labels, "sum", OVERLAY, scale, clip, None))
    except ValueError as error:
        raise ParityError(str(error)) from error
    _save(figure, save)


def _batch(title: str, batch: Array, shown: Array, channels: Channels, first: bool) -> Column:
    """Return a column of maps (N, ...) over what was explained."""
    kind = kind_of(batch.shape[1:])
    order = {"image": "NCHW", "series": "NCT", "vector": "NF"}
    if channels == "last":
        order |= {"image": "NHWC", "series": "NTC"}
    values = Axes(kind, order[kind]).canonical(batch)
    return Column(title, title, kind, values, fitted(shown, values.shape, kind, title), shows_image=first)


def kind_of(shape: Sequence[int]) -> Kind:
    """Return what a map of this shape, in Keras layout without a batch axis, is of.

    Raises
    ------
    ParityError
        If it is of nothing that can be drawn.
    """
    if len(shape) not in _KINDS:
        raise ParityError(f"maps of the shape {tuple(shape)} cannot be drawn: images, time series and features can")
    return _KINDS[len(shape)][0]


def draw_sides(cases: Sequence[Sides], save: Path, clip: float | None) -> None:
    """Draw cases of a finished run, a row each: the input, both maps on one scale, and their difference on its own.

    Of a difference of pictures the channel of the largest size is drawn: a sum would hide errors that cancel.

    Raises
    ------
    ParityError
        If they cannot be written.
    """
    grid = matplotlib_grid()
    rows = [_row(case, clip) for case in cases]
    first = 0 if any(row[0] is not None for row in rows) else 1  # time series have no picture of their own
    figure: FigureBase = grid.draw_grid([row[first:] for row in rows], [case.label for case in cases])
    _save(figure, save)


def _save(figure: FigureBase, save: Path) -> None:
    try:
        matplotlib_grid().save(figure, save)
    except OSError as error:
        raise ParityError(f"cannot write {save}: {error.strerror or error}") from error


def _row(case: Sides, clip: float | None) -> list[Panel | None]:
    maps: list[Panel | None] = []
    for name, values in zip(case.names, (case.reference, case.subject), strict=True):
        maps.append(None if values is None else _panel(name, values, case.picture))
    set_scales([panel for panel in maps if panel is not None], "shared", clip)
    difference = None
    reference, subject = case.reference, case.subject
    if reference is not None and subject is not None and reference.shape == subject.shape:
        with np.errstate(invalid="ignore"):
            apart = subject.astype(np.float64) - reference.astype(np.float64)
        difference = _panel("difference", apart, None)
        difference.palette = "difference"
        set_scales([difference], "map", None)
    shown = next((panel for panel in (difference, *maps) if panel is not None), None)
    if shown is not None:
        shown.notes += [case.note] if case.note else []
    return [_input(case.picture), *maps, difference]


def _input(picture: Array | None) -> Panel | None:
    if picture is None or picture.ndim != 3:
        return None
    column = _column("input", picture)
    column.image, column.shows_image = column.values, True
    return column.panels(0, "sum", 0.0)[0]


def _column(title: str, values: Array) -> Column:
    kind, order = _KINDS[values.ndim]
    return Column(title, title, kind, Axes(kind, order).canonical(values))


def _panel(title: str, values: Array, picture: Array | None) -> Panel:
    kind_of(values.shape)
    column = _column(title, values)
    if column.kind == "series" and picture is not None and picture.shape == values.shape:
        column.image = Axes(*_KINDS[2]).canonical(picture)
    return column.panels(0, "max_abs" if title == "difference" else "sum", 0.0)[0]
