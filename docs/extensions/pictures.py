"""The pictures of the method pages: maps of shipped, trained networks, made when the site is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import signxai_torch
from docs.extensions import families
from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.keras import KerasModule

Array = np.ndarray[Any, Any]
DIGIT, SERIES = "vgg_mnist", "cnn_timeseries"
TITLES = {
    DIGIT: "maps of a digit by vgg_mnist, a network trained on MNIST",
    SERIES: "maps of a time series by cnn_timeseries, a network trained on GunPoint",
}
ONLY_ON = {"grad_cam": DIGIT, "guided_grad_cam": DIGIT, "grad_cam_timeseries": SERIES}
"""Families that explain pictures alone, or time series alone."""
COLUMNS = {DIGIT: 5, SERIES: 3}
DOTS_PER_INCH = 80


def draw(family: str, folder: Path) -> dict[str, str]:
    """Draw a family's maps on both networks and return the pictures' files by their titles."""
    methods = list(dict.fromkeys(families.example_of(row) for row in families.rows_of(family)))
    pictures: dict[str, str] = {}
    for model, title in TITLES.items():
        if ONLY_ON.get(family, model) == model:
            pictures[f"{family}: {title}"] = _drawn(model, methods, folder / f"{family}-{model}.png")
    if family == "lrp":
        for model, title in TITLES.items():
            prefixed = list(families.prefixed().values())
            path = folder / f"{family}-prefixes-{model}.png"
            pictures[f"{family}, one per prefix: {title}"] = _drawn(model, prefixed, path)
    return pictures


def _drawn(model: str, methods: Sequence[str], path: Path) -> str:
    """Draw the maps of a network's first input and return the name of the file."""
    x, maps = explained(model, methods)
    figure = signxai_torch.show(maps, image=x, columns=COLUMNS[model])
    figure.savefig(path, dpi=DOTS_PER_INCH)
    return path.name


def explained(model: str, methods: Sequence[str]) -> tuple[Array, Mapping[str, Array]]:
    """Return the first input of a shipped network, batch first and channels second, and its maps by method."""
    source = resolve(model)
    network: KerasModule = source.load()
    x = torch.from_numpy(np.moveaxis(default_inputs(source)[0].array, -1, 0)[None].copy())
    return x.numpy(), signxai_torch.explain_many(network, x, methods, seed=0)
