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
from parity.run.subjects import subject
from signxai_torch import explain, parse
from tests.fuzz.architectures import Case
from tests.fuzz.networks import write

FLOAT32_LOGITS = 1e-3


def problems(case: Case, client: ReferenceClient, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a case that are neither at parity nor covered, each with what it says."""
    return [row for row in rows(case, client, folder) if not row["fine"]]


def rows(case: Case, client: ReferenceClient, folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a case, each with "fine"."""
    source, one = write(case, folder / "fuzzed.h5")
    methods = tuple(case["methods"])
    plan = Plan(source, (one,), methods, frozenset(methods), frozenset())
    runner = Runner(plan, client, subject("signxai_torch"))
    facts = runner.facts
    if facts.problem and facts.logits_rel_l2.get("float32", 1.0) < FLOAT32_LOGITS:
        facts.problem = None  # float32 logits that nearly cancel; these cases are about float64
    return [outcome.row | {"fine": fine(outcome) or is_nothing(outcome, runner)} for outcome in runner.run()]


def fine(outcome: Outcome) -> bool:
    """Say whether an outcome leaves a case without a finding.

    Maps that are the same to the last bit agree, also where they are zero or not finite: a network with a dead layer
    has such maps, and a run would not count them as proof.
    """
    row = outcome.row
    if is_ok(row["status"], row["divergence"]):
        return True
    if row["status"] == "unsupported":
        # Neither reference has it, or says that it has it not for such a model; one that merely fails is a finding.
        return row["reference"] is None or row["message"].startswith(REFUSED)
    if outcome.reference is None or outcome.subject is None:
        return False
    if row["method"].startswith("grad_cam") and not outcome.reference.any() and not outcome.subject.any():
        # Nothing speaks for the class; the reference's map is transposed where the image is not square.
        return outcome.reference.shape in (outcome.subject.shape, np.swapaxes(outcome.subject, 0, 1).shape)
    return np.array_equal(outcome.reference, outcome.subject, equal_nan=True)


def is_nothing(outcome: Outcome, runner: Runner) -> bool:
    """Say whether two VarGrad maps are the variance of a gradient that does not change, up to rounding on both sides.

    The mean of n equal numbers is off by n last digits at most, and the variance is the square of that. Like two zero
    maps they prove nothing in a run, and are no finding here.
    """
    if outcome.row["family"] != "vargrad" or outcome.reference is None or outcome.subject is None:
        return False
    module, target = runner.modules["float64"], runner.facts.targets[0]
    gradient = explain(module, module.to_torch(runner.inputs.astype(np.float64)), "gradient", target)
    samples = parse(outcome.row["method"]).parameters["samples"]
    rounding = samples * np.finfo(np.float64).eps * float(np.abs(gradient).max())
    return all(float(np.abs(one).max()) <= rounding**2 for one in (outcome.reference, outcome.subject))  # NaN is not


def describe(case: Case, found: list[dict[str, Any]]) -> str:
    """Return the findings and the case as JSON, to be kept in `regressions/`."""
    lines = [f"{row['status']} {row['method']} held to {row['reference']}: {row['message']}" for row in found]
    return "\n".join([*lines, "the case, to be kept under tests/fuzz/regressions:", json.dumps(case)])
