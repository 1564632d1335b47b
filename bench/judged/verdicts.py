"""Tables of what became of models, in Markdown: a line per model and lane, and a reason for what is not at parity."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from bench.judged.standing import Standing

ORDER = ("error", "mismatch", "structural", "unjudged", "reference-defect", "parity", "unsupported")
"""Statuses by what they say of a method that has several of them: the first counts."""
LANES = ("float64", "float32")
UNEQUAL = ("mismatch", "structural")
WORDS = {"error": "error", "mismatch": "not equal", "structural": "not equal", "unjudged": "unjudged"}
"""What a reader asks about."""
LONGEST, MANY = 240, 9
"""Letters of a reason, methods that are named one by one."""
MEANING = (
    "Methods, not cases: a method counts under the worst that one of its inputs came to. *Held* means held",
    "to something other than the plain reference, which is at fault there (`parity/judge/known/`); *unjudged*,",
    "that nothing is left to hold it to; *unsupported*, that the reference says that it does not explain such a",
    "model. The margin is the worst share of a limit; up to 1 is parity.",
)
"""What the table's columns mean, in lines of a page."""
COLUMNS = (
    "model", "lane", "inputs", "logits, rel. L2", "parity", "held", "unjudged", "unsupported", "not equal", "errors",
    "worst margin",
)  # fmt: skip


def methods_by_status(document: Mapping[str, Any], lane: str) -> dict[str, list[str]]:
    """Return the methods of a lane under the worst status that one of their cases has."""
    worst: dict[str, str] = {}
    for row in document["results"]:
        if row["dtype"] == lane:
            status = row["status"]
            worst[row["method"]] = min(worst.get(row["method"], status), status, key=ORDER.index)
    return {status: [name for name, seen in worst.items() if seen == status] for status in ORDER}


def table(standings: Mapping[str, Standing | None], lanes: Sequence[str] = LANES) -> list[str]:
    """Return the lines of the table of all models; None stands for a model that was not run."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|---|" + "---:|" * (len(COLUMNS) - 3) + "---|"]
    for name, standing in standings.items():
        if standing is None:
            lines.append(_empty(name, "not run"))
        elif standing.document is None:
            lines.append(_empty(name, "does not convert"))
        else:
            lines += [_result(name, standing.document, lane) for lane in lanes]
    return lines


def refusals(standings: Mapping[str, Standing | None]) -> list[str]:
    """Return the section with the converter's sentences on models that it does not take; empty if there are none."""
    refused = {name: standing.refused for name, standing in standings.items() if standing and standing.refused}
    if not refused:
        return []
    return ["", "## What does not convert", "", *(f"- `{name}`: {why}" for name, why in refused.items())]


def faults(standings: Mapping[str, Standing | None]) -> list[str]:
    """Return the section of the methods that are neither at parity nor held nor unsupported, by reason."""
    lines = []
    for name, standing in standings.items():
        document = standing.document if standing else None
        lanes: dict[tuple[str, str], list[str]] = {}
        for lane in LANES:
            for (status, reason), names in _reasons(document["results"] if document else [], lane).items():
                lanes.setdefault((WORDS[status], f"{_listed(names)}{reason}"), []).append(lane)
        lines += [f"- `{name}`, {' and '.join(seen)}, {word}: {text}" for (word, text), seen in lanes.items()]
    return ["", "## Not equal, unjudged and errors", "", *lines] if lines else []


def told(standing: Standing) -> str:
    """Return a model's counts of cases, or why it does not convert, in one line."""
    if standing.document is None:
        return f"does not convert: {standing.refused}"
    counts = standing.document["summary"]["counts"]
    return ", ".join(f"{number} {status}" for status, number in counts.items())


def _empty(name: str, why: str) -> str:
    return f"| {name} | {why} |" + " |" * (len(COLUMNS) - 2)


def _result(name: str, document: Mapping[str, Any], lane: str) -> str:
    methods = methods_by_status(document, lane)
    counts = {status: len(names) for status, names in methods.items()}
    rows = [row for row in document["results"] if row["dtype"] == lane]
    compared = [row for row in rows if row["status"] in ("parity", *UNEQUAL) and row["margin"] is not None]
    worst = max(compared, key=lambda row: float(row["margin"]), default=None)
    margin = f"{worst['margin']:.2g} (`{worst['method']}`)" if worst else "-"
    logits = document["models"][0]["logits_rel_l2" if lane == "float32" else "logits_rel_l2_float64"]
    distance = "" if logits is None else f"{logits:.1e}"
    unequal = counts["mismatch"] + counts["structural"]
    inputs = len({row["input"] for row in rows})
    cells = [name, lane, inputs, distance, counts["parity"], counts["reference-defect"], counts["unjudged"],
             counts["unsupported"], _loud(unequal), _loud(counts["error"]), margin]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _loud(count: int) -> str:
    return f"**{count}**" if count else "0"


def _reasons(rows: Sequence[Mapping[str, Any]], lane: str) -> dict[tuple[str, str], list[str]]:
    """Return the methods that a reader asks about, by status and reason, each with its worst case."""
    asked: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        method = row["method"]
        if row["dtype"] == lane and row["status"] in WORDS:
            asked[method] = max(asked.get(method, row), row, key=_badness)
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in asked.values():
        unequal = row["status"] in UNEQUAL
        reason = "" if unequal else f": {_first_line(row['message'], row['method'])}"
        size = f" (relative L2 {row['rel_l2']:.2g})" if unequal and row.get("rel_l2") is not None else ""
        reasons.setdefault((row["status"], reason), []).append(f"`{row['method']}`{size}")
    return reasons


def _first_line(message: str, method: str) -> str:
    """Return how a message begins, the same for all methods; what follows are traces of one machine."""
    line = message.partition("\n")[0].partition(" (at ")[0]
    return textwrap.shorten(re.sub(rf"(?<![\w-]){re.escape(method)}(?![\w-])", "it", line, count=1), LONGEST)


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} methods, from {names[0]} to {names[-1]}" if len(names) > MANY else ", ".join(names)


def _badness(row: Mapping[str, Any]) -> tuple[int, float]:
    margin = row["margin"]
    return -ORDER.index(row["status"]), float("inf") if margin is None else float(margin)
