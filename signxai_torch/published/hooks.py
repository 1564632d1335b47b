"""The published hook classes: the rules of `signxai_torch.lrp.rules` under their published names and arguments.

``hook.register(module)`` attaches one, and the handles that it returns detach it; a composite does both. The
published composites attached hooks with ``module.register_forward_hook(hook.forward)`` and
``module.register_full_backward_hook(hook.backward)``, which works too (not behind in-place activations).
Either way only layers with a hook follow a rule: everything else passes its gradient.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from signxai_torch.lrp.arithmetic import KERAS_EPSILON
from signxai_torch.lrp.rules import (
    SIGN,
    Epsilon,
    Flat,
    Gamma,
    LinearRule,
    SIGNmu,
    StdxEpsilon,
    WSquare,
    Z,
)
from signxai_torch.published.options import choose

__all__ = [
    "DirectStdxEpsilonHook",
    "EpsilonHook",
    "FlatHook",
    "GammaHook",
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

UNUSED_EPSILON = 1e-6  # the default of a published parameter that the reference's rule does not have


class LrpBaseHook(LinearRule):
    """Base of the published hooks; a subclass overrides `relevance` or starts a rule of `signxai_torch.lrp.rules`.

    Parameters
    ----------
    is_input_layer : bool
        Whether the layer is the model's input layer; only the hooks that treat it differently look at it.
    """

    is_input_layer = False

    def __init__(self, is_input_layer: bool = False) -> None:
        super().__init__((), parameters={"is_input_layer": is_input_layer})
        self.needs_input = self.needs_output = True  # a subclass's `relevance` may read both
        self.is_input_layer = is_input_layer

    def forward(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep a layer's input and output: a torch forward hook, for hooks attached without `register`."""
        self.stored_tensors[module] = (inputs[0].detach(), output.detach())

    def backward(
        self, module: nn.Module, grad_input: tuple[Any, ...], grad_output: tuple[Tensor, ...]
    ) -> tuple[Any, ...]:
        """Return the relevance of the layer's input in place of its gradient: a torch full backward hook.

        Raises
        ------
        RuntimeError
            If `forward` was not registered as a forward hook of the same module.
        """
        if module not in self.stored_tensors:
            raise RuntimeError(
                f"{self} saw no forward pass of this {type(module).__name__}: use hook.register(module), or register "
                "hook.forward as a forward hook too"
            )
        x, output = self.stored_tensors[module]
        return (self.relevance(module, x, output.detach(), grad_output[0].detach()), *grad_input[1:])


class EpsilonHook(LrpBaseHook, Epsilon):
    """The epsilon rule, see `signxai_torch.lrp.rules.Epsilon`.

    Parameters
    ----------
    epsilon : float
        Stabilizer in the units of the layer's output, greater than 0.
    """

    def __init__(self, epsilon: float = KERAS_EPSILON) -> None:
        Epsilon.__init__(self, epsilon)
        self.parameters = {"epsilon": epsilon}


class StdxEpsilonHook(LrpBaseHook, StdxEpsilon):
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
        StdxEpsilon.__init__(self, stdfactor, bias, use_global_std)


class DirectStdxEpsilonHook(LrpBaseHook, StdxEpsilon):
    """`StdxEpsilonHook` with the factor as its only argument.

    Parameters
    ----------
    stdfactor : float
        Factor of the standard deviation of the layer's input.
    """

    def __init__(self, stdfactor: float = 1.0) -> None:
        StdxEpsilon.__init__(self, stdfactor)
        self.parameters = {"stdfactor": stdfactor}


class FlatHook(LrpBaseHook, Flat):
    """The flat rule, see `signxai_torch.lrp.rules.Flat`.

    Parameters
    ----------
    epsilon : float
        Without meaning: the reference's rule divides by the number of inputs of a unit and has no stabilizer.

    Raises
    ------
    ValueError
        If epsilon is neither the published default nor 0, because a stabilizer would change the result.
    """

    def __init__(self, epsilon: float = UNUSED_EPSILON) -> None:
        _refuse_epsilon(self, epsilon)
        Flat.__init__(self)
        self.parameters = {"epsilon": epsilon}


class WSquareHook(LrpBaseHook, WSquare):
    """The w-square rule, see `signxai_torch.lrp.rules.WSquare`.

    Parameters
    ----------
    epsilon : float
        Without meaning: the reference's rule replaces denominators that are exactly zero and has no stabilizer.

    Raises
    ------
    ValueError
        If epsilon is neither the published default nor 0, because a stabilizer would change the result.
    """

    def __init__(self, epsilon: float = UNUSED_EPSILON) -> None:
        _refuse_epsilon(self, epsilon)
        WSquare.__init__(self)
        self.parameters = {"epsilon": epsilon}


def _refuse_epsilon(hook: LrpBaseHook, epsilon: float) -> None:
    if epsilon not in (UNUSED_EPSILON, 0):
        raise ValueError(
            f"{type(hook).__name__} has no stabilizer, as in the references, so epsilon={epsilon} would do nothing; "
            "leave it out"
        )


class GammaHook(LrpBaseHook, Gamma):
    """SIGN-XAI's gamma rule, see `signxai_torch.lrp.rules.Gamma`.

    Parameters
    ----------
    gamma : float
        Weight of the positive part.
    bias : bool
        Whether the bias counts in the denominators.
    """

    def __init__(self, gamma: float = 0.5, bias: bool = True) -> None:
        Gamma.__init__(self, gamma, bias)


class SignHook(LrpBaseHook, SIGN):
    """The SIGN rule with bias, see `signxai_torch.lrp.rules.SIGN`."""

    def __init__(self) -> None:
        SIGN.__init__(self)
        self.parameters = {}


class SignMuHook(LrpBaseHook, SIGNmu):
    """The SIGN rule with a threshold, see `signxai_torch.lrp.rules.SIGNmu`.

    Parameters
    ----------
    mu : float
        Threshold in the units of the input.
    """

    def __init__(self, mu: float = 0.0) -> None:
        SIGNmu.__init__(self, mu)
        self.parameters = {"mu": mu}


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
        self.parameters = {"epsilon": epsilon, "stdfactor": stdfactor, "mu": mu, "input_layer_rule": input_layer_rule}

    def copy(self) -> LinearRule:
        """Return a fresh hook of the same rule."""
        return type(self)(**self.parameters, is_input_layer=self.is_input_layer)

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the layer's input, in its shape."""
        rule = self.input_layer if self.is_input_layer else self.hidden
        return rule.relevance(module, x, output, relevance)


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
        self.parameters = {"epsilon": epsilon, "mu": mu}


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
        self.parameters = {"epsilon": epsilon, "stdfactor": stdfactor, "mu": mu}


LrpSignEpsilonStdXHook = SignEpsilonHook
