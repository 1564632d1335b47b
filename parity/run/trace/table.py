"""A trace as data: a line per layer, output to input, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from parity.judge.metrics import compare

Array = npt.NDArray[Any]
Kind = Literal["network", "relevance", "around"]


@dataclass(frozen=True)
class Distance:
    """How far the subject's numbers at one place are from the reference's.

    Attributes
    ----------
    rel_l2, slope
        See `parity.judge.metrics.Metrics`; None where they cannot be taken.
    reference_sum, subject_sum
        The sums on both sides.
    problem
        Why there are no numbers: what could not be compared; empty where there are.
    unknown
        Whether nothing was compared; else the two sides differ, or agree, whatever the problem.
    """

    rel_l2: float | None
    slope: float | None = None
    reference_sum: float | None = None
    subject_sum: float | None = None
    problem: str = ""
    unknown: bool = False

    def within(self, limit: float) -> bool:
        """Return whether both sides agree."""
        return self.rel_l2 is not None and self.rel_l2 <= limit

    def beyond(self, limit: float) -> bool:
        """Return whether both sides were compared, and differ."""
        return not self.unknown and not self.within(limit)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "rel_l2": self.rel_l2,
            "slope": self.slope,
            "reference_sum": self.reference_sum,
            "subject_sum": self.subject_sum,
            "problem": self.problem,
        }


def distance(reference: Array, subject: Array) -> Distance:
    """Compare the numbers of both sides at one place."""
    metrics = compare(reference, subject)
    sums = (_number(metrics.reference_sum), _number(metrics.subject_sum))
    if metrics.problem_check == "zero":
        both = not np.any(reference) and not np.any(subject)
        return Distance(0.0 if both else 1.0 if np.any(reference) else None, None, *sums,
                        problem="both are zero" if both else metrics.problem or "")  # fmt: skip
    return Distance(_number(metrics.rel_l2), _number(metrics.slope), *sums, problem=metrics.problem or "")


def not_compared(why: str) -> Distance:
    """Return the distance of what was not compared."""
    return Distance(None, problem=why, unknown=True)


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


@dataclass(frozen=True)
class Handed:
    """What a layer hands to one of the layers that it reads.

    Attributes
    ----------
    to
        Name of the layer that is read.
    asked
        The method by which the subject explained the part of the model behind it.
    numbers
        The distance.
    """

    to: str
    asked: str
    numbers: Distance

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"to": self.to, "asked": self.asked} | self.numbers.to_json()


@dataclass(frozen=True)
class Line:
    """One layer.

    Attributes
    ----------
    name, class_name
        As Keras calls them.
    reference_rule, subject_rule
        How each side names the rule that it used; empty where that is not known.
    made
        The distance of the layer's output in the converted model, from the same input.
    arrived
        The distance of the relevance that reached its output; None where relevance starts.
    handed
        What it hands on, given the reference's own activations.
    """

    name: str
    class_name: str
    reference_rule: str
    subject_rule: str
    made: Distance
    arrived: Distance | None
    handed: tuple[Handed, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "class_name": self.class_name,
            "reference_rule": self.reference_rule,
            "subject_rule": self.subject_rule,
            "made": self.made.to_json(),
            "arrived": None if self.arrived is None else self.arrived.to_json(),
            "handed": [one.to_json() for one in self.handed],
        }


@dataclass(frozen=True)
class Untraced:
    """Why a case has no trace.

    Attributes
    ----------
    problem
        Why not.
    cause
        The known cause that was proved of the map itself, see `parity.run.trace.causes`; empty if none was.
    """

    problem: str
    cause: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"problem": self.problem} | ({"cause": self.cause} if self.cause else {})


@dataclass(frozen=True)
class Trace:
    """One case, layer by layer.

    Attributes
    ----------
    case
        Model, input, target, method, dtype, subject and reference.
    lines
        Output to input; empty where there is no trace.
    limit
        The relative L2 distance within which two sides agree.
    kind
        What parts: the networks, the relevance at a layer, or the arithmetic around the layers; None if nothing does.
    layer
        The first layer where they part.
    says
        What was found, in sentences.
    cause
        The known cause that was proved, see `parity.run.trace.causes`; empty if none was.
    maps
        What the layer hands on, on both sides, by the name of the layer that gets it.
    """

    case: Mapping[str, Any]
    lines: tuple[Line, ...]
    limit: float
    kind: Kind | None
    layer: str | None
    says: str
    cause: str = ""
    maps: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return all but the maps as JSON values."""
        return {
            **self.case,
            "limit": self.limit,
            "kind": self.kind,
            "layer": self.layer,
            "says": self.says,
            "cause": self.cause,
            "layers": [line.to_json() for line in self.lines],
        }
