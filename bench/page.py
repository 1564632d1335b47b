"""The table in docs/benchmarks.md: what a run measured on VGG16, between two marker comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.contenders.everyone import CAPTUM, EXPLAINER, PORT, REFERENCE, UNIT, ZENNIT
from bench.figures import Figures
from bench.networks import VISION
from bench.plan import METHODS, SMALL, VGG16
from parity.run.results import write_atomically

BEGIN, END = "<!-- bench:begin (written by `make bench`) -->", "<!-- bench:end -->"
COLUMNS = (PORT, ZENNIT, CAPTUM, REFERENCE)
"""Columns of the table of VGG16, where an Explainer gains nothing."""
TITLES = {
    PORT: "signxai_torch",
    EXPLAINER: "Explainer",
    ZENNIT: "stock zennit",
    CAPTUM: "captum",
    REFERENCE: "TensorFlow",
}


class PageError(Exception):
    """The page has no place for the table."""


def update(path: Path, document: Mapping[str, Any]) -> None:
    """Put a run's table between the markers of a page.

    Raises
    ------
    PageError
        If the file does not hold both markers, once each and in order.
    """
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise PageError(f"{path} needs the lines {BEGIN} and {END}, once each; the table goes between them")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    write_atomically(path, f"{head}{BEGIN}\n{table(document)}{END}{tail}")


def table(document: Mapping[str, Any]) -> str:
    """Return the Markdown that stands between the markers."""
    figures = Figures(document)
    unit = figures.time(VGG16, "gradient", UNIT)
    if unit is None:
        return f"No figures: the run of {_date(document)} did not measure {VGG16}.\n"
    methods = [name for name in METHODS if figures.time(VGG16, name, PORT) or figures.reason(VGG16, name, PORT)]
    own = [one for one in document["times"] if one["network"] == VGG16 and one["contender"] != UNIT]
    further = dict.fromkeys(one["method"] for one in own)
    methods += [name for name in further if name not in methods]
    heads = ["method", *(_title(document, name) for name in COLUMNS), "peak memory"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for method in methods:
        cells = [_cell(figures, method, name) for name in COLUMNS]
        lines.append(f"| `{method}` | " + " | ".join([*cells, _peak(figures, method)]) + " |")
    small = _other_networks(document, figures)
    return "\n".join([_caption(document, unit), "", *lines, "", *small, _sweeps(figures), _verdict(document), ""])


def _other_networks(document: Mapping[str, Any], figures: Figures) -> list[str]:
    """Return the table of the small networks and those of torchvision, as far as they were measured."""
    columns = (PORT, EXPLAINER, ZENNIT, CAPTUM)
    keys = dict.fromkeys(
        (one["network"], one["batch"], one["method"])
        for one in document["times"]
        if one["network"] in (*SMALL, *VISION) and one["contender"] == EXPLAINER
    )
    if not keys:
        return []
    lines = ["The same for other networks, in the same units:", ""]
    lines += ["| network | batch | method | " + " | ".join(TITLES[name] for name in columns) + " |"]
    lines += ["|---|---:|---" + "|---:" * len(columns) + "|"]
    for network, batch, method in keys:
        cells = [_cell(figures, method, name, network, batch) for name in columns]
        lines.append(f"| {network} | {batch} | `{method}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _caption(document: Mapping[str, Any], unit: Mapping[str, Any]) -> str:
    machine = document["machine"]
    text = (
        f"VGG16 (random weights) at 224 x 224, batch 1, float32, in units of one torch forward pass and input gradient "
        f"({unit['median']:.2f} s here); medians of {_rounds(document)}. Peak memory is over the loaded weights, as a "
        f"multiple of the unit's own. {machine['cpu']}, {machine['threads']} threads, torch "
        f"{document['versions']['torch']}, {_date(document)}."
    )
    return textwrap.fill(text, 120)


def _rounds(document: Mapping[str, Any]) -> str:
    found = sorted({one["rounds"] for one in document["times"] if one["network"] == VGG16 and one["batch"] == 1})
    if len(found) == 1:
        return f"{found[0]} rounds"
    return f"{found[-1]} rounds (of 50 samples or steps: {found[0]})"


def _title(document: Mapping[str, Any], contender: str) -> str:
    version = document["versions"].get(contender)
    return f"{TITLES[contender]} {version}" if version else TITLES[contender]


def _cell(figures: Figures, method: str, contender: str, network: str = VGG16, batch: int = 1) -> str:
    ratio = figures.ratio(network, method, contender, batch)
    if ratio is not None:
        return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    return "no such rule" if figures.no_counterpart(network, method, contender) else "not measured"


def _peak(figures: Figures, method: str) -> str:
    ratio = figures.peak_ratio(VGG16, method)
    return "not measured" if ratio is None else f"{ratio:.2f}"


def _sweeps(figures: Figures) -> str:
    """Return what `explain_many` makes of all names, in words."""
    parts = []
    for names, title in (("lrp", "LRP names"), ("all", "names that the reference has")):
        many = figures.sweep(VGG16, names, "explain_many")
        if many is None:
            continue
        text = f"`explain_many` of {many['count']} {title}: {many['median']:.0f} s"
        shared, speedup = figures.shared(VGG16, names), figures.speedup(VGG16, names)
        theirs = figures.sweep(VGG16, names, REFERENCE)
        if shared is not None:
            text += f", {shared:.2f} of the sum of single calls"
        if theirs is not None and speedup is not None:
            origin = "measured in the same run" if theirs["source"] == "this run" else "stored seconds"
            text += f"; TensorFlow {theirs['median']:.0f} s ({origin}), {speedup:.1f} times as long"
        parts.append(text + ".")
    return "\n".join(parts) or "`explain_many` was not measured."


def _verdict(document: Mapping[str, Any]) -> str:
    judged = [one for one in document["limits"] if one["verdict"] != "no counterpart"]
    met = sum(one["verdict"] == "met" for one in judged)
    return f"{met} of {len(judged)} limits of `bench/limits.py` met; each with its number in `reports/bench.html`."


def _date(document: Mapping[str, Any]) -> str:
    return datetime.fromisoformat(document["created"]).strftime("%-d %B %Y")


def between_markers(text: str) -> str | None:
    """Return what stands between the markers of a page's text, or None."""
    found = re.search(re.escape(BEGIN) + r"\n(.*?)" + re.escape(END), text, re.DOTALL)
    return found.group(1) if found else None
