"""The pictures of the method pages: maps of shipped, trained networks, made when the site is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from docs.extensions import families
from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.keras import KerasModule
from signxai_torch import explain_many

Array = np.ndarray[Any, Any]
DIGIT, SERIES = "vgg_mnist", "cnn_timeseries"
TITLES = {
    DIGIT: "maps of a digit by vgg_mnist, a network trained on MNIST",
    SERIES: "maps of a time series by cnn_timeseries, a network trained on GunPoint",
}
ONLY_ON = {"grad_cam": DIGIT, "guided_grad_cam": DIGIT, "grad_cam_timeseries": SERIES}
"""Families that explain pictures alone, or time series alone."""
COLUMNS = 5
COLORS = colormaps["seismic"]


def draw(family: str, folder: Path) -> dict[str, str]:
    """Draw a family's maps on both networks and return the pictures' files by their titles.

    The colours of a map are symmetric: white is 0, red speaks for the class and blue against it, and the strongest
    colour is the largest absolute value of that map.
    """
    methods = list(dict.fromkeys(families.example_of(row) for row in families.rows_of(family)))
    pictures: dict[str, str] = {}
    for model, title in TITLES.items():
        if ONLY_ON.get(family, model) == model:
            name = f"{family}-{model}.png"
            _drawn(model, methods, folder / name)
            pictures[f"{family}: {title}"] = name
    if family == "lrp":
        for model, title in TITLES.items():
            name = f"{family}-prefixes-{model}.png"
            _drawn(model, list(families.prefixed().values()), folder / name)
            pictures[f"{family}, one per prefix: {title}"] = name
    return pictures


def maps(model: str, methods: Sequence[str]) -> tuple[Array, Mapping[str, Array]]:
    """Return the first input of a shipped network, and its maps by method, channels last."""
    source = resolve(model)
    x = default_inputs(source)[0].array
    network: KerasModule = source.load()
    made = explain_many(network, torch.from_numpy(np.moveaxis(x, -1, 0)[None].copy()), methods, seed=0)
    return x, {name: np.moveaxis(values[0], 0, -1) for name, values in made.items()}


def _drawn(model: str, methods: Sequence[str], path: Path) -> None:
    x, made = maps(model, methods)
    panels = len(made) + 1
    rows = -(-panels // COLUMNS)
    wide = model == SERIES
    figure = Figure(figsize=(2.3 * COLUMNS, (1.5 if wide else 2.4) * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    panel = trace if wide else picture
    panel(axes[0], x, None)
    axes[0].set_title("input", fontsize=8)
    for ax, (name, values) in zip(axes[1:], made.items(), strict=False):
        panel(ax, x, values)
        ax.set_title(name, fontsize=8 if len(name) < 26 else 6.5)
    figure.savefig(path, dpi=100, facecolor="white")


def picture(ax: Axes, x: Array, relevance: Array | None) -> None:
    """Draw an image, or its map: the sum over channels, on a symmetric scale."""
    if relevance is None:
        ax.imshow(x.sum(axis=-1), cmap="gray")
        return
    values = relevance.sum(axis=-1)
    limit = np.abs(values).max() or 1.0
    ax.imshow(values, cmap=COLORS, vmin=-limit, vmax=limit)


def trace(ax: Axes, x: Array, relevance: Array | None) -> None:
    """Draw a time series, coloured by its map on a symmetric scale."""
    series = x[:, 0]
    steps = np.arange(len(series))
    ax.plot(steps, series, color="0.75", linewidth=0.8)
    ax.set_ylim(series.min() - 0.2, series.max() + 0.2)
    if relevance is None:
        ax.plot(steps, series, color="black", linewidth=1.2)
        return
    values = relevance.sum(axis=-1)
    limit = np.abs(values).max() or 1.0
    points = np.column_stack([steps, series])
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    lines = LineCollection(list(pieces), cmap=COLORS, linewidths=2.5)
    lines.set_array((values[:-1] + values[1:]) / 2)
    lines.set_clim(-limit, limit)
    ax.add_collection(lines)
