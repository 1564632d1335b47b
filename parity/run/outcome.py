"""One case, and its outcome: the row of the results and the two maps it speaks of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.assets.inputs import Input
from parity.reference.request import ReferenceAnswer
from parity.run import reproduce
from parity.run.cases import Plan
from parity.run.questions import Candidate
from parity.run.subjects import Method, parse

Array = npt.NDArray[Any]
Row = dict[str, Any]
_ADDRESS = re.compile(r" object at 0x[0-9a-f]+")
"""Where Python shows in a text that an object lies, another place in every run."""
# What iNNvestigate says of a model that it does not explain by its own rules; any other exception is an error.
REFUSES = ("NotAnalyzeableModel", "No rule applies to layer")
REFUSED = "the reference does not define this method for such a model."


@dataclass(frozen=True)
class Case:
    """One model, input, target, method and dtype.

    Attributes
    ----------
    plan
        Where it belongs: model, options.
    method, dtype
        What is computed.
    input
        The input.
    target
        The explained class; None where nothing is known of it.
    """

    plan: Plan
    method: Method
    dtype: str
    input: Input
    target: int | None

    @property
    def x(self) -> Array:
        """The input in the case's dtype, Keras layout without batch axis."""
        x: Array = self.input.array.astype(self.dtype)
        return x

    def row(self, candidate: Candidate | None = None) -> Row:
        """Return the row of a case that has no numbers yet: an error, until it is told otherwise."""
        return {
            "model": self.plan.source.name,
            "input": self.input.name,
            "target": self.target,
            "method": self.method.name,
            "family": self.method.family,
            "reference": candidate.call.backend if candidate else None,
            "dtype": self.dtype,
            "status": "error",
            "failed_check": None,
            "message": "",
            "margin": None,
            "limits": None,
            "noise_floor": None,
            "noise_samples": [],
            "seconds_reference": None,
            "seconds_subject": None,
            "reference_stored": None,
            "reference_notes": [],
            "first_diverging_layer": None,
            "divergence": ", ".join(one.name for one in candidate.differences) or None if candidate else None,
            "held_to": candidate.held_to if candidate else None,
            "reproduce": reproduce.command(self.plan, self.method.name, self.dtype, self.input),
            "pytest": reproduce.pytest_id(self.plan, self.method.name, self.input),
        }


@dataclass
class Outcome:
    """One row of the results and the two maps it speaks of, Keras layout without batch axis."""

    row: Row
    reference: Array | None = None
    subject: Array | None = None


def failed_cases(plan: Plan, target: int | None, message: str) -> list[Outcome]:
    """Return the outcomes of a plan of which nothing but a message is known."""
    return [
        Outcome(Case(plan, parse(method), dtype, one, target).row() | {"message": message})
        for method in plan.methods
        for dtype in plan.dtypes(method)
        for one in plan.inputs
    ]


def provenance(answer: ReferenceAnswer) -> Row:
    """Return what a row says of where its reference map came from."""
    if answer.array is None:
        return {"reference_notes": list(answer.notes)}
    return {
        "seconds_reference": answer.seconds,
        "reference_stored": (answer.computed or "unknown") if answer.from_store else "",
        "reference_notes": list(answer.notes),
    }


def without_map(case: Case, candidate: Candidate, answer: ReferenceAnswer) -> Row:
    """Return what the row of a case becomes for which the reference gave no map: nothing excuses it but a refusal."""
    text = f"{candidate.call.backend}: {_ADDRESS.sub('', answer.error or '')}"
    if refuses(answer):
        return {"status": "unsupported", "message": f"{REFUSED} {text}"}
    if answer.stderr_tail:
        text += f"\n{answer.stderr_tail}"
    return {"status": "error", "message": text}


def refuses(answer: ReferenceAnswer) -> bool:
    """Say whether a reference said by its own rules that it does not explain such a model."""
    return answer.error_kind == "method" and any(text in (answer.error or "") for text in REFUSES)


def fault_of(array: Array, x: Array) -> tuple[str, str] | None:
    """Say what is wrong with a map by itself: the check, and a sentence; None if shape and numbers are in order.

    This comes before everything else that is asked of a map, whatever is known of the reference.
    """
    if array.shape != x.shape:
        return "shape", f"the map has the shape {array.shape}, the input {x.shape}"
    if array.dtype.kind not in "fiu":
        return "finite", f"the map holds {array.dtype} values, not real numbers"
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        return "finite", f"the map holds {int(bad.sum())} values of {array.size} that are not finite, first at {first}"
    return None
