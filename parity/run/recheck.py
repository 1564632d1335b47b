"""A results file that is read again: counts from its rows, and each row's verdict from the row's own numbers.

Whoever edits a status, a number or the summary by hand, or loses rows, gets a report that says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from parity.judge.limits import NoiseFloor, limits_for
from parity.run.totals import summarize

Row = Mapping[str, Any]
_AT_MOST = ("rel_l2", "slope", "max_err")
_AT_LEAST = ("pearson", "ssim")
GREEN = ("parity", "reference-defect")
"""Statuses that say that the numbers of a row hold."""


def recheck(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a results document whose rows and summary say what its numbers say; red rows stay red.

    A row that claims parity, with the plain reference or with what stood in for it, but whose numbers do not hold,
    becomes a mismatch. The number of wrong maps that the judge killed cannot be counted again and is taken as it is.

    Parameters
    ----------
    document : mapping
        A valid results document (see `parity.run.results.load`).
    """
    rows = [_rechecked(row) for row in document["results"]]
    summary = document["summary"]
    again = summarize(
        rows,
        summary.get("controls"),
        planned=summary["planned"],
        stopped=bool(document.get("interrupted")) or summary["stopped"],
        reference_fault=summary.get("reference_fault"),
    )
    return dict(document) | {"results": rows, "summary": again, "interrupted": again["stopped"]}


def _rechecked(row: Row) -> dict[str, Any]:
    status = row["status"]
    if status not in GREEN:
        return dict(row)
    broken = list(contradictions(row))
    if not broken:
        return dict(row) | ({"margin": _margin(row)} if status == "parity" else {})
    said = "; ".join(text for _, text in broken)
    message = f"The file contradicts itself: it says {status}, but {said}."
    if row.get("message"):
        message += f"\nThe message in the file: {row['message']}"
    return dict(row) | {
        "status": "mismatch",
        "failed_check": broken[0][0],
        "message": message,
        "margin": _margin(row),
    }


def contradictions(row: Row) -> Iterator[tuple[str, str]]:
    """Yield what in the numbers of a row speaks against parity: the check, and what is wrong, in words.

    A number that is missing speaks against it too, and so does a limit that is looser than the noise it is made of.
    """
    if row.get("failed_check"):
        yield str(row["failed_check"]), f"names the check {row['failed_check']} as failed"
    if row.get("problem"):
        yield str(row.get("problem_check") or "problem"), f"tells a problem ({row['problem']})"
    limits = row.get("limits")
    if limits is None:
        yield "limits", "it has no limits"
        return
    noise = row.get("noise_floor")
    allowed = limits_for(str(row["dtype"]), NoiseFloor(**noise) if noise else None).to_json()
    looser = [name for name in _AT_MOST if not (limits[name] <= allowed[name])]
    looser += [name for name in _AT_LEAST if not (limits[name] >= allowed[name])]
    if looser:
        yield "limits", f"its limit for {looser[0]} is {limits[looser[0]]:.4g}, looser than {allowed[looser[0]]:.4g}"
    for name in _AT_MOST:
        value = _distance(row, name)
        shown = "|slope - 1|" if name == "slope" else name
        if value is None:
            yield name, f"{shown} is missing"
        elif not (value <= limits[name]):
            yield name, f"{shown} is {value:.4g}, over the limit {limits[name]:.4g}"
    for name in _AT_LEAST:
        value = row.get(name)
        if value is None:
            excused = row.get("constant") if name == "pearson" else row.get("ssim_note")
            if not excused:
                yield name, f"{name} is missing"
        elif not (value >= limits[name]):
            yield name, f"{name} is {value:.4g}, under the limit {limits[name]:.4g}"


def _distance(row: Row, name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    return abs(float(value) - 1.0) if name == "slope" else float(value)


def _margin(row: Row) -> float | None:
    """Return the worst value over limit; None where a number is missing or is none."""
    limits = row.get("limits")
    values = [_distance(row, name) for name in _AT_MOST]
    if limits is None or None in values:
        return None
    shares = [
        value / limits[name] if limits[name] > 0 else math.inf
        for name, value in zip(_AT_MOST, values, strict=True)
        if value is not None
    ]
    worst = max(shares)
    return worst if math.isfinite(worst) else None
