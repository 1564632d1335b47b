"""What came of the mutants: as a Markdown page, as JSON, and as the lines of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from parity.run.mutants.names import NameMatrix
from parity.run.mutants.trial import Results, Trial

TITLE = "# Mutants: wrong ports that must end red"
INTRODUCTION = """\
`make mutants` makes this page. Each row is a wrong port. It goes through the door for subjects
(`parity run --subject file.py:function`) and the same runner, references and limits as any subject, on the first
inputs of its models, in both lanes; it is killed if the run ends red. The healthy port goes through the same door first
and must be green wherever a mutant is tried. *Stopped by* lists the checks that failed, in the order in which they are
made. *Beside* names the known difference of a reference that applies to the case: it must not excuse the mutant."""


@dataclass(frozen=True)
class Whole:
    """A table that was tried.

    Attributes
    ----------
    results : Results
        Of the mutants.
    names : NameMatrix or None
        Of every method in every other's place, if that was tried.
    seconds : float
        How long it took.
    """

    results: Results
    names: NameMatrix | None
    seconds: float

    @property
    def complaints(self) -> list[str]:
        """What is wrong, a sentence each."""
        return self.results.complaints + (self.names.complaints if self.names else [])

    @property
    def green(self) -> bool:
        """Whether every mutant died, as it should, and no right port did."""
        return not self.complaints and bool(self.results.trials or self.names)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        killed, count = counts(self.results.trials)
        return {
            "schema": 1,
            "green": self.green,
            "mutants": count,
            "mutants_killed": killed,
            "seconds": round(self.seconds, 1),
            "complaints": self.complaints,
            "trials": [_trial(trial) for trial in self.results.trials],
            "names": None if self.names is None else self.names.to_json(),
        }


def counts(trials: Sequence[Trial]) -> tuple[int, int]:
    """Return how many mutants were killed on each of their models, and how many there are."""
    alive = {trial.mutant.name for trial in trials if not trial.killed or not trial.another}
    names = {trial.mutant.name for trial in trials}
    return len(names - alive), len(names)


def headline(whole: Whole) -> str:
    """Return the sentence that says it all."""
    killed, count = counts(whole.results.trials)
    models = Counter(trial.model for trial in whole.results.trials)
    return f"{killed} of {count} mutants killed, in {sum(models.values())} trials on {len(models)} models"


def names_sentence(names: NameMatrix) -> str:
    """Return what the matrix of names says, in a sentence."""
    confused = len(names.confused)
    return (
        f"{names.methods} methods on {names.model}, each map judged in the place of every other: of {names.pairs} "
        f"pairs {len(names.aliases)} pass because the references' own maps of the two are equal, "
        + (f"and {confused} pass though they are not" if confused else "no other pair passes")
    )


def markdown(whole: Whole) -> str:
    """Return the page."""
    lines = [TITLE, "", INTRODUCTION, "", f"**{headline(whole)}.**", ""]
    per_model = Counter(trial.model for trial in whole.results.trials)
    lines += ["Trials per model: " + ", ".join(f"{model} {count}" for model, count in per_model.items()) + ".", ""]
    lines += [f"- {_cell(text)}" for text in whole.complaints] + [""] * bool(whole.complaints)
    lines += [
        "| mutant | what is wrong | where | dtypes | model | methods | stopped by | beside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(trial) for trial in whole.results.trials]
    if whole.names is not None:
        lines += ["", "## Every method in every other's place", "", names_sentence(whole.names) + ".", ""]
        lines += ["Methods with equal maps there: " + "; ".join(_groups(whole.names)) + "."]
        if whole.names.left_out:
            lines += ["", "Left out, without maps of their own on both sides: " + ", ".join(whole.names.left_out) + "."]
    return "\n".join(lines) + "\n"


def _row(trial: Trial) -> str:
    mutant = trial.mutant
    dtypes = "both" if mutant.dtypes == "both" else f"{mutant.dtypes} only"
    stopped = ", ".join(trial.checks) if trial.killed else "**nothing: it lives**"
    cells = (
        mutant.name, mutant.wrong, mutant.where, dtypes, trial.model, ", ".join(mutant.methods), stopped,
        mutant.beside or "",
    )  # fmt: skip
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _groups(names: NameMatrix) -> Iterator[str]:
    """Yield each set of methods whose maps are equal."""
    left: dict[str, set[str]] = {}
    for one, other in names.aliases:
        group = left.get(one, {one}) | left.get(other, {other})
        left |= dict.fromkeys(group, group)
    done: set[str] = set()
    for name, group in left.items():
        if name not in done:
            done |= group
            yield " = ".join(sorted(group))


def _trial(trial: Trial) -> dict[str, Any]:
    mutant = trial.mutant
    return {
        "mutant": mutant.name,
        "wrong": mutant.wrong,
        "where": mutant.where,
        "dtypes": mutant.dtypes,
        "model": trial.model,
        "methods": list(mutant.methods),
        "beside": mutant.beside,
        "killed": trial.killed,
        "another_map": trial.another,
        "stopped_by": list(trial.checks),
        "to_be_stopped_by": mutant.stopped_by,
        "red": trial.red,
        "rows": trial.rows,
        "complaint": trial.complaint,
    }
