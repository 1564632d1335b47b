"""A soak: rounds of runs with a fault each, every one followed by an undisturbed run that goes on where it stopped."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from bench.chaos.checks import (
    Key,
    ended_well,
    finished_rows_hold,
    nothing_left_over,
    nothing_lives,
    other_inputs,
    rows_of,
    same_numbers,
)
from bench.chaos.faults import FAULTS, Fault
from bench.chaos.places import METHODS, Places

LIMIT = 300.0
"""Seconds within which any run must end."""


@dataclass
class Soak:
    """What happened.

    Attributes
    ----------
    seed : int
        Of all that is random.
    rounds : int
        How many there were.
    faults : Counter
        How often each fault was tried.
    finished : int
        Rows that were finished when a fault struck.
    failures : list of str
        What did not hold, each with its round.
    seconds : float
        How long all took.
    """

    seed: int
    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self), "faults": dict(self.faults)}


def soak(
    places: Places, seed: int, inputs: int, goes_on: Callable[[int, float], bool], tell: Callable[[str], None]
) -> Soak:
    """Run rounds as long as `goes_on(round, seconds)`; the faults come in a random order that the seed decides."""
    rng, begun = Random(seed), time.monotonic()
    places.make(inputs, seed)
    outcome = Soak(seed)
    seconds, undisturbed = _undisturbed(places, inputs)
    order: list[Fault] = []
    while goes_on(outcome.rounds, time.monotonic() - begun):
        if not order:
            order = rng.sample(FAULTS, len(FAULTS))
        fault = order.pop()
        failures, kept = _round(places, fault, rng, seconds, undisturbed, outcome.rounds)
        outcome.rounds += 1
        outcome.faults[fault.name] += 1
        outcome.finished += kept
        outcome.failures += [f"round {outcome.rounds} ({fault.name}, seed {seed}): {one}" for one in failures]
        outcome.seconds = time.monotonic() - begun
        tell(f"round {outcome.rounds}, {fault.says}: {'; '.join(failures) or f'holds, {kept} cases were finished'}")
    return outcome


def _undisturbed(places: Places, inputs: int) -> tuple[float, dict[Key, Mapping[str, Any]]]:
    """Return how long a run takes with everything stored, and its rows."""
    report = places.report("undisturbed")
    _ended(_started(places, report, FAULTS[0]), places)
    begun = time.monotonic()
    _ended(_started(places, places.report("again"), FAULTS[0]), places)
    seconds, rows = time.monotonic() - begun, rows_of(report)
    if len(rows) != 2 * inputs * len(METHODS) or {row["status"] for row in rows.values()} != {"parity"}:
        raise RuntimeError(f"an undisturbed run has {len(rows)} rows that are not all at parity")
    return seconds, rows


def _round(
    places: Places,
    fault: Fault,
    rng: Random,
    seconds: float,
    undisturbed: Mapping[Key, Mapping[str, Any]],
    number: int,
) -> tuple[list[str], int]:
    """Return what did not hold after a fault, and how many cases were finished when it struck."""
    report = places.report(f"round_{number}")
    if fault.during is not None and rng.random() < 0.5:  # a cold store: there is a worker to be hurt
        shutil.rmtree(places.store, ignore_errors=True)
        seconds *= 3
    undo = fault.before(rng, places) if fault.before is not None else lambda: None
    run = _started(places, report, fault)
    try:
        if fault.during is not None:
            _wait(run, rng.uniform(0, seconds))
            fault.during(rng, run, places)
        code, said = _ended(run, places)
    finally:
        undo()
    failures = [f"a traceback: {said[-300:]}"] if "Traceback" in said else []
    if fault.harmless and code != 0:
        failures.append(f"the harness ended with {code}, and this should cost nothing: {said[-200:]}")
    failures += nothing_lives(places)
    failures += finished_rows_hold(places, report, undisturbed)
    kept = _count(report)  # of the report that was made of what the run has left
    if fault.name != "killed" and not ended_well(code, kept):
        failures.append(f"the harness ended with {code} after {kept} finished cases")
    code, said = _ended(_started(places, report, FAULTS[0]), places)
    if code != 0:
        failures.append(f"the run that goes on ended with {code}: {said[-300:]}")
    else:
        failures += _complete(places, report, undisturbed)
        failures += nothing_left_over(places, report)
    failures += nothing_lives(places)
    shutil.rmtree(report, ignore_errors=True)
    return failures, kept


def _complete(places: Places, report: Path, undisturbed: Mapping[Key, Mapping[str, Any]]) -> list[str]:
    try:
        rows = rows_of(report)
    except AssertionError as error:
        return [str(error)]
    missing = undisturbed.keys() - rows.keys()
    wrong = [f"{len(missing)} cases are missing, such as {min(missing)}"] if missing else []
    wrong += [f"{key}: {row['status']} at the end" for key, row in rows.items() if row["status"] != "parity"][:3]
    others = [key for key, row in rows.items() if key in undisturbed and not same_numbers(row, undisturbed[key])]
    wrong += [f"{key}: other numbers than undisturbed" for key in others[:3]]
    return wrong + other_inputs(report, places.report("undisturbed"))


def _count(report: Path) -> int:
    try:
        return len(rows_of(report))
    except (AssertionError, ValueError, KeyError):
        return 0


def _started(places: Places, report: Path, fault: Fault) -> subprocess.Popen[bytes]:
    report.mkdir(parents=True, exist_ok=True)
    with (places.root / "said.txt").open("wb") as said:
        return subprocess.Popen(
            places.command(report), env=places.environment(), stdout=said, stderr=said, cwd=places.root,
            preexec_fn=fault.limits,
        )  # fmt: skip


def _ended(run: subprocess.Popen[bytes], places: Places) -> tuple[int, str]:
    """Return exit code and words of a run; one that does not end in time is killed, which its code tells."""
    try:
        run.wait(LIMIT)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
    return run.returncode, (places.root / "said.txt").read_text(encoding="utf-8", errors="replace")


def _wait(run: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        return
