"""`signxai_torch.show`: maps as one figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from signxai_torch.pictures.arranging import arranged
from signxai_torch.pictures.axes import CHANNELS, KINDS, Channels, Kind
from signxai_torch.pictures.columns import columns_of
from signxai_torch.pictures.panel import OVERLAY, REDUCTIONS, Reduce

if TYPE_CHECKING:
    from matplotlib.axes import Axes as MatplotlibAxes
    from matplotlib.figure import Figure, FigureBase

FORMATS = (".png", ".svg", ".pdf", ".jpg")
"""Endings of files that are written."""


def show(
    relevance: Any,
    image: Any = None,
    *,
    titles: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    kind: Kind | None = None,
    channels: Channels | None = None,
    reduce: Reduce = "sum",
    scale: Literal["map", "shared"] | float = "map",
    clip: float | None = None,
    overlay: float = OVERLAY,
    leads: bool | Sequence[str] = False,
    names: Sequence[str] | None = None,
    columns: int | None = None,
    save: str | Path | None = None,
    ax: MatplotlibAxes | None = None,
    figure: FigureBase | None = None,
) -> Figure:
    """Draw maps: blue is relevance against the class, red for it, and zero is always in the middle of the scale.

    Samples are rows, methods or inputs columns. What is no number (NaN, infinity) is drawn green, counted under the map
    and warned of. Images and maps of more than 1,000 places a side are drawn by the means of blocks; series of more
    than 2,000 values by the extremes, and the strongest relevance, of 1,000 pieces.

    Parameters
    ----------
    relevance : array or tensor, or mapping or sequence of such
        A map or a batch of maps as `explain` returns, of any device and precision: images (N, C, H, W), (C, H, W) or
        (H, W), time series (N, C, T), (C, T) or (T,), features (N, F) or (F,). Or several, side by side: the dict of
        `explain_many`, the tuple, list or dict of a model of several inputs, a list of maps.
    image : array, tensor or PIL image, or as `relevance` is held, optional
        What was explained, with the channels first or last, for all maps; or one for each in a dict or list like
        `relevance`. Pixels are whole numbers from 0 to 255 or fractions from 0 to 1; anything else, such as a
        preprocessed input, is stretched from its least to its largest value for display. An image is shown in a
        column of its own, and in grey under the maps. Of a time series it is the trace, which the relevance colours;
        without it the relevance itself is the curve. Of features it is their values.
    titles, labels : sequence of str, optional
        One for each map, over its column (otherwise the keys of the dict), and one for each sample, beside its row.
    kind : {"image", "series", "vector"}, optional
        What the maps are of, where the shape does not say it. Two axes are an image if the longer is at most four times
        the shorter, else a series if the longer is above 64, else features.
    channels : {"first", "last"}, optional
        Where the channels are. Otherwise first, as in torch, unless only the last axis can be that of 1, 3 or 4
        channels of an image.
    reduce : {"sum", "max_abs", "none"}
        What is drawn of an image's channels: their sum, the value of largest size, or each by itself.
    scale : {"map", "shared"} or float
        A scale for each map, one for all, or the number at which all end.
    clip : float, optional
        The percentile of the absolute relevance at which a scale ends, such as 99.5, where a few strong places would
        leave everything else pale. It is said under the map, with the largest value.
    overlay : float
        How much of the image the strongest relevance covers, 0 to 1. 0 draws the maps alone.
    leads : bool or sequence of str
        Draw a 12-lead ECG (N, 12, T): limb leads left, chest leads right, in one height. True for I, II, III, aVR,
        aVL, aVF, V1 to V6, or the names in the order of the channels.
    names : sequence of str, optional
        Of channels of a series, or of features.
    columns : int, optional
        Maps in a row before the next row begins. [6 images, 2 series, 4 of features; more where there are many]
    save : str or Path, optional
        Also write the picture here: .png, .svg, .pdf or .jpg.
    ax : matplotlib.axes.Axes, optional
        Draw one map here.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Draw here, in the size that it has, instead of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        It shows itself at the end of a notebook's cell. pyplot does not know of it: nothing stays open, and
        ``plt.show()`` does not show it. ``savefig`` writes it.

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError, ValueError
        If the maps are no real numbers, their shape is not clear, the image does not fit, or an option is no such
        option; before anything is drawn.
    OSError
        If `save` cannot be written.

    Notes
    -----
    The colours are RdBu of ColorBrewer 2.0 (Brewer, Harrower and others).

    Examples
    --------
    >>> import numpy as np, signxai_torch
    >>> relevance = np.random.default_rng(0).normal(size=(2, 3, 32, 32))
    >>> figure = signxai_torch.show({"lrp_z": relevance}, image=np.zeros((2, 3, 32, 32)), clip=99.5)
    """
    path = None if save is None else checked_path(save)
    _check_options(kind, channels, reduce, scale, clip, overlay, columns)
    if ax is not None and figure is not None:
        raise ValueError("give ax= or figure=, not both")
    grid = matplotlib_grid()
    maps = columns_of(relevance, image, kind, channels, leads, names)
    if titles is not None:
        if isinstance(titles, str) or len(titles) != len(maps):
            raise ValueError(f"titles must be one for each of the {len(maps)} maps, not {titles!r}")
        for column, title in zip(maps, titles, strict=True):
            column.title = str(title)
    rows, beside = arranged(maps, labels, reduce, overlay, scale, clip, columns, with_image=ax is None)
    if ax is not None:
        if sum(map(len, rows)) != 1 or rows[0][0] is None:
            raise ValueError(f"ax= takes one map, and here are {sum(map(len, rows))}; give figure=, or neither")
        grid.draw_panel(ax, rows[0][0])
        drawn = ax.figure
    else:
        drawn = grid.draw_grid(rows, beside, figure)
    if path is not None:
        grid.save(drawn, path)
    return drawn.figure


def checked_path(save: str | Path) -> Path:
    """Return where a picture goes, before anything is drawn that could not be written.

    Raises
    ------
    ValueError, OSError
        If its name ends in none of `FORMATS`, there is no such folder, or a folder has that name.
    """
    path = Path(save).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"save={str(save)!r}: the name must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"save={str(save)!r}: there is no folder {path.parent}")
    if path.is_dir():
        raise IsADirectoryError(f"save={str(save)!r} is a folder; name a file in it")
    return path


def _check_options(
    kind: object, channels: object, reduce: object, scale: object, clip: object, overlay: object, columns: object
) -> None:
    """Refuse options that are none."""
    choices = (
        ("kind", kind, (None, *KINDS)),
        ("channels", channels, (None, *CHANNELS)),
        ("reduce", reduce, REDUCTIONS),
    )
    for name, value, known in choices:
        if not (value is None or isinstance(value, str)) or value not in known:
            raise ValueError(f"{name} must be one of {', '.join(repr(one) for one in known)}, not {value!r}")
    if not (scale in ("map", "shared") if isinstance(scale, str) else _is_number(scale, 0.0, math.inf, open_=True)):
        raise ValueError(f"scale must be 'map', 'shared' or the number above 0 at which it ends, not {scale!r}")
    if clip is not None and not _is_number(clip, 0.0, 100.0, open_=False):
        raise ValueError(f"clip must be a percentile, from 0 to 100, such as 99.5, not {clip!r}")
    if clip is not None and not isinstance(scale, str):
        raise ValueError("scale= says where the scale ends, and so does clip=; give one of them")
    if not _is_number(overlay, 0.0, 1.0, open_=False):
        raise ValueError(f"overlay must be from 0 to 1, not {overlay!r}")
    if columns is not None and (not isinstance(columns, int) or columns < 1):
        raise ValueError(f"columns must be a whole number from 1, not {columns!r}")


def _is_number(value: Any, low: float, high: float, open_: bool) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return math.isfinite(number) and (low < number < high if open_ else low <= number <= high)


def matplotlib_grid() -> Any:
    """Return the module that draws.

    Raises
    ------
    ImportError
        Without matplotlib: how to get it.
    """
    try:
        from signxai_torch.pictures import grid
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ImportError(
            "show() draws with matplotlib, which is not installed: pip install 'signxai-torch-parity[show]'"
        ) from error
    return grid
