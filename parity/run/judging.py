"""From the two sides of a case to its outcome: first the subject's map by itself, then against the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.known.difference import KnownDifference
from parity.judge.limits import FLOAT64_MOST, Limits, NoiseFloor, limits_for, loosest_limits, rounding_alone
from parity.judge.metrics import compare
from parity.judge.verdict import Verdict, judge
from parity.reference.request import ReferenceAnswer
from parity.run.noise import Sample
from parity.run.outcome import Case, Outcome, Row, fault_of, provenance, without_map
from parity.run.questions import Candidate
from parity.run.subject_maps import Maps

Array = npt.NDArray[Any]
NUMERIC = ("rel_l2", "slope", "max_err")


def subject_alone(case: Case, maps: Maps, index: int, subject: str) -> Row:
    """Return what a row says of the subject's side by itself; a "status" in it settles the row.

    Parameters
    ----------
    case
        The case.
    maps
        The subject's maps of its method.
    index
        Which of them is the case's.
    subject
        The subject's name.
    """
    if maps.unsupported:
        return {"status": "unsupported", "message": f"{subject}: {maps.error}", "divergence": None, "held_to": None}
    if maps.arrays is None:
        return {"status": "error", "message": f"{subject}: {maps.error}"}
    row: Row = {"seconds_subject": maps.seconds, "seconds_subject_shared_by": maps.together}
    fault = fault_of(maps.arrays[index], case.x)
    if fault is not None:
        check, text = fault
        return row | {"status": "mismatch", "failed_check": check, "message": f"{subject}: {text}"}
    return row


def judged(
    case: Case,
    candidate: Candidate,
    answer: ReferenceAnswer,
    maps: Maps,
    index: int,
    subject: str,
    noise: Callable[[Array], Iterator[Sample]],
    undefined: KnownDifference | None = None,
) -> Outcome:
    """Return the outcome of a case.

    Parameters
    ----------
    case, candidate, answer
        The case, what the subject is held to, and the reference's map.
    maps, index, subject
        The subject's side, see `subject_alone`.
    noise
        Takes the reference's map and yields samples of its noise, see `parity.run.noise`.
    undefined
        A known difference by which the reference's map may be NaN everywhere.
    """
    alone = subject_alone(case, maps, index, subject)
    row = case.row(candidate) | provenance(answer) | alone
    array = None if maps.arrays is None else maps.arrays[index]
    if "status" in alone:
        return Outcome(row, answer.array, array)
    if answer.array is None:
        return Outcome(row | without_map(case, candidate, answer), None, array)
    assert array is not None
    fault = fault_of(answer.array, case.x)
    if undefined is not None and fault is not None and fault[0] == "finite" and np.isnan(answer.array).all():
        return Outcome(row | _beside_nothing(array, undefined), answer.array, array)
    if fault is not None:
        text = f"{candidate.call.backend}: {fault[1]}. The reference's map cannot be compared with anything."
        return Outcome(row | {"status": "error", "message": text}, answer.array, array)
    row |= held(answer.array, array, case.dtype, noise(answer.array))
    if row["status"] == "parity" and candidate.differences:
        row |= {"status": "reference-defect", "message": because(candidate)}
    return Outcome(row, answer.array, array)


def held(reference: Array, subject: Array, dtype: str, noise: Iterator[Sample]) -> Row:
    """Return the numbers and the verdict of two maps.

    Samples of the reference's noise are taken one after another until the numbers hold, or there are no more: a limit
    never follows the subject, and what is far off stays so however the reference is asked. Maps beyond float64's most
    that are no farther apart than 3 times what the reference mostly moves by itself are unjudged.
    """
    metrics = compare(reference, subject)
    taken: list[Sample] = []
    floors: list[NoiseFloor] = []
    limits = limits_for(dtype)
    verdict = judge(metrics, limits)
    # What the loosest limits do not pass, no sample can mend: the reference is not asked for more.
    within_reach = judge(metrics, loosest_limits(dtype)).ok
    needed = dtype == "float32"  # its first sample is always taken, so that the row says how noisy the reference is
    while metrics.problem is None and (needed or (within_reach and not verdict.ok)):
        sample = next(noise, None)
        if sample is None:
            break
        needed = False
        taken.append(sample)
        floors += [sample.floor] if sample.floor is not None else []
        limits = limits_for(dtype, NoiseFloor.largest(floors))
        verdict = judge(metrics, limits)
    row = metrics.to_json() | _told(verdict) | {
        "limits": limits.to_json(),
        "noise_floor": NoiseFloor.largest(floors).to_json() if floors else None,
        "noise_samples": [sample.says for sample in taken],
    }  # fmt: skip
    rounding = rounding_alone(floors) if dtype == "float64" and not verdict.ok else None
    if rounding is not None and judge(metrics, rounding).ok:
        row |= {"status": "unjudged", "message": _of_rounding(verdict, rounding), "margin": None}
    return row


def _of_rounding(verdict: Verdict, rounding: Limits) -> str:
    allowed = f"rel. L2 {rounding.rel_l2:.2g}, slope {rounding.slope:.2g}, largest error {rounding.max_err:.2g}"
    return (
        "The maps are no farther apart than 3 times what the reference's own float64 map mostly moves by when its "
        f"input is scaled by a few last digits ({allowed}). Beyond {FLOAT64_MOST:g} a map in float64 shows nothing of "
        f"the rule.\n{verdict.message}"
    )


def because(candidate: Candidate) -> str:
    """Return why a subject is held to something else than the plain reference."""
    causes = " ".join(one.cause for one in candidate.differences)
    return f"Held to {candidate.held_to}. {causes}"


def _told(verdict: Verdict) -> Row:
    return {
        "status": verdict.status,
        "failed_check": verdict.failed_check,
        "message": verdict.message,
        "margin": verdict.margin if np.isfinite(verdict.margin) else None,
    }


def _beside_nothing(subject: Array, difference: KnownDifference) -> Row:
    if subject.any():
        text = f"{difference.cause} The reference is NaN everywhere here, and the subject's map is not zero."
        return {"status": "mismatch", "failed_check": "zero", "message": text}
    text = f"{difference.cause} The reference is NaN everywhere here and the subject's map zero."
    return {"status": "unjudged", "failed_check": "zero", "message": text, "divergence": difference.name}
