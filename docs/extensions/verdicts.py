"""The figures of the page on verdicts: spoilt maps beside their limits, and the measured distances of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import signxai_torch
from docs.extensions.markdown import table
from parity import compare
from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.judge import limits
from parity.run.mutants.maps import MUTANTS
from parity.testing import judge

MODEL, METHOD = "vgg_mnist", "lrp_epsilon_0_1"
SPOILT = ("scale_1_0014", "scale_1_02", "scale_1_25", "halved", "offset_1e_8", "shifted_by_one", "absolute", "negative")
"""Mutants of which the page tells."""


def mutants() -> str:
    """Return a table of spoilt maps: what the published floor says of them, and what the judge's own check does."""
    source = resolve(MODEL)
    x = torch.from_numpy(np.moveaxis(default_inputs(source)[0].array, -1, 0)[None].copy()).double()
    network = source.load("float64")
    target = [int(network(x).argmax())]
    right = _channels_last(signxai_torch.explain(network, x, METHOD, target))
    rows = []
    for mutant in (one for one in MUTANTS if one.name in SPOILT):
        numbers = compare(right, _channels_last(mutant.function(network, x, METHOD, target)))
        floor = min(numbers.pearson, numbers.ssim or -1.0) >= limits.PUBLISHED_FLOOR
        rows.append([
            f"`{mutant.name}`", mutant.wrong, f"{numbers.pearson:.4f}",
            "-" if numbers.ssim is None else f"{numbers.ssim:.4f}",
            "passes" if floor else "fails", f"{numbers.rel_l2:.1e}",
        ])  # fmt: skip
    return table(["mutant", "what is wrong", "Pearson", "SSIM", "published floor", "relative L2 distance"], rows)


def _channels_last(maps: Any) -> npt.NDArray[Any]:
    """Return the first map of a batch as the judge compares it."""
    return np.moveaxis(np.asarray(maps)[0], 0, -1)


def distances(path: Path) -> None:
    """Draw how far the port's maps are from the reference's, each beside its limit, from a run without TensorFlow."""

    def port(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        return signxai_torch.explain(model, x, method, target=target, **parameters)

    compared = [row for row in judge(port, model=MODEL, method="core", offline=True).rows if row["status"] == "parity"]
    figure = Figure(figsize=(8.6, 5.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, lane in zip(axes, ("float64", "float32"), strict=True):
        _lane(ax, lane, [row for row in compared if row["dtype"] == lane])
    axes[0].invert_yaxis()  # the first method on top; both share the axis
    figure.savefig(path, dpi=110, facecolor="white")


def _lane(ax: Any, lane: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a lane: a dot for each map, and a bar where its limit is."""
    names = [row["method"] for row in rows]
    places = np.arange(len(names))
    ax.barh(places, [row["limits"]["rel_l2"] for row in rows], left=1e-17, color="#d7e3f4", label="limit")
    ax.plot([max(row["rel_l2"], 1e-17) for row in rows], places, "o", color="#b2182b", markersize=4, label="port")
    if lane == "float32":
        noise = [row["noise_floor"]["rel_l2"] if row["noise_floor"] else np.nan for row in rows]
        ax.plot(noise, places, "|", color="black", markersize=9, label="the reference's own noise")
    ax.set_xscale("log")
    ax.set_yticks(places, names, fontsize=7)
    ax.set_title(f"{lane}: relative L2 distance to TensorFlow", fontsize=9)
    ax.legend(fontsize=7, loc="lower right" if lane == "float64" else "lower left")
