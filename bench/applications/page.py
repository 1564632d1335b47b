"""The page `docs/applications.md`: what became of every family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.applications.families import Family
from bench.applications.judging import LANE
from bench.judged import verdicts
from bench.judged.standing import Standing, standing_of
from parity.run.results import write_atomically


def text(families: Sequence[Family], directory: Path) -> str:
    """Return the page, of the families and the standings that lie in a folder of reports."""
    standings = {family.name: standing_of(directory, family.name) for family in families}
    lines = [
        "# The families of keras.applications",
        "",
        "`make applications` builds one member of each family with 10 classes, for the smallest picture that it takes:",
        "random weights of a fixed seed, batch normalisations with a random scale and offset and",
        "the mean and variance of 8 pictures. The networks are saved as Keras saves them, converted, and explained on",
        "both sides in float64 with the core methods, one picture each. The table of families is",
        "`bench/applications/families.py`.",
        "",
        *verdicts.MEANING,
        "Where a network joins branches (DenseNet, Inception, NASNet) often all methods are held: SIGN-XAI takes what",
        "a Concatenate joins in the order in which it arrives, so iNNvestigate is asked, or SIGN-XAI about an",
        "equivalent network in which it arrives in the model's order. *Not run* says that this page knows of no run.",
        "",
        *verdicts.table(standings, (LANE,)),
        "",
        "## Size and time",
        "",
        "Seconds of the whole run on the machine that made this page, both sides and the start of TensorFlow included;",
        "answers of the reference that an earlier run had stored are not computed again.",
        "",
        "| family | picture | layers | parameters | seconds | answers stored |",
        "|---|---|---:|---:|---:|---:|",
        *(_size(family, standings[family.name]) for family in families),
        *verdicts.refusals(standings),
        *verdicts.faults(standings),
    ]
    return "\n".join([*lines, ""])


def _size(family: Family, standing: Standing | None) -> str:
    side = f"{family.side} x {family.side}"
    if standing is None or standing.document is None:
        return f"| {family.name} | {side} | | | | |"
    model, answers = standing.document["models"][0], standing.document["summary"]["reference_answers"]
    cells = (family.name, side, model["layers"], f"{model['parameters']:,}", f"{standing.document['seconds']:.0f}",
             answers["stored"])  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def write(path: Path, families: Sequence[Family], directory: Path) -> None:
    """Write the page."""
    write_atomically(path, text(families, directory))
