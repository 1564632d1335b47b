"""Maps that are zero by definition but for rounding: the variance of a gradient that does not change."""

from __future__ import annotations

import numpy as np

from parity.keras import ModelDescription
from parity.run.calls import NotInReferenceError
from parity.run.outcome import Case, Outcome, fault_of
from parity.run.questions import question
from parity.run.reference_side import ReferenceSide
from parity.run.subjects import parse


def is_nothing(outcome: Outcome, case: Case, model: ModelDescription, side: ReferenceSide) -> bool:
    """Say whether two VarGrad maps are the variance of a gradient that does not change, up to rounding on both sides.

    The mean of n equal numbers is off by n last digits at most, and the variance is the square of that; how large the
    numbers are, the reference's own gradient says. A map of another shape, or not finite, is not nothing.
    """
    if case.method.family != "vargrad" or outcome.reference is None or outcome.subject is None:
        return False
    if any(fault_of(side_map, case.x) is not None for side_map in (outcome.reference, outcome.subject)):
        return False
    gradient = parse("gradient")
    try:
        candidates = question(gradient, model).candidates
    except NotInReferenceError:
        return False
    if not candidates:
        return False
    (answer,) = side.maps(candidates[0], gradient, [case.input.array], [case.target or 0], case.dtype)
    if answer.array is None:
        return False
    rounding = int(case.method.parameters["samples"]) * np.finfo(case.dtype).eps * float(np.abs(answer.array).max())
    scale = max((abs(float(case.x.min())), abs(float(case.x.max())), 1.0)) if case.method.modifiers else 1.0
    most = rounding**2 * scale
    return all(float(np.abs(side_map).max()) <= most for side_map in (outcome.reference, outcome.subject))
