"""What the rows of a run add up to: the `summary` of a results document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from parity.judge.verdict import STATUSES, run_is_green

COMPARED = ("parity", "structural", "mismatch")
"""Statuses of rows in which the subject's map was held to the plain reference."""
AGE_UNKNOWN = "unknown"
"""What `reference_stored` of a row says of a stored answer that does not tell when it was computed."""


def summarize(
    results: Sequence[Mapping[str, Any]],
    controls: Mapping[str, Any] | None = None,
    *,
    planned: int | None = None,
    stopped: bool = False,
    reference_fault: str | None = None,
) -> dict[str, Any]:
    """Return the `summary` of a results document.

    Parameters
    ----------
    results : sequence of mapping
        The rows.
    controls : mapping, optional
        What `parity.judge.controls` found in the same run: a wrong map that was accepted makes it red.
    planned : int, optional
        How many cases the run was to make; if not given, as many as there are rows.
    stopped : bool
        Whether the run ended before its last case. Fewer rows than planned say so too.
    reference_fault : str, optional
        Why no reference could be asked.
    """
    counts = Counter(row["status"] for row in results)
    compared, held = sum(counts[status] for status in COMPARED), counts["reference-defect"]
    planned = max(len(results), planned or 0)
    stopped = stopped or len(results) < planned
    green = run_is_green(results) and compared + held > 0 and missed(controls) == 0 and not stopped
    return {
        "counts": {status: counts[status] for status in STATUSES if counts[status]},
        "planned": planned,
        "compared": compared,
        "held": held,
        "unjudged": counts["unjudged"],
        "unsupported": counts["unsupported"],
        "errors": counts["error"],
        "stopped": stopped,
        "reference_answers": reference_answers(results),
        "reference_fault": reference_fault,
        "green": green,
        "worst_margin": _worst_margin(results),
        "controls": None if controls is None else dict(controls),
    }


def reference_answers(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many rows have an answer of this run, how many one from the store, and the oldest of those."""
    origins = [row["reference_stored"] for row in results if row.get("reference_stored") is not None]
    stored = [origin for origin in origins if origin]
    dated = [origin for origin in stored if origin != AGE_UNKNOWN]
    return {"computed": len(origins) - len(stored), "stored": len(stored), "oldest": min(dated, default=None)}


def missed(controls: Mapping[str, Any] | None) -> int:
    """Return how many wrong maps the judge of a run accepted."""
    return int(controls["mutants"] - controls["mutants_killed"]) if controls else 0


def _worst_margin(results: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the largest margin with the case that has it.

    A margin of null on a row that was compared means "beyond any limit"; its status says so already. What a known
    difference speaks of was not held to the plain reference, so its margin says nothing of parity.
    """
    with_margin = (row for row in results if row.get("margin") is not None and not row.get("divergence"))
    worst = max(with_margin, key=lambda row: float(row["margin"]), default=None)
    if worst is None:
        return None
    return {"value": worst["margin"]} | {key: worst[key] for key in ("method", "model", "input", "dtype")}
