"""Integrated gradients from a baseline at which the gradient jumps: all other points are held to the reference.

At a baseline of zeros all windows of an image are equal, so max-pools tie there. Which window wins, or whether they
share, is decided by the last digit of sums that are equal in exact arithmetic, in each framework in its own way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.known.difference import KnownDifference
from parity.keras import ModelDescription
from parity.run.calls import NotInReferenceError
from parity.run.judging import held
from parity.run.outcome import Case, Outcome, Row
from parity.run.questions import question
from parity.run.reference_side import ReferenceSide, modified
from parity.run.subject_maps import SubjectMaps
from parity.run.subjects import parse

Array = npt.NDArray[Any]
NUDGES = 64
"""Copies of the baseline with other last digits whose gradients the reference is asked for."""
SAME = 64
"""Last digits of the largest value by which gradients at one place may differ: rounding."""


def beside_a_kink(
    outcome: Outcome,
    case: Case,
    difference: KnownDifference,
    model: ModelDescription,
    side: ReferenceSide,
    maps: SubjectMaps,
) -> Row | None:
    """Return what a row of integrated gradients becomes if the reference's gradient jumps at the baseline, else None.

    The jump is shown by the reference alone: its gradients at copies of the baseline that differ in the last digits.
    The subject's own gradient at the baseline must lie between them, and all other points are compared as ever.
    """
    reference, subject = outcome.reference, outcome.subject
    if case.method.family != "integrated_gradients" or reference is None or subject is None or case.target is None:
        return None
    gradient = parse("gradient")
    try:
        candidates = question(gradient, model).candidates
    except NotInReferenceError:
        return None
    baseline = np.full_like(case.x, case.method.parameters["baseline"])
    copies = [baseline, *_nudged(baseline, case.x)]
    answers = side.maps(candidates[0], gradient, copies, [case.target] * len(copies), case.dtype) if candidates else []
    arrays = [answer.array for answer in answers if answer.array is not None]
    if len(arrays) < len(copies):
        return None
    low, high = np.min(arrays, axis=0), np.max(arrays, axis=0)
    room = SAME * float(np.finfo(case.dtype).eps) * float(np.abs(arrays).max())
    mine = maps.of([baseline], case.target, "gradient", {}, case.dtype).arrays
    if not float(np.max(high - low)) > room or mine is None or mine[0].shape != low.shape:
        return None
    if not bool(np.all((mine[0] >= low - room) & (mine[0] <= high + room))):
        return None
    weight = (case.x - baseline) / int(case.method.parameters["steps"])

    def without(array: Array, at_baseline: Array) -> Array:
        return array - modified(at_baseline * weight, case.x, case.method, case.dtype)

    row = held(without(reference, arrays[0]), without(subject, mine[0]), case.dtype, iter(()))
    if row["status"] != "parity":
        return None
    text = f"{difference.cause} All other points agree, and the subject's gradient at the baseline is among them."
    return row | {
        "status": "reference-defect",
        "divergence": ", ".join(filter(None, (outcome.row["divergence"], difference.name))),
        "held_to": f"{candidates[0].call.backend} at every point but the baseline, where its gradient jumps",
        "message": text,
    }


def _nudged(baseline: Array, x: Array) -> list[Array]:
    """Return copies of a baseline that differ from it by a few last digits of the input's largest value."""
    rng = np.random.default_rng(0)
    size = 8 * np.finfo(x.dtype).eps * float(np.abs(x).max())
    return [(baseline + size * rng.uniform(-1, 1, x.shape)).astype(x.dtype) for _ in range(NUDGES)]
