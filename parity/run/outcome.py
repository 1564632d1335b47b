"""One case's outcome: its row, before it has numbers and without a reference, and the measured divergences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.assets.inputs import Input
from parity.judge.known.divergences import BY_NAME, flip, rounding
from parity.judge.metrics import compare
from parity.judge.verdict import Divergence, Limits, NoiseFloor, judge
from parity.reference.request import ReferenceAnswer, ReferenceCall
from parity.run import reproduce
from parity.run.cases import Plan
from parity.run.questions import Question
from parity.run.subjects import Method

Array = npt.NDArray[Any]
Row = dict[str, Any]
# What iNNvestigate's graph mode says of batch normalization in float64; any other exception is an error.
NOT_IN_FLOAT64 = ("You must feed a value for placeholder",)
REFUSED = "the reference does not define this method for such a model."


@dataclass
class Outcome:
    """One row of the results and the two maps it speaks of, Keras layout without batch axis."""

    row: Row
    reference: Array | None = None
    subject: Array | None = None


def new_row(
    plan: Plan, method: Method, dtype: str, one: Input, target: int | None, call: ReferenceCall | None = None
) -> Row:
    """Return the row of a case that has no numbers yet: an error, until it is told otherwise."""
    return {
        "model": plan.source.name,
        "input": one.name,
        "target": target,
        "method": method.name,
        "family": method.family,
        "reference": call.backend if call else None,
        "dtype": dtype,
        "status": "error",
        "failed_check": None,
        "message": "",
        "margin": None,
        "limits": None,
        "noise_floor": None,
        "seconds_reference": None,
        "seconds_subject": None,
        "first_diverging_layer": None,
        "divergence": None,
        "imitation": None,
        "reproduce": reproduce.command(plan, method.name, dtype, one),
        "pytest": reproduce.pytest_id(plan, method.name, one),
    }


def without_reference(how: Question, dtype: str, call: ReferenceCall, answer: ReferenceAnswer) -> Row:
    """Return what the row of a case becomes for which the reference gave no map."""
    text = f"{call.backend}: {answer.error}"
    if answer.stderr_tail:
        text += f"\n{answer.stderr_tail}"
    defect = BY_NAME[how.defect] if how.defect else None
    if (
        defect is not None
        and answer.error_kind == "method"
        and any(one in (answer.error or "") for one in defect.raises)
    ):
        return {"status": "reference-defect", "divergence": defect.name, "message": f"{defect.cause}\n{text}"}
    if answer.error_kind == "method" and "NotAnalyzeableModel" in (answer.error or ""):
        return {"status": "unsupported", "message": f"{REFUSED} {text}"}
    if not_in_float64(dtype, answer):
        return {"status": "unsupported", "message": f"the reference cannot run this in float64. {text}"}
    return {"status": "error", "message": text}


def not_in_float64(dtype: str, answer: ReferenceAnswer) -> bool:
    """Return whether a reference raised because it cannot run the case in float64."""
    text = f"{answer.error}\n{answer.stderr_tail}"
    return dtype == "float64" and answer.error_kind == "method" and any(one in text for one in NOT_IN_FLOAT64)


def covered_by_flip(outcome: Outcome, twin: Outcome) -> Row:
    """Return what a float32 row becomes if the reference's own rounding explains it, else nothing."""
    if outcome.reference is None or twin.reference is None or outcome.subject is None:
        return {}
    own = compare(twin.reference, outcome.reference)
    if own.problem or outcome.row["reference"] != twin.row["reference"]:
        return {}
    floor = NoiseFloor.from_metrics(own)
    measured = f"The reference in float32 is {floor.rel_l2:.3g} (rel. L2) from itself in float64."
    return _covered(outcome, flip(floor), measured)


def in_another_memory_order(inputs: Array) -> Array:
    """Return a batch in Keras layout with the channels first in memory: convolutions add it in another order."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(inputs, -1, 1)), 1, -1)


def covered_by_rounding(outcome: Outcome, again: Array) -> Row:
    """Return what a float64 row becomes if the subject's own rounding explains it, else nothing.

    Parameters
    ----------
    outcome : Outcome
        A structural one.
    again : numpy.ndarray
        The subject's map of the same input, see `in_another_memory_order`.
    """
    if outcome.subject is None:
        return {}
    own = compare(outcome.subject, again)
    if own.problem:
        return {}
    measured = f"In another memory order the subject is {own.rel_l2:.3g} (rel. L2) from itself."
    return _covered(outcome, rounding(NoiseFloor.from_metrics(own)), measured)


def _covered(outcome: Outcome, divergence: Divergence, measured: str) -> Row:
    """Return what a structural row becomes if a divergence with limits of its own covers it, else nothing."""
    assert outcome.reference is not None
    assert outcome.subject is not None
    metrics = compare(outcome.reference, outcome.subject)
    verdict = judge(metrics, Limits(**outcome.row["limits"]), divergence)
    if verdict.divergence is None:
        return {}
    return {"divergence": verdict.divergence, "message": f"{verdict.message}\n{measured}"}
