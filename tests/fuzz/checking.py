"""Both sides on one case, and what is not as it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from parity.judge.verdict import is_ok
from parity.reference.client import ReferenceClient
from parity.run.cases import Plan
from parity.run.outcome import REFUSED, Outcome
from parity.run.runner import Runner
from parity.run.subjects import Subject, subject
from tests.fuzz.builder import Case
from tests.fuzz.networks import write


def problems(case: Case, client: ReferenceClient, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a case that are neither at parity nor covered, each with what it says."""
    return [row for row in rows(case, client, folder) if not row["fine"]]


def rows(case: Case, client: ReferenceClient, folder: Path, judged: Subject | None = None) -> list[dict[str, Any]]:
    """Return the rows of a case in float64, each with "fine"."""
    source, x = write(case, folder / "fuzzed.h5")
    methods = tuple(case["methods"])
    plan = Plan(source, (x,), methods, frozenset(methods), frozenset())
    runner = Runner(plan, client, judged or subject("signxai_torch"))
    return [outcome.row | {"fine": fine(outcome)} for outcome in runner.run()]


def fine(outcome: Outcome) -> bool:
    """Say whether an outcome leaves a case without a finding.

    Maps that are the same to the last bit agree, also where they are not finite: a run would not count them as proof.
    """
    row = outcome.row
    if is_ok(row["status"], row["divergence"]):
        return True
    if row["status"] == "unjudged":
        return True  # zero on both sides, or nothing is left to hold the port to; a run counts these apart
    if row["status"] == "unsupported":
        # Neither reference has it, or says that it has it not for such a model; one that merely fails is a finding.
        return row["reference"] is None or row["message"].startswith(REFUSED)
    if outcome.reference is None or outcome.subject is None:
        return False
    return np.array_equal(outcome.reference, outcome.subject, equal_nan=True)


def describe(case: Case, found: list[dict[str, Any]]) -> str:
    """Return the findings and the case as JSON, to be kept in `regressions/`."""
    lines = [f"{row['status']} {row['method']} held to {row['reference']}: {row['message']}" for row in found]
    return "\n".join([*lines, "the case, to be kept under tests/fuzz/regressions:", json.dumps(case)])
