"""The page's drawings: SVG by matplotlib, in the page's own colors."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.contenders.everyone import CONTENDERS, PORT
from bench.limits import TIMES
from bench.networks import STACK
from bench.page import TITLES
from bench.plan import VGG16

# Stand-ins that become the page's variables, so that both themes work.
INK, SOFT, LINE = "#010203", "#010204", "#010205"
COLORS = ("#0072b2", "#56b4e9", "#d58a00", "#009e73", "#cc79a7")  # Okabe and Ito, told apart by any eye
MARKS = ("o", "v", "s", "^", "D")
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}


def draw(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield title and SVG of each drawing that the results have numbers for."""
    times = document["times"]
    with rc_context(STYLE):
        for network in dict.fromkeys(one["network"] for one in times if one["network"] != STACK):
            rows = [one for one in times if one["network"] == network and one["batch"] == 1 and one["side"] is None]
            if any(one["contender"] in CONTENDERS for one in rows):
                yield f"{network}, batch 1: time in units of the gradient", _bars(network, rows)
        for network in dict.fromkeys(one["network"] for one in times):
            for key, title in (("batch", "batch"), ("side", "image side")):
                points = [one for one in times if one["network"] == network and one["contender"] == PORT]
                points = [one for one in points if (one["side"] is not None) == (key == "side")]
                if len({one[key] for one in points}) > 1:
                    yield f"{network}: how time grows with the {title}", _growth(points, key, title)


def _bars(network: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw a row per method and a dot per contender, on a logarithmic axis; limits as bars."""
    methods = list(dict.fromkeys(one["method"] for one in rows if one["contender"] in CONTENDERS))
    figure = Figure(figsize=(8.6, 0.9 + 0.36 * len(methods)), layout="constrained")
    axes: Axes = figure.add_subplot()
    for contender, color, mark in zip(CONTENDERS, COLORS, MARKS, strict=True):
        own = [one for one in rows if one["contender"] == contender]
        if own:
            heights = [methods.index(one["method"]) for one in own]
            axes.plot([one["ratio"] for one in own], heights, mark, color=color, ms=6, label=TITLES[contender])
    if network == VGG16:
        limits = [(TIMES[name], height) for height, name in enumerate(methods) if name in TIMES]
        if limits:
            axes.plot(*zip(*limits, strict=True), "|", color=INK, ms=14, mew=2, label="limit of the port")
    axes.axvline(1, color=SOFT, lw=1)
    axes.set(xscale="log", yticks=range(len(methods)), yticklabels=methods, xlabel="one forward pass and gradient = 1")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda _value, _: "")
    axes.invert_yaxis()
    figure.legend(loc="outside upper left", ncols=5)
    return _svg(figure)


def _growth(points: Sequence[Mapping[str, Any]], key: str, title: str) -> str:
    """Draw seconds over batch or side, a line per method."""
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    axes: Axes = figure.add_subplot()
    methods = list(dict.fromkeys(one["method"] for one in points))
    for index, method in enumerate(methods):
        line = sorted((one[key], one["median"]) for one in points if one["method"] == method)
        style = ("-", "--", ":", "-.")[index // len(COLORS) % 4]
        mark, color = MARKS[index % len(MARKS)], COLORS[index % len(COLORS)]
        axes.plot(*zip(*line, strict=True), style, marker=mark, color=color, label=method)
    ticks = sorted({one[key] for one in points})
    axes.set(xscale="log", yscale="log", xlabel=title, ylabel="seconds")
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.legend(loc="outside right upper")
    return _svg(figure)


def _svg(figure: Figure) -> str:
    """Return a figure as an SVG element whose colors are the page's."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for stand_in, variable in ((INK, "--ink"), (SOFT, "--soft"), (LINE, "--line")):
        text = text.replace(stand_in, f"var({variable})")
    # Identifiers are shared by all drawings of a page; the metadata says nothing but "matplotlib".
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
