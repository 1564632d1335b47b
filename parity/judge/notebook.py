"""Numbers and verdicts as tables in a notebook; everything that comes from a run is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from parity.errors import first_line
from parity.judge.limits import limits_for
from parity.judge.metrics import Metrics
from parity.judge.verdict import NOT_COUNTED, is_ok

_LANES = ("float64", "float32")


def metrics_html(metrics: Metrics) -> str:
    """Return a comparison beside the limits of both lanes: the tightest, those of a reference without noise."""
    limits = {lane: limits_for(lane) for lane in _LANES}
    most = {
        "relative L2 distance": (metrics.rel_l2, "rel_l2"),
        "|slope - 1|": (abs(metrics.slope - 1.0), "slope"),
        "largest error over max |R|": (metrics.max_err, "max_err"),
    }
    rows = []
    for name, (value, key) in most.items():
        held = [(getattr(limits[lane], key), value <= getattr(limits[lane], key)) for lane in _LANES]
        rows.append([name, _number(value), *(f"{'✓' if holds else '✗'} ≤ {limit:g}" for limit, holds in held)])
    likeness: dict[str, tuple[float | None, float]] = {
        "Pearson": (metrics.pearson, limits["float64"].pearson),
        "SSIM": (metrics.ssim, limits["float64"].ssim),
    }
    for name, (similarity, least) in likeness.items():
        sign = "" if similarity is None else "✓ " if similarity >= least else "✗ "
        rows.append([name, _number(similarity), *[f"{sign}≥ {least:g}"] * 2])
    rows += [
        ["signs equal", _number(metrics.sign_agreement), "", ""],
        ["overlap of the largest 1 %", _number(metrics.top1_overlap), "", ""],
        ["sum: reference, candidate", f"{_number(metrics.reference_sum)}, {_number(metrics.subject_sum)}", "", ""],
        ["max |R|: reference, candidate", f"{_number(metrics.reference_max)}, {_number(metrics.subject_max)}", "", ""],
    ]
    shape = " × ".join(map(str, metrics.shape))
    caption = f"{metrics.n} values, {shape}" if metrics.shape else f"{metrics.n} values"
    note = "The limit of float32 is 3 times the reference's own noise where that is more."
    problem = f"<p><strong>{escape(metrics.problem)}</strong></p>" if metrics.problem else ""
    return f"{problem}{_table(caption, ['', 'value', *_LANES], rows)}<p><small>{note}</small></p>"


def rows_html(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows of results as a table: the verdict of each, its worst number's share of the limit, and why."""
    header = ["", "status", "method", "model", "input", "dtype", "rel. L2", "limit", "why"]
    cells = []
    for row in rows:
        counted = row["status"] not in NOT_COUNTED
        mark = ("✓" if is_ok(row["status"], row.get("divergence")) else "✗") if counted else "–"
        limit = (row.get("limits") or {}).get("rel_l2")
        texts = [str(row[key]) for key in ("status", "method", "model", "input", "dtype")]
        why = "" if row["status"] == "parity" else first_line(row.get("message"))
        cells.append([mark, *texts, _number(row.get("rel_l2")), _number(limit), why])
    return _table("", header, cells) if cells else "<p>nothing was compared</p>"


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def _table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    left = ' style="text-align:left"'
    head = "".join(f'<th scope="col"{left}>{escape(text)}</th>' for text in header)
    body = "".join("<tr>" + "".join(f"<td{left}>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    told = f"<caption{left}>{escape(caption)}</caption>" if caption else ""
    return f"<table>{told}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


Metrics.table = metrics_html
