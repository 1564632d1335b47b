"""The published hook classes: the rules of `signxai_torch.lrp.rules` under their published names and arguments.

``hook.register(module)`` attaches one, and the handles that it returns detach it; zennit's own composites take them
too. The published composites attached hooks with ``module.register_forward_hook(hook.forward)`` and
``module.register_full_backward_hook(hook.backward)``, which works as well (not behind in-place activations).
Either way only layers with a hook follow a rule: everything else passes its gradient. On a layer without weights any of
them is the layer's own rule (averages, activations, batch normalisation), on a module with parts the rule of each part.
"""

from __future__ import annotations

from signxai_torch.lrp.arithmetic import KERAS_EPSILON
from signxai_torch.lrp.rule import LinearRule
from signxai_torch.lrp.rules import (
    SIGN,
    Epsilon,
    Flat,
    Gamma,
    SIGNmu,
    StdxEpsilon,
    WSquare,
    Z,
)
from signxai_torch.published.base_hook import LrpBaseHook, RuleHook
from signxai_torch.published.options import UNUSED_EPSILON, choose

__all__ = [
    "DirectStdxEpsilonHook",
    "EpsilonHook",
    "FlatHook",
    "GammaHook",
    "InnvestigateEpsilonHook",
    "InnvestigateFlatHook",
    "InnvestigateWSquareHook",
    "LrpBaseHook",
    "LrpSignEpsilonMuHook",
    "LrpSignEpsilonStdXHook",
    "LrpSignEpsilonStdXMuHook",
    "SignEpsilonHook",
    "SignHook",
    "SignMuHook",
    "StdxEpsilonHook",
    "WSquareHook",
]


class EpsilonHook(RuleHook):
    """The epsilon rule, see `signxai_torch.lrp.rules.Epsilon`.

    Parameters
    ----------
    epsilon : float
        Stabilizer in the units of the layer's output, greater than 0.
    """

    def __init__(self, epsilon: float = KERAS_EPSILON) -> None:
        super().__init__(Epsilon(epsilon))


class StdxEpsilonHook(RuleHook):
    """The epsilon rule with ``epsilon = stdfactor * std(x)``, see `signxai_torch.lrp.rules.StdxEpsilon`.

    Parameters
    ----------
    stdfactor : float
        Factor of the standard deviation of the layer's input.
    bias : bool
        Whether the bias counts in the denominator.
    use_global_std : bool
        Take one standard deviation over the whole batch instead of one per sample.
    """

    def __init__(self, stdfactor: float = 0.25, bias: bool = True, use_global_std: bool = False) -> None:
        super().__init__(StdxEpsilon(stdfactor, bias, use_global_std))


class DirectStdxEpsilonHook(RuleHook):
    """`StdxEpsilonHook` with the factor as its only argument.

    Parameters
    ----------
    stdfactor : float
        Factor of the standard deviation of the layer's input.
    """

    def __init__(self, stdfactor: float = 1.0) -> None:
        super().__init__(StdxEpsilon(stdfactor))


class FlatHook(RuleHook):
    """The flat rule, see `signxai_torch.lrp.rules.Flat`.

    Parameters
    ----------
    epsilon : float
        What stands in place of a denominator that is exactly zero; 0 leaves that to the rule. No map depends on it.
    """

    def __init__(self, epsilon: float = UNUSED_EPSILON) -> None:
        super().__init__(Flat(epsilon) if epsilon != 0 else Flat())


class WSquareHook(RuleHook):
    """The w-square rule, see `signxai_torch.lrp.rules.WSquare`.

    Parameters
    ----------
    epsilon : float
        What stands in place of a denominator that is exactly zero; 0 leaves that to the rule. No map depends on it.
    """

    def __init__(self, epsilon: float = UNUSED_EPSILON) -> None:
        super().__init__(WSquare(epsilon) if epsilon != 0 else WSquare())


class InnvestigateEpsilonHook(RuleHook):
    """The epsilon rule, see `signxai_torch.lrp.rules.Epsilon`.

    Parameters
    ----------
    epsilon : float
        Stabilizer in the units of the layer's output, greater than 0.
    bias : bool
        Whether the bias counts in the denominator.
    """

    def __init__(self, epsilon: float = UNUSED_EPSILON, bias: bool = True) -> None:
        super().__init__(Epsilon(epsilon, bias))


class InnvestigateFlatHook(FlatHook):
    """`FlatHook` with its argument under another name.

    Parameters
    ----------
    stabilizer : float
        What stands in place of a denominator that is exactly zero; 0 leaves that to the rule. No map depends on it.
    """

    def __init__(self, stabilizer: float = UNUSED_EPSILON) -> None:
        super().__init__(stabilizer)


class InnvestigateWSquareHook(WSquareHook):
    """`WSquareHook` with its argument under another name.

    Parameters
    ----------
    stabilizer : float
        What stands in place of a denominator that is exactly zero; 0 leaves that to the rule. No map depends on it.
    """

    def __init__(self, stabilizer: float = UNUSED_EPSILON) -> None:
        super().__init__(stabilizer)


class GammaHook(RuleHook):
    """SIGN-XAI's gamma rule, see `signxai_torch.lrp.rules.Gamma`.

    Parameters
    ----------
    gamma : float
        Weight of the positive part.
    bias : bool
        Whether the bias counts in the denominators.
    """

    def __init__(self, gamma: float = 0.5, bias: bool = True) -> None:
        super().__init__(Gamma(gamma, bias))


class SignHook(RuleHook):
    """The SIGN rule with bias, see `signxai_torch.lrp.rules.SIGN`."""

    def __init__(self) -> None:
        super().__init__(SIGN())


class SignMuHook(RuleHook):
    """The SIGN rule with a threshold, see `signxai_torch.lrp.rules.SIGNmu`.

    Parameters
    ----------
    mu : float
        Threshold in the units of the input.
    """

    def __init__(self, mu: float = 0.0) -> None:
        super().__init__(SIGNmu(mu))


def stabilized(epsilon: float, stdfactor: float) -> LinearRule:
    """Return the rule of the hidden layers that two published arguments stand for.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the epsilon rule; 0 leaves the Z rule.
    stdfactor : float
        Factor of the standard deviation of a layer's input; greater than 0 it takes the place of epsilon, as in
        the reference.

    Raises
    ------
    ValueError
        If one of them is negative.
    """
    if epsilon < 0 or stdfactor < 0:
        raise ValueError(f"epsilon and stdfactor must not be negative, not epsilon={epsilon}, stdfactor={stdfactor}")
    if stdfactor > 0:
        return StdxEpsilon(stdfactor)
    return Epsilon(epsilon) if epsilon > 0 else Z()


def sign_rule(input_layer_rule: str, mu: float) -> LinearRule:
    """Return the rule of the input layer, "sign" or "sign_mu".

    Raises
    ------
    ValueError
        If there is no such rule, or if "sign" is given a threshold, which it does not have.
    """
    if choose("input_layer_rule", input_layer_rule, {"sign": False, "sign_mu": True}):
        return SIGNmu(mu)
    if mu != 0:
        raise ValueError(f"mu={mu} needs input_layer_rule='sign_mu'; the rule 'sign' has no threshold")
    return SIGN()


class SignEpsilonHook(LrpBaseHook):
    """SIGN at the input layer, the Z, epsilon or std-x epsilon rule elsewhere.

    The input layer's rule has no stabilizer, as in the reference.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the hidden layers; 0 leaves the Z rule.
    stdfactor : float
        Greater than 0: ``stdfactor * std(x)`` takes the place of epsilon.
    mu : float
        Threshold of the input layer's rule "sign_mu".
    input_layer_rule : str
        "sign" or "sign_mu".
    is_input_layer : bool
        Whether the hook's layer is the input layer; may be set on the hook until the backward pass.
    """

    def __init__(
        self,
        epsilon: float = 0.0,
        stdfactor: float = 0.0,
        mu: float = 0.0,
        input_layer_rule: str = "sign",
        is_input_layer: bool = False,
    ) -> None:
        super().__init__(is_input_layer)
        self.hidden = stabilized(epsilon, stdfactor)
        self.input_layer = sign_rule(input_layer_rule, mu)

    @property
    def rule(self) -> LinearRule:
        """The rule of the input layer or that of the others."""
        return self.input_layer if self.is_input_layer else self.hidden


class LrpSignEpsilonMuHook(SignEpsilonHook):
    """`SignEpsilonHook` with a threshold at the input layer and a fixed stabilizer elsewhere.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the hidden layers; 0 leaves the Z rule.
    mu : float
        Threshold of the input layer's rule.
    is_input_layer : bool
        Whether the hook's layer is the input layer.
    """

    def __init__(self, epsilon: float = 0.0, mu: float = 0.0, is_input_layer: bool = False) -> None:
        super().__init__(epsilon, mu=mu, input_layer_rule="sign_mu", is_input_layer=is_input_layer)


class LrpSignEpsilonStdXMuHook(SignEpsilonHook):
    """`SignEpsilonHook` with a threshold at the input layer.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the hidden layers where stdfactor is 0; 0 leaves the Z rule.
    stdfactor : float
        Greater than 0: ``stdfactor * std(x)`` takes the place of epsilon.
    mu : float
        Threshold of the input layer's rule.
    is_input_layer : bool
        Whether the hook's layer is the input layer.
    """

    def __init__(
        self, epsilon: float = 0.0, stdfactor: float = 0.0, mu: float = 0.0, is_input_layer: bool = False
    ) -> None:
        super().__init__(epsilon, stdfactor, mu, "sign_mu", is_input_layer)


LrpSignEpsilonStdXHook = SignEpsilonHook
