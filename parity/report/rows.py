"""Cases grouped into rows: one row per method and model, showing its worst input in each lane."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity.judge.verdict import is_ok
from parity.run.results import missed

LANES = ("float64", "float32")

COVERED = "covered"
STANDINGS = ("error", "mismatch", "structural", "reference-defect", COVERED, "parity", "unsupported")
"""How a case stands, worst first: its status, but "covered" where a named divergence covers a structural one."""

# Of rows that leave the run green, those first that were held to their limits.
_GREEN_ORDER = ("parity", COVERED, "reference-defect", "unsupported")

Result = Mapping[str, Any]


@dataclass(frozen=True)
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
        """Whether it leaves the run green; what nobody defines was not judged and spoils nothing."""
        return self.status == "unsupported" or is_ok(self.status, self.result.get("divergence"))

    @property
    def standing(self) -> str:
        """One of `STANDINGS`."""
        return COVERED if self.status == "structural" and self.ok else self.status

    @property
    def judged(self) -> Result:
        """The numbers that it was judged by: its own, or of what a defective reference makes of the case."""
        return self.result.get("imitation") or self.result

    @property
    def not_judged(self) -> bool:
        """Whether its numbers speak of a reference map that is wrong, and of nothing else."""
        wrong = self.status == "reference-defect" and bool(self.result.get("failed_check"))
        return wrong and self.judged is self.result

    @property
    def margin(self) -> float | None:
        """Worst value/limit; infinite where a judged case has no number, None where nothing was judged."""
        if self.not_judged:
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
        """Whether every case leaves the run green."""
        return all(case.ok for case in self.cases)

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


_NOUNS = {
    "error": "error",
    "mismatch": "mismatch",
    "structural": "structural only",
    COVERED: "covered by a named divergence",
    "reference-defect": "reference defect",
    "unsupported": "unsupported",
}
_COUNTABLE = ("error", "mismatch", "reference-defect")


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


def verdict_sentence(document: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Say in one sentence how the run stands.

    Each method is counted once, by its worst case on any model; its numbers add up to that of the methods.
    """
    if not rows:
        return "Nothing was compared."
    counts = method_standings(rows)
    at_parity, total = counts.pop("parity", 0), len({row.method for row in rows})
    models = {row.model for row in rows}
    start = f"All {total}" if at_parity == total and total > 1 else f"{at_parity} of {total}"
    names = ", ".join(sorted(models)) if len(models) <= 2 else f"{len(models)} models"
    parts = [f"{start} {_plural('method', total)} at parity on {names}{_somewhere_unsupported(rows)}"]
    for standing, count in counts.items():
        noun = _NOUNS[standing]
        parts.append(f"{count} {_plural(noun, count) if standing in _COUNTABLE else noun}")
    if wrong := missed(controls := document["summary"].get("controls")):
        parts.append(f"the judge accepted {wrong} of {controls['mutants']} maps that are wrong on purpose")
    worst = document["summary"].get("worst_margin")
    if worst is not None:
        share = format_share(worst["value"])
        of = "of" if worst["value"] <= 1 else "times"
        parts.append(f"worst margin {worst['method']} on {worst['model']}: {share} {of} its limit")
    return "; ".join(parts) + "."


def _somewhere_unsupported(rows: Sequence[Row]) -> str:
    """Return what must be said of methods that are at parity wherever they were judged, but were not everywhere."""
    states: dict[str, set[str]] = {}
    for row in rows:
        states.setdefault(row.method, set()).update(case.standing for case in row.cases)
    count = sum(own == {"parity", "unsupported"} for own in states.values())
    return f" ({count} of them unsupported on some)" if count else ""


def _plural(noun: str, count: int) -> str:
    if count == 1:
        return noun
    return noun + ("es" if noun.endswith("ch") else "s")


def format_share(value: float | None) -> str:
    """Return a share of a limit in few characters: 0.4, 1.02, 3e-05, 250."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "no number"
    if value == 0:
        return "0"
    if value < 0.01:
        return f"{value:.0e}".replace("e-0", "e-")
    if value < 10:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:,.0f}" if value < 1e5 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def format_number(value: float | None) -> str:
    """Return a small number in scientific notation, two digits: 2.1e-16; a dash for none."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if math.isnan(value) or math.isinf(value):
        return "no number"
    if 0.01 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def format_similarity(value: float | None, digits: int = 6) -> str:
    """Return a correlation with a fixed number of digits; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"
