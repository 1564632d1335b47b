"""LRP rules as frozen data, each a few arguments to `signxai_torch.lrp.rule.LinearRule`.

Formulas are those of SIGN-XAI 1.1.9.2 and iNNvestigate 2.1.2 (rule classes of the same names); a division
replaces only a denominator that is exactly zero (by 1e-7 unless a rule says otherwise), as both references do. Two
rules are one if their class and parameters are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from signxai_torch.lrp.arithmetic import (
    KERAS_EPSILON,
    deviation,
    negative,
    ones,
    positive,
    sign,
    sign_mu,
    stabilize,
)
from signxai_torch.lrp.rule import LinearRule, Pass, Term


def _bias(bias: bool) -> str:
    return "all" if bias else "none"


@dataclass(frozen=True)
class Z(LinearRule):
    """``x * W^T (R / (W x + b))``; the bias counts in the denominator only.

    Parameters
    ----------
    bias : bool
        Whether the bias counts in the denominators.
    """

    bias: bool = True

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(bias=_bias(self.bias)),)),)


@dataclass(frozen=True)
class Epsilon(LinearRule):
    """``x * W^T (R / (z + epsilon sgn(z)))`` with ``z = W x + b``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.
    bias : bool
        Whether the bias counts in the denominators.

    Raises
    ------
    ValueError
        If epsilon is not greater than 0.
    """

    epsilon: float = KERAS_EPSILON
    bias: bool = True

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be greater than 0, not {self.epsilon}; the Z rule has no stabilizer")

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(bias=_bias(self.bias)),)),)

    @property
    def stabilizer(self) -> Callable[[Tensor, Tensor], Tensor]:
        """See `LinearRule.stabilizer`."""
        return lambda _, z: stabilize(z, self.epsilon)


@dataclass(frozen=True)
class StdxEpsilon(LinearRule):
    """Epsilon rule with ``epsilon = stdfactor * std(x)`` of each sample's layer input (population std).

    The reference takes the standard deviation over the whole batch; `use_global_std` does the same. The default
    explains every sample as if alone, which for a single sample is the reference's value.

    Parameters
    ----------
    stdfactor : float
        Factor of the standard deviation.
    bias : bool
        Whether the bias counts in the denominators.
    use_global_std : bool
        Whether the standard deviation is that of the whole batch.
    """

    stdfactor: float = 0.25
    bias: bool = True
    use_global_std: bool = False

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(bias=_bias(self.bias)),)),)

    @property
    def stabilizer(self) -> Callable[[Tensor, Tensor], Tensor]:
        """See `LinearRule.stabilizer`."""
        return self._stabilized

    def _stabilized(self, x: Tensor, z: Tensor) -> Tensor:
        spread = deviation(x, per_sample=not self.use_global_std)
        stable = stabilize(z, self.stdfactor * spread.reshape(-1, *[1] * (z.dim() - 1)))
        if bool((spread > 0).all()):
            return stable
        # A layer input that is constant (a dead layer) has no deviation, and then z may be exactly 0.
        return torch.where(stable == 0, KERAS_EPSILON, stable)


@dataclass(frozen=True)
class SIGN(LinearRule):
    """``sgn(x) * W^T (R / (W x + b))`` with ``sgn(0) = +1``.

    Parameters
    ----------
    bias : bool
        Whether the bias counts in the denominators.
    """

    bias: bool = True

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(bias=_bias(self.bias), multiplier=lambda x: sign(x)),)),)


@dataclass(frozen=True)
class SIGNmu(LinearRule):
    """SIGN with a threshold: +1 where x >= mu, else -1.

    Parameters
    ----------
    mu : float
        Threshold in the units of the input.
    bias : bool
        Whether the bias counts in the denominators.
    """

    mu: float = 0.0
    bias: bool = True

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(bias=_bias(self.bias), multiplier=lambda x: sign_mu(x, self.mu)),)),)


@dataclass(frozen=True)
class _Guarded(LinearRule):
    """Base of the rules whose epsilon stands in place of a denominator that is exactly zero, and does nothing else.

    Such a denominator means that all weights of a unit are zero, so no map depends on it.

    Raises
    ------
    ValueError
        If epsilon is not greater than 0.
    """

    epsilon: float = field(default=KERAS_EPSILON, repr=False)

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise ValueError(
                f"epsilon must be greater than 0, not {self.epsilon}; it stands in place of a denominator of 0"
            )

    @property
    def guard(self) -> float:
        """See `LinearRule.guard`."""
        return self.epsilon


@dataclass(frozen=True)
class WSquare(_Guarded):
    """``(W^2)^T (R / (W^2 1))``; zero padding makes the denominators at the border smaller.

    Parameters
    ----------
    epsilon : float
        What stands in place of a denominator that is exactly zero.
    """

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(inputs=ones, weight="square"),)),)


@dataclass(frozen=True)
class Flat(_Guarded):
    """WSquare with every weight set to one.

    Parameters
    ----------
    epsilon : float
        What stands in place of a denominator that is exactly zero.
    """

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(inputs=ones, weight="ones"),)),)


@dataclass(frozen=True)
class AlphaBeta(LinearRule):
    """Alpha-beta rule; the whole bias counts in both denominators, as in the references.

    Parameters
    ----------
    alpha : float
        Weight of the positive contributions, at least 1.
    beta : float
        Weight of the negative contributions.
    bias : bool
        Whether the bias counts in the denominators.

    Raises
    ------
    ValueError
        Unless alpha - beta = 1 and alpha >= 1.
    """

    alpha: float = 2.0
    beta: float = 1.0
    bias: bool = True

    def __post_init__(self) -> None:
        if not (self.alpha >= 1 and abs(self.alpha - self.beta - 1) < KERAS_EPSILON):
            raise ValueError(f"alpha - beta must be 1 and alpha at least 1, not alpha={self.alpha}, beta={self.beta}")

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        up, down = ("positive", "negative") if self.bias else ("none", "none")
        more = Pass((Term(positive, "positive", up), Term(negative, "negative", down)), self.alpha)
        if self.beta == 0:
            return (more,)
        return (more, Pass((Term(positive, "negative", down), Term(negative, "positive", up)), -self.beta))


@dataclass(frozen=True)
class ZPlus(LinearRule):
    """Alpha 1 beta 0 without bias; negative inputs with negative weights count as positive."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(positive, "positive"), Term(negative, "negative"))),)


@dataclass(frozen=True)
class ZPlusFast(LinearRule):
    """``x * W+^T (R / (W+ x))``, meant for inputs >= 0; the input is not split."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        return (Pass((Term(weight="positive"),)),)


@dataclass(frozen=True)
class Gamma(LinearRule):
    """SIGN-XAI's four-term gamma rule (not the LRP-gamma of the literature).

    ``gamma h(W+, b+; W, b) - h(W, b; W+, b+)`` with ``h(A, p; B, q) = (x+ A^T + x B^T) t`` and
    ``t = R / (A x+ + p + B x + q)``: every layer scales the total relevance by gamma - 1.

    Parameters
    ----------
    gamma : float
        The rule's factor.
    bias : bool
        Whether the bias counts in the denominators.
    """

    gamma: float = 0.5
    bias: bool = True

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        plus, whole = ("positive", "all") if self.bias else ("none", "none")
        return (
            Pass((Term(positive, "positive", plus), Term(None, "all", whole)), self.gamma),
            Pass((Term(positive, "all", whole), Term(None, "positive", plus)), -1.0),
        )


@dataclass(frozen=True)
class Bounded(LinearRule):
    """The z^B rule for inputs in [low, high] (iNNvestigate 2.1.2, BoundedRule).

    SIGN-XAI's fork leaves out the factors x, low and high and returns rounding noise; see the method's page.

    Parameters
    ----------
    low, high : float
        The least and the greatest value of an input.

    Raises
    ------
    ValueError
        If low is not less than high.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low must be less than high, not low={self.low}, high={self.high}")

    @property
    def passes(self) -> tuple[Pass, ...]:
        """See `LinearRule.passes`."""
        terms = (
            Term(),
            Term(lambda x: torch.full_like(x, -self.low), "positive"),
            Term(lambda x: torch.full_like(x, -self.high), "negative"),
        )
        return (Pass(terms),)


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
