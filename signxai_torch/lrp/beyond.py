"""Rules for what neither reference has a rule for, from the literature; each says where it is from and what it keeps.

They are used with one `BeyondReferenceWarning`, and not at all where a caller is strict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from signxai_torch.lrp.arithmetic import divide
from signxai_torch.lrp.rule import Relevances, Rule
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.operation import Operation, Value

ACHTIBAT = "Achtibat et al. 2024, arXiv:2402.05602"
ALI = "Ali et al. 2022, arXiv:2202.07304"
ARRAS = "Arras et al. 2017, arXiv:1706.07206"


@dataclass(frozen=True)
class BeyondReference(Rule):
    """Base of the rules of the literature.

    Attributes
    ----------
    source : str
        Where the rule is from.
    conserves : str
        What becomes of the sum of the relevance.
    """

    source: ClassVar[str] = ""
    conserves: ClassVar[str] = "the sum is kept"


@dataclass(frozen=True)
class Gate(BeyondReference):
    """A product: a factor that squashes its values is a gate and takes nothing; without one both take half.

    Gates are results of a sigmoid, a hyperbolic tangent or a softmax, and norms and deviations, however reshaped or
    scaled. The half is the uniform rule of AttnLRP (proposition 3.3), the gate as a constant the signal-take-all
    rule of LSTMs.
    """

    needs_inputs = needs_output = False
    source: ClassVar[str] = f"{ARRAS}, section 3; {ACHTIBAT}, proposition 3.3"

    def reaches(self, operation: Operation) -> tuple[bool, ...]:
        """See `Rule.reaches`."""
        return shares_of(operation)

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        takes = self.reaches(operation)
        part = arriving / sum(takes)
        return tuple(
            part.sum_to_size(shape) if take else None for take, shape in zip(takes, operation.shapes, strict=True)
        )


@dataclass(frozen=True)
class GatedHalf(BeyondReference):
    """``glu``: the half that goes through the sigmoid is a gate and takes nothing."""

    needs_inputs = needs_output = False
    source: ClassVar[str] = f"{ARRAS}, section 3"

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        return (torch.cat([arriving, torch.zeros_like(arriving)], operation.argument("dim", -1)),)


@dataclass(frozen=True)
class Divisor(BeyondReference):
    """A quotient of two: the divisor is a constant, as the deviation of a normalisation."""

    needs_inputs = needs_output = False
    source: ClassVar[str] = f"{ALI}, section 3.2 (the divisor is detached)"

    def reaches(self, operation: Operation) -> tuple[bool, ...]:
        """See `Rule.reaches`."""
        return tuple(place in (0, "input") for place in operation.places)

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        return tuple(
            arriving.sum_to_size(shape) if take else None
            for take, shape in zip(self.reaches(operation), operation.shapes, strict=True)
        )


@dataclass(frozen=True)
class Identity(BeyondReference):
    """Relevance unchanged through a normalisation by the sample's own statistics."""

    needs_inputs = needs_output = False
    source: ClassVar[str] = f"{ACHTIBAT}, proposition 3.4"

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        return (arriving,)


@dataclass(frozen=True)
class Softmax(BeyondReference):
    """``x (R - s sum R)`` with s the softmax of x: deep Taylor decomposition at the input itself."""

    source: ClassVar[str] = f"{ACHTIBAT}, proposition 3.1"
    conserves: ClassVar[str] = "the sum is not kept: the expansion has a constant term"

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        dim = operation.argument("dim", -1)
        x, share = operation.inputs[0], operation.output
        return (x * (arriving - share * arriving.sum(dim=dim, keepdim=True)),)


@dataclass(frozen=True)
class Mixture(BeyondReference):
    """A product of two matrices: one that a softmax made is constant, and the other takes all by the Z rule.

    Without one both take half of it (AttnLRP's uniform rule).
    """

    source: ClassVar[str] = f"{ALI}, section 3.1 (attention is detached); {ACHTIBAT}, proposition 3.3"

    def reaches(self, operation: Operation) -> tuple[bool, ...]:
        """See `Rule.reaches`."""
        return shares_of(operation)

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        takes = self.reaches(operation)
        parts = operation.gradient([divide(arriving, operation.output) / sum(takes)])
        return tuple(
            x * part if take and part is not None else None
            for take, x, part in zip(takes, operation.inputs, parts, strict=True)
        )


@dataclass(frozen=True)
class Attention(BeyondReference):
    """Scaled dot-product attention: its weights are constants, the values take all by the Z rule."""

    source: ClassVar[str] = f"{ALI}, section 3.1 (attention is detached)"

    def reaches(self, operation: Operation) -> tuple[bool, ...]:
        """See `Rule.reaches`."""
        return tuple(place in (2, "value") for place in operation.places)

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        parts = operation.gradient([divide(arriving, operation.output)])
        return tuple(
            x * part if take and part is not None else None
            for take, x, part in zip(self.reaches(operation), operation.inputs, parts, strict=True)
        )


def shares_of(operation: Operation) -> tuple[bool, ...]:
    """Return which factors of a product take relevance: those that are no gate, or all if that leaves none or all."""
    takes = tuple(not is_gate(source) for source in operation.sources)
    return takes if any(takes) else (True,) * len(takes)


_CARRIED = (Kind.MOVE, Kind.SCALE, Kind.QUOTIENT)


def is_gate(value: Value) -> bool:
    """Return whether a value was squashed, or is a statistic, and since then was only moved, scaled or shifted."""
    maker = value.maker
    while maker is not None:
        if maker.function.gate:
            return True
        shifted = maker.kind is Kind.SUM and len(maker.sources) == 1
        if maker.kind not in _CARRIED and not shifted:
            return False
        maker = maker.sources[0].maker
    return False


BEYOND: dict[Kind, Rule] = {
    Kind.PRODUCT: Gate(),
    Kind.QUOTIENT: Divisor(),
    Kind.NORMALIZE: Identity(),
    Kind.SOFTMAX: Softmax(),
    Kind.PRODUCT_OF_MATRICES: Mixture(),
    Kind.ATTENTION: Attention(),
}
"""The rule of each kind of operation that the references have none for."""


def beyond(operation: Operation) -> Rule | None:
    """Return the rule of the literature for an operation, None if there is none."""
    if operation.function.name == "glu":
        return GatedHalf()
    return BEYOND.get(operation.kind)
