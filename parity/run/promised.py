"""Judges a method that no reference has by what it promises, and on a network where a reference has the same map.

Everything is asked of the subject on the real model too: a port that is right on another network only is told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.known.promises import PROMISES, pools_maxima, probes
from parity.keras import KerasModule
from parity.reference.request import ReferenceAnswer
from parity.run.judging import because, held, subject_alone
from parity.run.noise import Sample
from parity.run.outcome import Case, Outcome, Row, fault_of, provenance, without_map
from parity.run.questions import Candidate, Question, question
from parity.run.reference_side import ReferenceSide
from parity.run.subject_maps import Maps, SubjectMaps
from parity.run.subjects import parse

Array = npt.NDArray[Any]
PARTS = (1.0, 0.5, 0.25, 0.0625)
"""Of the way from the baseline to a point, where the gradient must be the same for the way to be straight."""
STRAIGHT = 1e-11
"""Largest difference of these gradients, over the largest value: rounding."""


@dataclass(frozen=True)
class Elsewhere:
    """Asks both sides of a run about other inputs and networks than the run's own.

    Attributes
    ----------
    subject
        The subject's name.
    maps, side
        The subject's side and the references'.
    modules
        The model by dtype.
    """

    subject: str
    maps: SubjectMaps
    side: ReferenceSide
    modules: Mapping[str, KerasModule]


def judged(
    case: Case,
    candidate: Candidate,
    how: Question,
    answer: ReferenceAnswer,
    maps: Maps,
    index: int,
    elsewhere: Elsewhere,
    noise: Callable[[Array], Iterator[Sample]],
) -> Outcome:
    """Return the outcome of a case; its numbers and maps are those of the network without offsets.

    Parameters
    ----------
    case, candidate, how
        The case, and what the subject is held to and told.
    answer
        The reference's map of the network without offsets.
    maps, index
        The subject's maps of the real model, and which of them is the case's.
    elsewhere
        Asks the subject about inputs with parts set to zero, and about the network without offsets.
    noise
        See `parity.run.judging.judged`.
    """
    name = elsewhere.subject
    alone = subject_alone(case, maps, index, name)
    row = case.row(candidate) | provenance(answer) | alone
    array = None if maps.arrays is None else maps.arrays[index]
    if "status" in alone:
        return Outcome(row, None, array)
    assert array is not None
    broken = _broken_promise(case, how, array, elsewhere)
    if broken is not None:
        return Outcome(row | broken, None, array)
    if answer.array is None:
        return Outcome(row | without_map(case, candidate, answer), None, array)
    fault = fault_of(answer.array, case.x)
    if fault is not None:
        text = f"{candidate.call.backend} on the network without offsets: {fault[1]}"
        return Outcome(row | {"status": "error", "message": text}, answer.array, array)
    twin = elsewhere.maps.elsewhere(elsewhere.side.without_offsets(), case.method.name, how.parameters, case.dtype)
    if twin.arrays is None:
        return Outcome(row | {"status": "error", "message": f"{name} on the network without offsets: {twin.error}"})
    there = twin.arrays[index]
    fault = fault_of(there, case.x)
    if fault is not None:
        text = f"{name} on the network without offsets: {fault[1]}"
        return Outcome(row | {"status": "mismatch", "failed_check": fault[0], "message": text}, answer.array, there)
    row |= held(answer.array, there, case.dtype, noise(answer.array))
    if row["status"] == "parity":
        row |= {"status": "reference-defect", "message": because(candidate)}
    if row["status"] in ("reference-defect", "unjudged"):  # a network without offsets shows no fault in them
        row |= _near_the_baseline(case, how, elsewhere) or {}
    return Outcome(row, answer.array, there)


def _broken_promise(case: Case, how: Question, array: Array, elsewhere: Elsewhere) -> Row | None:
    """Return what a row becomes if the subject breaks a promise, on the input itself or where parts of it are zero."""
    assert case.target is not None
    inputs = probes(case.x)
    asked = elsewhere.maps.of(inputs, case.target, case.method.name, how.parameters, case.dtype)
    if asked.arrays is None:
        return {"status": "error", "message": f"{elsewhere.subject} on an input of zeros and values: {asked.error}"}
    for x, found in zip([case.x, *inputs], [array, *asked.arrays], strict=True):
        fault = fault_of(found, x)
        if fault is not None:
            return {"status": "mismatch", "failed_check": fault[0], "message": f"{elsewhere.subject}: {fault[1]}"}
        for check, promise in PROMISES.items():
            wrong = promise(elsewhere.modules[case.dtype], x, case.target, found)
            if wrong is not None:
                where = "" if np.array_equal(x, case.x) else " (of an input with parts set to zero)"
                return {"status": "mismatch", "failed_check": check, "message": f"{wrong}{where}"}
    return None


def _near_the_baseline(case: Case, how: Question, elsewhere: Elsewhere) -> Row | None:
    """Return what a row becomes if the subject's map of the real model is wrong where nothing bends, or None.

    So near the baseline that no activation bends on the way, the Rescale rule is input times gradient. How near that
    is, the references' own gradients say, which must be the same at several places. Nothing is asked in float32, where
    a small change of the input is lost beside the offsets, or of models that pool maxima: of a window whose maximum
    falls the rule gives credit to the baseline's winner.
    """
    description = elsewhere.modules[case.dtype].description
    if case.dtype != "float64" or pools_maxima(description):
        return None
    method = parse("input_t_gradient")
    candidates = question(method, description).candidates
    if not candidates:
        return None
    assert case.target is not None
    for scale in (2.0**-power for power in range(6, 18, 2)):
        points = [case.x * scale * part for part in PARTS]
        answers = elsewhere.side.maps(candidates[0], method, points, [case.target] * len(points), "float64")
        arrays = [answer.array for answer in answers if answer.array is not None]
        if len(arrays) < len(points):
            return None
        straight = max(float(np.abs(array / part - arrays[0]).max()) for array, part in zip(arrays, PARTS, strict=True))
        if straight <= STRAIGHT * float(np.abs(arrays[0]).max()):
            break
    else:
        return None  # something bends at the baseline itself
    asked = elsewhere.maps.of(points[:1], case.target, case.method.name, how.parameters, "float64")
    if asked.arrays is None:
        return {"status": "error", "message": f"{elsewhere.subject} near the baseline: {asked.error}"}
    fault = fault_of(asked.arrays[0], case.x)
    near = {"status": "mismatch", "failed_check": fault[0]} if fault else held(
        arrays[0], asked.arrays[0], "float64", iter(())
    )  # fmt: skip
    if near["status"] == "parity":
        return None
    text = f"near the baseline, where it is input times gradient, the map is another: {fault or near['message']}"
    return {"status": "mismatch", "failed_check": near["failed_check"], "message": f"{elsewhere.subject}: {text}"}
