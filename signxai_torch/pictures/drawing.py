"""Panels drawn into axes of matplotlib: images, traces, bars, and the scale of each."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from signxai_torch.pictures.backdrop import grey, shrunk
from signxai_torch.pictures.colors import NO_NUMBER, Array, color, line_color, strength
from signxai_torch.pictures.panel import CELLS, MOST_BARS, MOST_TRACES, SIDE, Panel, shortened

SMALL, TEXT = 6.5, 8.0
"""Sizes of type, in points."""
_LINE = 0.8  # of a quiet trace, in points
_THICKER = 3.0, 1.6  # by how many of that the strongest relevance is thicker: where a trace is alone, and in a stack
_PALE = 0.6  # how far the image under a map is moved towards white


def draw(axes: Axes, panel: Panel) -> None:
    """Draw a panel with its scale; title and notes are the grid's."""
    if panel.kind == "image":
        _image(axes, panel)
    elif panel.kind == "series":
        _series(axes, panel)
    else:
        _vector(axes, panel)


def _image(axes: Axes, panel: Panel) -> None:
    if panel.values is None:
        assert panel.backdrop is not None
        _pixels(axes, _as_bytes(_rgb(panel.backdrop)))
        return
    pixels = color(panel.values, panel.end, panel.palette)
    if panel.backdrop is not None:
        # Zero lets all of the image through, so that nearly white does not hide it.
        below = _PALE + (1.0 - _PALE) * _stretched(grey(panel.backdrop), panel.values.shape)[..., None]
        opacity = panel.overlay * np.sqrt(strength(panel.values, panel.end))[..., None]
        opacity[~np.isfinite(panel.values)] = 1.0
        pixels = _as_bytes(below * (1.0 - opacity) + pixels / 255.0 * opacity)
    _pixels(axes, pixels)
    _scale_bar(axes, panel)


def _stretched(plane: Array, shape: tuple[int, ...]) -> Array:
    """Return a plane of another size by its nearest places; the two have the same, but for what was shrunk."""
    if plane.shape == shape:
        return plane
    rows, columns = (np.arange(new) * old // new for old, new in zip(plane.shape, shape, strict=True))
    return plane[np.ix_(rows, columns)]


def _rgb(picture: Array) -> Array:
    return np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture


def _as_bytes(picture: Array) -> Array:
    bad = ~np.isfinite(picture).all(axis=-1)
    pixels = np.rint(np.where(np.isfinite(picture), picture, 0.0) * 255.0).astype(np.uint8)
    pixels[bad] = NO_NUMBER
    return pixels


def _pixels(axes: Axes, pixels: Array) -> None:
    axes.imshow(pixels, interpolation="antialiased", aspect="equal", origin="upper")
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    _quiet_frame(axes)


def _quiet_frame(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)
        spine.set_color("0.6")


def _scale_bar(axes: Axes, panel: Panel, across: float = 1.0) -> None:
    """Draw the colours of a scale under axes, with its ends and zero; heights are in inches, whatever the axes' are."""
    figure = axes.get_figure()
    assert figure is not None
    tall = axes.get_position().height * figure.bbox.height / figure.dpi
    inch = 1.0 / tall
    down = 0.30 if panel.kind == "series" else 0.06
    bar = axes.inset_axes((0.0, -(down + 0.07) * inch, across, 0.07 * inch))
    shades = (line_color if panel.kind == "series" else color)(np.linspace(-1, 1, 255), 1.0, panel.palette)
    if not panel.end:
        shades[:] = shades[127]
    bar.imshow(shades[None], aspect="auto", interpolation="nearest", extent=(-1.0, 1.0, 0.0, 1.0))
    bar.set_axis_off()
    end = f"{panel.end:.3g}"
    ends = ((-1.0, f"\N{MINUS SIGN}{end}", "left"), (0.0, "0", "center"), (1.0, f"+{end}", "right"))
    for place, text, align in ends if panel.end else ends[1:2]:
        bar.text(place, -0.3, text, size=SMALL, ha=align, va="top", parse_math=False)


# --- time series ---------------------------------------------------------------------------------------------------


def _series(axes: Axes, panel: Panel) -> None:
    values = panel.values
    assert values is not None
    if len(values) > MOST_TRACES:
        _heat(axes, panel, values)
        return
    columns = 2 if panel.lead_layout and len(values) > 1 else 1
    rows = -(-len(values) // columns)
    axes.set_axis_off()
    for column in range(columns):
        chosen = slice(column * rows, (column + 1) * rows)
        part = axes.inset_axes((column * 0.52, 0.0, 0.48 if columns == 2 else 1.0, 1.0))
        _traces(part, panel, chosen)
    _scale_bar(axes, panel, across=0.3)


def _traces(axes: Axes, panel: Panel, chosen: slice) -> None:
    """Draw channels one under another, each over its own zero."""
    assert panel.values is not None
    values, trace = panel.values[chosen], panel.backdrop
    times, relevance, points = shortened(values, None if trace is None else trace[chosen])
    spread = _spread(panel, chosen)
    middle = np.array([[_middle(row)] for row in points]) if trace is not None else np.zeros((len(points), 1))
    places = np.arange(len(points))[::-1]
    heights = (points - middle) / spread[:, None] + places[:, None]
    for row in range(len(points)):
        # Each point has the stretch of the line half-way to its neighbours, so that its colour is its own.
        line = np.stack([times[row], heights[row]], axis=1)
        between = (line[1:] + line[:-1]) / 2.0
        before, after = np.concatenate([line[:1], between]), np.concatenate([between, line[-1:]])
        segments = np.stack([before, line, after], axis=1)
        widths = _LINE * (1.0 + _THICKER[len(points) > 1] * strength(relevance[row], panel.end))
        axes.add_collection(
            LineCollection(
                list(segments),
                colors=line_color(relevance[row], panel.end, panel.palette) / 255.0,
                linewidths=widths,
                capstyle="round",
                joinstyle="round",
            )
        )
    axes.set_xlim(0, max(values.shape[1] - 1, 1))
    axes.set_ylim(-0.6, len(points) - 0.4)
    first = chosen.start or 0
    names = [panel.names[first + i] if panel.names else str(first + i) for i in range(len(points))]
    bare = len(panel.values) == 1 and not panel.names
    axes.set_yticks([] if bare else list(places), [] if bare else names, size=SMALL, parse_math=False)
    axes.tick_params(labelsize=SMALL, length=2, width=0.5)
    axes.grid(axis="x", color="0.5", alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
    _quiet_frame(axes)


def _spread(panel: Panel, chosen: slice) -> Array:
    """Return the height of each channel: the leads of an ECG share one, as on paper; others have their own."""
    assert panel.values is not None
    whole = panel.values if panel.backdrop is None else panel.backdrop
    heights = np.array([_height(row) for row in whole])
    if panel.lead_layout or panel.backdrop is None:
        heights[:] = heights.max(initial=0.0)
    heights[heights == 0.0] = 1.0
    return heights[chosen] * 1.05 * (2.0 if panel.backdrop is None else 1.0)


def _height(row: Array) -> float:
    finite = row[np.isfinite(row)].astype(np.float64)
    return float(np.ptp(finite)) if finite.size else 0.0


def _middle(row: Array) -> float:
    finite = row[np.isfinite(row)]
    return float(finite.min() / 2.0 + finite.max() / 2.0) if finite.size else 0.0


def _heat(axes: Axes, panel: Panel, values: Array) -> None:
    axes.imshow(
        color(shrunk(values, SIDE), panel.end, panel.palette), aspect="auto", interpolation="antialiased",
        extent=(0.0, float(values.shape[1]), float(len(values)), 0.0),
    )  # fmt: skip
    axes.tick_params(labelsize=SMALL, length=2, width=0.5)
    _quiet_frame(axes)
    _scale_bar(axes, panel, across=0.3)


# --- features ------------------------------------------------------------------------------------------------------


def _vector(axes: Axes, panel: Panel) -> None:
    values = panel.values
    assert values is not None
    if len(values) > MOST_BARS:
        _cells(axes, panel, values)
        return
    finite = np.isfinite(values)
    places = np.arange(len(values))[::-1]
    shades = color(values, panel.end, panel.palette) / 255.0
    axes.barh(places, np.where(finite, values, 0.0), color=shades, edgecolor="0.45", linewidth=0.4, height=0.75)
    for place in places[~finite]:
        axes.text(0.0, place, " no number", size=SMALL, va="center", color=np.array(NO_NUMBER) / 255.0)
    names = [panel.names[i] if panel.names else str(i) for i in range(len(values))]
    if panel.backdrop is not None:
        names = [f"{name} = {value:.4g}" for name, value in zip(names, panel.backdrop, strict=True)]
    axes.axvline(0.0, color="0.45", linewidth=0.6)
    axes.set_yticks(list(places), names, size=SMALL, parse_math=False)
    reach = (panel.end or 1.0) * 1.05
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.6, len(values) - 0.4)
    axes.tick_params(labelsize=SMALL, length=2, width=0.5)
    _quiet_frame(axes)


def _cells(axes: Axes, panel: Panel, values: Array) -> None:
    lines = -(-len(values) // CELLS)
    pixels = np.full((lines * CELLS, 4), 0, np.uint8)
    pixels[: len(values), :3] = color(values, panel.end, panel.palette)
    pixels[: len(values), 3] = 255
    axes.imshow(pixels.reshape(lines, CELLS, 4), aspect="auto", interpolation="nearest", origin="upper")
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    _quiet_frame(axes)
    _scale_bar(axes, panel)
