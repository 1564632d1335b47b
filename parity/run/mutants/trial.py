"""The table of mutants on trial: each goes through the door for subjects and through the same runner as any subject.

The healthy port goes first, through the very same door: where it is not green, no mutant proves anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.claimed import temporary
from parity.judge.verdict import NOT_COUNTED, is_ok
from parity.reference.client import ReferenceClient
from parity.run.cases import Plan
from parity.run.mutants.echoes import echoes
from parity.run.mutants.material import material
from parity.run.mutants.mutant import Mutant, right
from parity.run.outcome import Outcome
from parity.run.runner import Runner
from parity.run.subjects import FunctionSubject

Array = npt.NDArray[Any]
Row = Mapping[str, Any]
Key = tuple[str, str, str]
"""Method, input and dtype of a case."""
HEALTHY = "the healthy port"
NUMERIC = ("rel_l2", "slope", "max_err")
ROUNDING = {"float64": 1e-14, "float32": 1e-6}
"""Largest change, over a map's largest value, that is rounding: a mutant that changes less is no other map."""


@dataclass(frozen=True)
class Trial:
    """One mutant on one model.

    Attributes
    ----------
    mutant : Mutant
        The mutant.
    model : str
        What it was tried on.
    red : int
        How many of its rows are red.
    rows : int
        How many there are.
    checks : tuple of str
        The checks that failed, in the rows that are red.
    another : bool
        Whether any of its maps is another than the healthy port's.
    """

    mutant: Mutant
    model: str
    red: int
    rows: int
    checks: tuple[str, ...]
    another: bool

    @property
    def killed(self) -> bool:
        """Whether a run ends red with it."""
        return self.red > 0

    @property
    def complaint(self) -> str | None:
        """What is wrong with the trial, or None: it lives, is no mutant, or something else stopped it."""
        if not self.another:
            return "its maps are those of the healthy port"
        if not self.killed:
            return "it lives: no row of it is red"
        if self.mutant.stopped_by not in ("any", *self.checks):
            return f"it was stopped by {', '.join(self.checks)}, not by {self.mutant.stopped_by}"
        return None


@dataclass
class Results:
    """What came of a table.

    Attributes
    ----------
    trials : list of Trial
        One per mutant and model.
    unhealthy : list of str
        Cases in which the healthy port is red, or in no lane compared with anything, each with its message.
    """

    trials: list[Trial] = field(default_factory=list)
    unhealthy: list[str] = field(default_factory=list)

    @property
    def killed(self) -> int:
        """How many trials ended red."""
        return sum(trial.killed for trial in self.trials)

    @property
    def complaints(self) -> list[str]:
        """What is wrong, a sentence each; none if the judge may be believed."""
        said = [f"{HEALTHY}: {text}" for text in self.unhealthy]
        return said + [
            f"{trial.mutant.name} on {trial.model}: {trial.complaint}" for trial in self.trials if trial.complaint
        ]


def try_all(
    mutants: Iterable[Mutant],
    client: ReferenceClient,
    models: Sequence[str] = (),
    ahead: int = 0,
    with_echoes: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Results:
    """Try mutants, each on its models.

    Parameters
    ----------
    mutants : iterable of Mutant
        The table, or a part of it.
    client : ReferenceClient
        Asks the references, once for all mutants.
    models : sequence of str
        Only these models; empty for all.
    ahead : int
        See `parity.run.runner.Runner`.
    with_echoes : bool
        Whether subjects that repeat a wrong reference are tried too (`parity.run.mutants.echoes`).
    tell : callable
        Called with what is tried next.
    """
    mutants = list(mutants)
    by_model: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        for model in mutant.models:
            if not models or model in models:
                by_model[model].append(mutant)
    results = Results()
    with temporary("parity-mutants-") as claimed:
        if with_echoes:
            tell("what the references say where they are wrong")
            echoing = echoes(client, claimed.path, models)
            mutants = [*mutants, *echoing]
            for mutant in echoing:
                by_model[mutant.models[0]].append(mutant)
        for model, group in by_model.items():
            for trial in _on_model(model, group, client, ahead, claimed.path, results.unhealthy, tell):
                results.trials.append(trial)
    order = {mutant.name: index for index, mutant in enumerate(mutants)}
    results.trials.sort(key=lambda trial: order[trial.mutant.name])
    return results


def is_red(row: Row) -> bool:
    """Say whether a row makes a run red."""
    return row["status"] not in NOT_COUNTED and not is_ok(row["status"], row["divergence"])


def failed_checks(row: Row) -> tuple[str, ...]:
    """Return every check that fails in a red row; the row itself names the first alone."""
    if row["status"] == "error":
        return ("error",)
    failed = [row["failed_check"]] if row["failed_check"] else []
    for name in NUMERIC if row["limits"] and row.get("rel_l2") is not None else ():
        value = row.get(name)
        distance = abs(value - 1) if name == "slope" and value is not None else value
        if distance is None or not (distance <= row["limits"][name]):
            failed.append(name)
    return tuple(dict.fromkeys(failed))


def is_another(wrong: Array | None, healthy: Array | None, dtype: str) -> bool:
    """Say whether a map is another than the healthy port's; this must not ask the judge, who is on trial."""
    if wrong is None or healthy is None:
        return wrong is not healthy
    if wrong.shape != healthy.shape or not np.isfinite(wrong).all():
        return True
    return bool(np.abs(wrong - healthy).max(initial=0.0) > ROUNDING[dtype] * np.abs(healthy).max(initial=0.0))


def _on_model(
    model: str,
    mutants: Sequence[Mutant],
    client: ReferenceClient,
    ahead: int,
    folder: Path,
    unhealthy: list[str],
    tell: Callable[[str], None],
) -> Iterator[Trial]:
    source, inputs = material(model, folder, max(mutant.samples for mutant in mutants))
    runner: Runner | None = None
    for samples in sorted({mutant.samples for mutant in mutants}):
        group = [mutant for mutant in mutants if mutant.samples == samples]
        methods = tuple(dict.fromkeys(method for mutant in group for method in mutant.methods))
        lanes = frozenset(methods)
        plan = Plan(source, inputs[:samples], methods, lanes, lanes)
        subject = FunctionSubject(right, HEALTHY)
        tell(f"{model}: {HEALTHY}, {len(methods)} methods")
        runner = Runner(plan, client, subject, ahead=ahead) if runner is None else runner.next(plan, subject)
        healthy = {_key(outcome.row): outcome for outcome in runner.run()}
        unhealthy += _not_green(healthy)
        for mutant in group:
            tell(f"{model}: {mutant.name}")
            yield _tried(mutant, runner, Plan(source, plan.inputs, mutant.methods, lanes, lanes), healthy)


def _tried(mutant: Mutant, runner: Runner, plan: Plan, healthy: Mapping[Key, Outcome]) -> Trial:
    outcomes = list(runner.next(plan, FunctionSubject(mutant.fresh(), mutant.name)).run())
    red = [outcome.row for outcome in outcomes if is_red(outcome.row)]
    another = any(
        is_another(outcome.subject, healthy[_key(outcome.row)].subject, outcome.row["dtype"]) for outcome in outcomes
    )
    checks = tuple(dict.fromkeys(check for row in red for check in failed_checks(row)))
    return Trial(mutant, plan.source.name, len(red), len(outcomes), checks, another)


def _not_green(healthy: Mapping[Key, Outcome]) -> list[str]:
    """Return what is wrong with the healthy port: red rows, and methods of which nothing was compared."""
    said = []
    compared: dict[tuple[str, str], bool] = {}
    for (method, name, dtype), outcome in healthy.items():
        row = outcome.row
        case = f"{row['model']}, {name}, {method}"
        if is_red(row):
            said.append(f"{case} in {dtype} is {row['status']}: {row['message'].strip()[:400]}")
        seen = row["status"] not in NOT_COUNTED
        compared[case, row["message"]] = compared.get((case, row["message"]), False) or seen
    nothing = defaultdict(list)
    for (case, message), seen in compared.items():
        nothing[case].append((seen, message))
    for case, lanes in nothing.items():
        if not any(seen for seen, _ in lanes):
            said.append(f"{case}: nothing is compared: {lanes[0][1].strip()[:400]}")
    return said


def _key(row: Row) -> Key:
    return row["method"], row["input"], row["dtype"]
