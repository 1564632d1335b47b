"""Cases grouped into rows: one row per method and model, showing its worst input in each lane."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity.errors import first_line
from parity.judge.verdict import is_ok

LANES = ("float64", "float32")

STANDINGS = ("error", "mismatch", "structural", "unjudged", "reference-defect", "parity", "unsupported")
"""The statuses, worst first.

What was not judged stands before what is at parity, so that no method is called at parity that is unjudged somewhere.
"""
NOT_JUDGED = ("unjudged", "unsupported")

# Of rows that leave the run green, those first that were held to their limits.
_GREEN_ORDER = ("parity", "reference-defect", "unjudged", "unsupported")

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of `results` and its position there, which is also its place in the arrays file."""

    index: int
    result: Result

    @property
    def status(self) -> str:
        """The status word."""
        return str(self.result["status"])

    @property
    def ok(self) -> bool:
        """Whether it spoils nothing: it is green, or was not judged."""
        return self.status in NOT_JUDGED or is_ok(self.status, self.result.get("divergence"))

    @property
    def standing(self) -> str:
        """One of `STANDINGS`."""
        return self.status

    @property
    def margin(self) -> float | None:
        """Worst value/limit; infinite where a compared case has no number, None where there was nothing to compare."""
        if self.status in NOT_JUDGED:
            return None
        margin = self.result.get("margin")
        if margin is not None:
            return float(margin)
        return math.inf if self.status in ("mismatch", "structural", "parity") else None


@dataclass(frozen=True)
class Row:
    """All cases of one method on one model.

    Attributes
    ----------
    cases : tuple of Case
        Worst first.
    lanes : mapping
        dtype -> its worst case; a lane that was not run is missing.
    """

    method: str
    model: str
    cases: tuple[Case, ...]
    lanes: Mapping[str, Case]

    @property
    def worst(self) -> Case:
        """The case that stands for the row."""
        return self.cases[0]

    @property
    def ok(self) -> bool:
        """Whether no case spoils the run."""
        return all(case.ok for case in self.cases)

    @property
    def at_parity(self) -> bool:
        """Whether the row shows that its parts work: a case is at parity, and none fails."""
        return self.ok and any(case.status == "parity" for case in self.cases)

    @property
    def has_no_numbers(self) -> bool:
        """Whether the worst case failed before two maps could be compared, so that its message is what there is."""
        return self.status == "error" or self.worst.result.get("failed_check") == "logits"

    @property
    def status(self) -> str:
        """The status of the worst case."""
        return self.worst.status

    @property
    def standing(self) -> str:
        """How the worst case stands: one of `STANDINGS`."""
        return self.worst.standing

    @property
    def family(self) -> str:
        """The method's family."""
        return str(self.worst.result["family"])

    @property
    def margin(self) -> float | None:
        """The largest margin of all cases."""
        margins = [case.margin for case in self.cases if case.margin is not None]
        return max(margins, default=None)


def _case_order(case: Case) -> tuple[bool, int, float]:
    """Sort the cases of a row: what spoils the run first, then by status, then by margin."""
    return (case.ok, STANDINGS.index(case.standing), _descending(case.margin))


def row_order(row: Row) -> tuple[bool, int, float]:
    """Sort rows: what spoils the run first, by severity; then what was judged, then the rest; worst margin first."""
    rank = _GREEN_ORDER.index(row.standing) if row.ok else STANDINGS.index(row.standing)
    return (row.ok, rank, _descending(row.margin))


def _descending(margin: float | None) -> float:
    return math.inf if margin is None else -margin


def group(results: Sequence[Result]) -> list[Row]:
    """Group results into rows, the worst row first, rows alike in the order they were run."""
    grouped: dict[tuple[str, str], list[Case]] = {}
    for index, result in enumerate(results):
        grouped.setdefault((str(result["method"]), str(result["model"])), []).append(Case(index, result))
    rows = []
    for (method, model), cases in grouped.items():
        cases.sort(key=_case_order)
        lanes: dict[str, Case] = {}
        for case in cases:
            lanes.setdefault(str(case.result["dtype"]), case)
        rows.append(Row(method, model, tuple(cases), lanes))
    rows.sort(key=row_order)
    return rows


def row_id(row: Row) -> str:
    """Return the id of a row in the page of a run."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{row.model}--{row.method}")
    # Names that differ only in what an id cannot hold still need different ids.
    odd = plain != f"{row.model}--{row.method}"
    return f"row-{plain}" + (f"-{hashlib.sha256(row.method.encode()).hexdigest()[:6]}" if odd else "")


def method_standings(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many methods stand how, each counted once, by its worst case on any model; worst first."""
    worst: dict[str, str] = {}
    for row in rows:
        for case in row.cases:
            known = worst.setdefault(row.method, case.standing)
            worst[row.method] = min(known, case.standing, key=STANDINGS.index)
    counts = Counter(worst.values())
    return {standing: counts[standing] for standing in STANDINGS if counts[standing]}


def row_standings(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many rows stand how, what is at parity first."""
    return _counted(row.standing for row in rows)


def case_standings(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many cases stand how, what is at parity first."""
    return _counted(case.standing for row in rows for case in row.cases)


def _counted(standings: Iterable[str]) -> dict[str, int]:
    counts = Counter(standings)
    return {standing: counts[standing] for standing in ("parity", *STANDINGS) if counts[standing]}


def reasons(cases: Iterable[Case]) -> dict[str, list[str]]:
    """Return why cases have no numbers: the first line of their messages, each once, with the methods concerned."""
    by_reason: dict[str, dict[str, None]] = {}
    for case in cases:
        reason = first_line(case.result.get("message")) or "no reason was noted"
        by_reason.setdefault(reason, {})[str(case.result["method"])] = None
    return {reason: list(methods) for reason, methods in by_reason.items()}
