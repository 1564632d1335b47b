"""What a rule is: how one operation hands its relevance to its input.

A rule is a few arguments to one base class, `LinearRule`: a list of passes, each a coefficient and a list of
terms. With ``L(u; A, p)`` the operation without activation, ``A`` a part of its weights and ``p`` a part of its bias,
a pass with terms ``(u_i, A_i, p_i)`` and multipliers ``m_i`` (``u_i`` itself unless said otherwise) computes ::

    t = divide(R, sum_i L(u_i; A_i, p_i))
    R_input = coefficient * sum_i m_i * L(.; A_i)^T t

The rules themselves are in `signxai_torch.lrp.rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from signxai_torch.lrp.arithmetic import KERAS_EPSILON, divide, negative, ones, over, plus, positive, times
from signxai_torch.operations.cached import cached_property
from signxai_torch.operations.linear import LinearMap, linear_map
from signxai_torch.operations.operation import Operation

Modifier = Callable[[Tensor], Tensor]
Relevances = tuple[Tensor | None, ...]
"""The relevance of each input of an operation; None where it gets none."""


@dataclass(frozen=True)
class Term:
    """One linear map of a rule: input part, weight part, bias part (keys of `PARTS`), and its multiplier."""

    inputs: Modifier | None = None
    weight: str = "all"
    bias: str = "none"
    multiplier: Modifier | None = None


@dataclass(frozen=True)
class Pass:
    """One division of the relevance: terms that share a denominator, and the pass's coefficient."""

    terms: tuple[Term, ...]
    coefficient: float = 1.0

    @cached_property
    def gives_output(self) -> bool:
        """Whether it divides by the operation's result, which the forward pass has computed already."""
        return [(term.inputs, term.weight, term.bias) for term in self.terms] == [(None, "all", "all")]

    @cached_property
    def spreads(self) -> bool:
        """Whether it is nothing but a map of ones, so that values of the input play no part."""
        return self.terms == (Term(ones, self.terms[0].weight),)


@dataclass(frozen=True)
class Rule:
    """How an operation hands its relevance down; the base of all rules."""

    needs_inputs = True
    """Whether the rule needs what the operation read."""
    needs_output = True
    """Whether it needs what the operation made."""

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """Return the relevance of each input that depends on the model's input, in its shape.

        Parameters
        ----------
        operation : Operation
            The operation.
        arriving : torch.Tensor
            The relevance of its result, in that shape.
        """
        raise NotImplementedError(f"{type(self).__name__} is a base of rules and hands no relevance down")

    def reaches(self, operation: Operation) -> tuple[bool, ...]:
        """Return which inputs get relevance."""
        return (True,) * len(operation.sources)


@dataclass(frozen=True)
class LinearRule(Rule):
    """Base of the rules for operations with weights; a subclass says its `passes`."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """What is computed, see the module's docstring."""
        raise NotImplementedError(f"{type(self).__name__} is a base of rules and has no passes of its own")

    @property
    def stabilizer(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """``(x, denominator) -> denominator`` before the division; without it only exact zeros are replaced."""
        return None

    @property
    def guard(self) -> float:
        """What stands in place of a denominator that is exactly zero."""
        return KERAS_EPSILON

    @cached_property
    def _passes(self) -> tuple[Pass, ...]:
        """The passes, made once."""
        return self.passes

    @cached_property
    def needs_inputs(self) -> bool:  # type: ignore[override]
        """Whether the rule needs what the operation read."""
        terms = [term for division in self._passes for term in division.terms]
        return any((term.inputs, term.weight) != (ones, "ones") for term in terms)

    @cached_property
    def needs_output(self) -> bool:  # type: ignore[override]
        """Whether it needs what the operation made."""
        return any(division.gives_output for division in self._passes)

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        x = operation.inputs[0] if self.needs_inputs else operation.like_input(arriving)
        layer, parts = linear_map(operation), _InputParts(x)
        shares = _Shares()
        for division in self._passes:
            if division.spreads and self.stabilizer is None:
                share = layer.spread(arriving, division.terms[0].weight, x, self._divide)
                shares.add(None, share if division.coefficient == 1 else times(share, division.coefficient))
                continue
            quotient = self._quotient(layer, division, parts, operation, arriving)
            quotient = quotient if division.coefficient == 1 else times(quotient, division.coefficient)
            for term in division.terms:
                if parts[term.inputs] is not None:
                    shares.add(parts.factor(term), layer.transpose(quotient, term.weight, x))
        return (shares.total(x),)

    def _quotient(
        self, layer: LinearMap, division: Pass, parts: _InputParts, operation: Operation, relevance: Tensor
    ) -> Tensor:
        denominator = operation.output if division.gives_output else _denominator(layer, division.terms, parts)
        if denominator is None:
            denominator = torch.zeros_like(relevance)
        if self.stabilizer is not None:
            return over(relevance, self.stabilizer(parts.x, denominator))
        return self._divide(relevance, denominator)

    def _divide(self, relevance: Tensor, denominator: Tensor) -> Tensor:
        return divide(relevance, denominator, self.guard)


def _denominator(layer: LinearMap, terms: Sequence[Term], parts: _InputParts) -> Tensor | None:
    """Return the sum of what a pass divides by; None if nothing is in it."""
    biases: list[str] = [term.bias for term in terms]
    total: Tensor | None = None
    for term in terms:
        inputs = parts[term.inputs]
        if inputs is None:
            continue
        if term.inputs is ones:
            image = layer.apply_ones(inputs, term.weight)
        else:
            image = layer.apply(inputs, term.weight, biases)  # the first term adds all of the bias
            biases = []
        total = image if total is None else plus(image, total)
    bias = layer.bias(biases, parts.x) if biases else None
    if bias is None:
        return total
    return bias if total is None else plus(total, bias)


class _InputParts:
    """The parts of a layer's input; None for a part that is all zero, which adds nothing but its bias."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self._made: dict[Modifier, Tensor] = {}

    @cached_property
    def signs(self) -> tuple[bool, bool]:
        """Whether there are positive and negative values; a NaN counts as both."""
        # Behind a ReLU there is no negative part, which saves half of the convolutions of many rules.
        least, greatest = (float(one) for one in self.x.aminmax())
        return not greatest <= 0, not least >= 0

    def __getitem__(self, part: Modifier | None) -> Tensor | None:
        if part is None or part is ones:
            return self.x
        if part is positive and not (self.signs[0] and self.signs[1]):
            return self.x if self.signs[0] else None
        if part is negative and not (self.signs[0] and self.signs[1]):
            return self.x if self.signs[1] else None
        if part not in self._made:
            self._made[part] = part(self.x)
        return self._made[part]

    def factor(self, term: Term) -> Tensor | None:
        """Return what a term's transposed map is multiplied by; None for ones."""
        if term.multiplier is not None:
            return term.multiplier(self.x)
        return None if term.inputs is ones else self[term.inputs]


class _Shares:
    """What the terms of a rule hand down: those with the same factor are added before they are multiplied by it."""

    def __init__(self) -> None:
        self._shares: list[tuple[Tensor | None, Tensor]] = []

    def add(self, factor: Tensor | None, share: Tensor) -> None:
        """Add a share that will be multiplied by a factor, None for ones."""
        for place, (other, before) in enumerate(self._shares):
            if other is factor:
                self._shares[place] = (factor, plus(share, before))
                return
        self._shares.append((factor, share))

    def total(self, like: Tensor) -> Tensor:
        """Return the sum in the shape of the input `like`."""
        total: Tensor | None = None
        for factor, share in self._shares:
            product = share if factor is None else times(share, factor)
            total = product if total is None else plus(total, product)
        return torch.zeros_like(like) if total is None else total
