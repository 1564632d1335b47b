"""Renders the page: a pure function of the results, in the look of the parity report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from itertools import groupby
from typing import Any

import jinja2
from markupsafe import Markup

from bench.contenders.everyone import CONTENDERS, UNIT
from bench.figures import Figures
from bench.limits import unmet
from bench.page import TITLES
from bench.plan import VGG16
from bench.report import plots

VERDICT_CLASS = {"met": "parity", "not met": "mismatch", "not measured": "unjudged", "no counterpart": "unsupported"}
"""The look of each verdict, from the parity report's styles."""


def render(document: Mapping[str, Any]) -> str:
    """Return the results as one HTML page that opens offline."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"date": _date, "seconds": _seconds, "ratio": _ratio, "mebibytes": _mebibytes}
    figures, judged = Figures(document), document["limits"]
    return environment.get_template("bench.html").render(
        document=document,
        titles=TITLES | {UNIT: "unit"},
        contenders=CONTENDERS,
        unit=figures.time(VGG16, "gradient", UNIT),
        failed=unmet(judged),
        counts={name: sum(one["verdict"] == name for one in judged) for name in VERDICT_CLASS},
        verdict_class=VERDICT_CLASS,
        limits=[(group, list(ones)) for group, ones in groupby(judged, key=lambda one: one["group"])],
        tables=_tables(document, figures),
        memory=_memory(document, figures),
        sweeps=document["sweeps"],
        shared=lambda network, names: figures.shared(network, names),
        speedup=lambda network, names: figures.speedup(network, names),
        absent=[_told(one) for one in document["absent"] if one["kind"] != "no-counterpart"],
        # Our own styles and drawings of our own numbers; names in them are escaped by matplotlib.
        css=Markup(_asset("parity.report", "report.css") + _asset("bench.report", "bench.css")),
        plots=[(title, Markup(drawn)) for title, drawn in plots.draw(document)],
    )


def _tables(document: Mapping[str, Any], figures: Figures) -> list[dict[str, Any]]:
    """Gather the timed cases: a table per network, side and batch, a row per method, a column per contender."""
    places = dict.fromkeys((one["network"], one["side"], one["batch"]) for one in document["times"])
    tables = []
    for network, side, batch in places:
        here = [
            one for one in document["times"] if (one["network"], one["side"], one["batch"]) == (network, side, batch)
        ]
        rows = []
        for method in dict.fromkeys(one["method"] for one in here if one["contender"] != UNIT):
            cells = {name: figures.time(network, method, name, batch, side) for name in CONTENDERS}
            reasons = {name: figures.reason(network, method, name, batch) for name in CONTENDERS}
            rows.append({"method": method, "cells": cells, "reasons": reasons})
        unit = figures.time(network, "gradient", UNIT, batch, side)
        tables.append({"network": network, "side": side, "batch": batch, "rows": rows, "unit": unit})
    return tables


def _memory(document: Mapping[str, Any], figures: Figures) -> list[dict[str, Any]]:
    return [
        {
            **one,
            "ratio": figures.peak_ratio(one["network"], one["method"], one["contender"]),
            "copies": figures.copies(one["network"], one["method"], one["contender"]),
        }
        for one in document["memory"]
    ]


def _told(entry: Mapping[str, Any]) -> dict[str, str]:
    what = entry.get("case") or entry.get("sweep") or entry.get("memory") or {}
    keys = ("network", "side", "batch", "names", "method", "contender", "how")
    about = ", ".join(f"{key} {what[key]}" for key in keys if what.get(key) is not None)
    return {"what": ("memory: " if "memory" in entry else "") + about, "reason": str(entry["reason"])}


def _asset(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _date(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M %Z").strip()


def _seconds(value: float | None) -> str:
    """Return seconds, milliseconds below a tenth, minutes from ten on."""
    if value is None:
        return "–"
    if value >= 600:
        return f"{value / 60:.0f} min"
    if value >= 100:
        return f"{value:.0f} s"
    return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value:.3g} s"


def _ratio(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _mebibytes(value: float) -> str:
    return f"{value / 2**20:,.0f} MiB"
