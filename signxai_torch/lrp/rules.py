"""LRP rules as zennit hooks: how one layer hands its relevance to its input.

A rule is a few arguments to one base class, `LinearRule`: a list of passes, each a coefficient and a list of
terms. With ``L(u; A, p)`` the layer without activation, ``A`` a part of its weights and ``p`` a part of its bias,
a pass with terms ``(u_i, A_i, p_i)`` and multipliers ``m_i`` (``u_i`` itself unless said otherwise) computes ::

    t = divide(R, sum_i L(u_i; A_i, p_i))
    R_input = coefficient * sum_i m_i * L(.; A_i)^T t

Formulas are those of SIGN-XAI 1.1.9.2 and iNNvestigate 2.1.2 (rule classes of the same names); a division
replaces only a denominator that is exactly zero (by 1e-7), as both references do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.lrp.arithmetic import (
    KERAS_EPSILON,
    deviation,
    divide,
    negative,
    ones,
    over,
    plus,
    positive,
    sign,
    sign_mu,
    stabilize,
    times,
)
from signxai_torch.operations.hook import Call, RelevanceHook, sees_input
from signxai_torch.operations.linear import LinearMap, linear_map

Modifier = Callable[[Tensor], Tensor]


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


class LinearRule(RelevanceHook):
    """Base of the rules for layers that are linear up to their activation.

    Parameters
    ----------
    passes : sequence of Pass
        What is computed, see the module's docstring.
    stabilizer : callable, optional
        ``(x, denominator) -> denominator`` before the division; without it only exact zeros are replaced.
    parameters : mapping, optional
        The rule's parameters, for its text and for copies.
    """

    def __init__(
        self,
        passes: Sequence[Pass],
        stabilizer: Callable[[Tensor, Tensor], Tensor] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.passes = tuple(passes)
        self.stabilizer = stabilizer
        self.parameters = dict(parameters or {})
        self.input_rule: RelevanceHook | None = None
        self.needs_input = any((term.inputs, term.weight) != (ones, "ones") for one in passes for term in one.terms)
        self.needs_output = any(_gives_output(one) for one in passes)

    def choose(self, module: nn.Module, x: Tensor, output: Tensor, call: Call) -> RelevanceHook | None:
        """Return the input layer's rule where one is set and this call sees the model's input."""
        return self.input_rule if self.input_rule is not None and sees_input(x) else self

    def copy(self) -> LinearRule:
        """Return a fresh hook of the same rule."""
        return type(self)(**self.parameters)

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value}' for key, value in self.parameters.items())})"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the layer's input, in its shape."""
        layer, parts = linear_map(module), _InputParts(x)
        total: Tensor | None = None
        for one in self.passes:
            part = self._pass(layer, one, parts, output, relevance)
            part = part if one.coefficient == 1 else times(part, one.coefficient)
            total = part if total is None else plus(total, part)
        if total is None:
            raise ValueError(f"{self} has no passes")
        return total

    def _pass(self, layer: LinearMap, one: Pass, parts: _InputParts, output: Tensor, relevance: Tensor) -> Tensor:
        if self.stabilizer is None and one.terms[1:] == () and one.terms[0] == Term(ones, one.terms[0].weight):
            return layer.spread(relevance, one.terms[0].weight, parts.x, divide)
        quotient = self._quotient(layer, one, parts, output, relevance)
        result: Tensor | None = None
        for term in one.terms:
            factor = parts[term.inputs]
            if factor is None:
                continue
            part = layer.transpose(quotient, term.weight, parts.x)
            if term.multiplier is not None:
                part = times(part, term.multiplier(parts.x))
            elif term.inputs is not ones:
                part = times(part, factor)
            result = part if result is None else plus(result, part)
        return torch.zeros_like(parts.x) if result is None else result

    def _quotient(self, layer: LinearMap, one: Pass, parts: _InputParts, output: Tensor, relevance: Tensor) -> Tensor:
        if _gives_output(one):
            denominator = output
        else:
            total: Tensor | None = layer.bias([term.bias for term in one.terms], parts.x)
            for term in one.terms:
                inputs = parts[term.inputs]
                if inputs is None:
                    continue
                image = (
                    layer.apply_ones(inputs, term.weight) if term.inputs is ones else layer.apply(inputs, term.weight)
                )
                total = image if total is None else plus(image, total)
            denominator = torch.zeros_like(relevance) if total is None else total
        if self.stabilizer is not None:
            return over(relevance, self.stabilizer(parts.x, denominator))
        return divide(relevance, denominator)


def _gives_output(one: Pass) -> bool:
    """Return whether a pass divides by the layer's output, which the forward pass has computed already."""
    return [(term.inputs, term.weight, term.bias) for term in one.terms] == [(None, "all", "all")]


class _InputParts:
    """The parts of a layer's input; None for a part that is all zero, which adds nothing but its bias."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    @cached_property
    def signs(self) -> tuple[bool, bool]:
        """Whether there are positive and negative values; a NaN counts as both."""
        # Behind a ReLU there is no negative part, which saves half of the convolutions of many rules.
        least, greatest = (float(one) for one in self.x.aminmax())
        return not greatest <= 0, not least >= 0

    def __getitem__(self, part: Modifier | None) -> Tensor | None:
        if part is None or part is ones:
            return self.x
        if part is positive:
            return None if not self.signs[0] else self.x if not self.signs[1] else positive(self.x)
        if part is negative:
            return None if not self.signs[1] else self.x if not self.signs[0] else negative(self.x)
        return part(self.x)


def _bias(bias: bool) -> str:
    return "all" if bias else "none"


class Z(LinearRule):
    """``x * W^T (R / (W x + b))``; the bias counts in the denominator only."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__([Pass((Term(bias=_bias(bias)),))], parameters={"bias": bias})


class Epsilon(LinearRule):
    """``x * W^T (R / (z + epsilon sgn(z)))`` with ``z = W x + b``; epsilon in the units of the activations.

    Raises
    ------
    ValueError
        If epsilon is not greater than 0.
    """

    def __init__(self, epsilon: float = KERAS_EPSILON, bias: bool = True) -> None:
        if not epsilon > 0:
            raise ValueError(f"epsilon must be greater than 0, not {epsilon}; the Z rule has no stabilizer")
        super().__init__([Pass((Term(bias=_bias(bias)),))], lambda _, z: stabilize(z, epsilon),
                         {"epsilon": epsilon, "bias": bias})  # fmt: skip


class StdxEpsilon(LinearRule):
    """Epsilon rule with ``epsilon = stdfactor * std(x)`` of each sample's layer input (population std).

    The reference takes the standard deviation over the whole batch; `use_global_std` does the same. The default
    explains every sample as if alone, which for a single sample is the reference's value.
    """

    def __init__(self, stdfactor: float = 0.25, bias: bool = True, use_global_std: bool = False) -> None:
        def stabilizer(x: Tensor, z: Tensor) -> Tensor:
            spread = deviation(x, per_sample=not use_global_std)
            stable = stabilize(z, stdfactor * spread.reshape(-1, *[1] * (z.dim() - 1)))
            if bool((spread > 0).all()):
                return stable
            # A layer input that is constant (a dead layer) has no deviation, and then z may be exactly 0.
            return torch.where(stable == 0, KERAS_EPSILON, stable)

        super().__init__([Pass((Term(bias=_bias(bias)),))], stabilizer,
                         {"stdfactor": stdfactor, "bias": bias, "use_global_std": use_global_std})  # fmt: skip


class SIGN(LinearRule):
    """``sgn(x) * W^T (R / (W x + b))`` with ``sgn(0) = +1``."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__([Pass((Term(bias=_bias(bias), multiplier=sign),))], parameters={"bias": bias})


class SIGNmu(LinearRule):
    """SIGN with the threshold `mu` in the units of the input: +1 where x >= mu, else -1."""

    def __init__(self, mu: float = 0.0, bias: bool = True) -> None:
        term = Term(bias=_bias(bias), multiplier=lambda x: sign_mu(x, mu))
        super().__init__([Pass((term,))], parameters={"mu": mu, "bias": bias})


class WSquare(LinearRule):
    """``(W^2)^T (R / (W^2 1))``; zero padding makes the denominators at the border smaller."""

    def __init__(self) -> None:
        super().__init__([Pass((Term(inputs=ones, weight="square"),))])


class Flat(LinearRule):
    """WSquare with every weight set to one."""

    def __init__(self) -> None:
        super().__init__([Pass((Term(inputs=ones, weight="ones"),))])


class AlphaBeta(LinearRule):
    """Alpha-beta rule; the whole bias counts in both denominators, as in the references.

    Raises
    ------
    ValueError
        Unless alpha - beta = 1 and alpha >= 1.
    """

    def __init__(self, alpha: float = 2.0, beta: float = 1.0, bias: bool = True) -> None:
        if not (alpha >= 1 and abs(alpha - beta - 1) < KERAS_EPSILON):
            raise ValueError(f"alpha - beta must be 1 and alpha at least 1, not alpha={alpha}, beta={beta}")
        up, down = ("positive", "negative") if bias else ("none", "none")
        passes = [Pass((Term(positive, "positive", up), Term(negative, "negative", down)), alpha)]
        if beta != 0:
            passes.append(Pass((Term(positive, "negative", down), Term(negative, "positive", up)), -beta))
        super().__init__(passes, parameters={"alpha": alpha, "beta": beta, "bias": bias})


class ZPlus(LinearRule):
    """Alpha 1 beta 0 without bias; negative inputs with negative weights count as positive."""

    def __init__(self) -> None:
        super().__init__([Pass((Term(positive, "positive"), Term(negative, "negative")))])


class ZPlusFast(LinearRule):
    """``x * W+^T (R / (W+ x))``, meant for inputs >= 0; the input is not split."""

    def __init__(self) -> None:
        super().__init__([Pass((Term(weight="positive"),))])


class Gamma(LinearRule):
    """SIGN-XAI's four-term gamma rule (not the LRP-gamma of the literature).

    ``gamma h(W+, b+; W, b) - h(W, b; W+, b+)`` with ``h(A, p; B, q) = (x+ A^T + x B^T) t`` and
    ``t = R / (A x+ + p + B x + q)``: every layer scales the total relevance by gamma - 1.
    """

    def __init__(self, gamma: float = 0.5, bias: bool = True) -> None:
        plus, whole = ("positive", "all") if bias else ("none", "none")
        passes = [
            Pass((Term(positive, "positive", plus), Term(None, "all", whole)), gamma),
            Pass((Term(positive, "all", whole), Term(None, "positive", plus)), -1.0),
        ]
        super().__init__(passes, parameters={"gamma": gamma, "bias": bias})


class Bounded(LinearRule):
    """z^B rule for inputs in [low, high] (iNNvestigate 2.1.2, BoundedRule).

    SIGN-XAI's fork leaves out the factors x, low and high and returns rounding noise; see the method's page.
    """

    def __init__(self, low: float = -1.0, high: float = 1.0) -> None:
        if not low < high:
            raise ValueError(f"low must be less than high, not low={low}, high={high}")
        terms = (
            Term(),
            Term(lambda x: torch.full_like(x, -low), "positive"),
            Term(lambda x: torch.full_like(x, -high), "negative"),
        )
        super().__init__([Pass(terms)], parameters={"low": low, "high": high})


RULES: dict[str, type[LinearRule]] = {
    rule.__name__: rule
    for rule in (
        Z,
        Epsilon,
        StdxEpsilon,
        SIGN,
        SIGNmu,
        WSquare,
        Flat,
        AlphaBeta,
        Gamma,
        ZPlus,
        ZPlusFast,
        Bounded,
    )
}
"""The rules by name, as the references call them."""

SIGNRule = SIGN  # the published names
SIGNmuRule = SIGNmu
