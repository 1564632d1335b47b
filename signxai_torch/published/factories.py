"""The published composite factories: each puts rules of `signxai_torch.lrp.rules` on the operations of a model.

Every factory (but the ``vargrad_*`` ones, which make analyzers) returns a composite for zennit. Relevance starts
from the target's logit, which the caller passes on ::

    attributor = zennit.attribution.Gradient(model, epsilon_composite(0.1))
    output, relevance = attributor(x, lambda logits: logits * one_hot)

or ``with composite.context(model): ...``. That equals `signxai_torch.explain` with the method named in each
docstring. The model runs as in eval mode while the composite is registered. The input layer is the dense or convolution
layer that sees the model's input up to reshaping, permuting and zero padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from signxai_torch.lrp.arithmetic import KERAS_EPSILON
from signxai_torch.lrp.composites import ActivationComposite
from signxai_torch.lrp.rule import LinearRule
from signxai_torch.lrp.rule import Rule as RuleOfAnOperation
from signxai_torch.lrp.rules import RULES, SIGN, AlphaBeta, Bounded, Epsilon, Flat, Gamma, WSquare, ZPlus
from signxai_torch.lrp.weightless import DeconvNetReLU
from signxai_torch.published.base_hook import HookRule, LrpBaseHook
from signxai_torch.published.composite import ModelComposite, composite_of, sequential
from signxai_torch.published.hooks import stabilized
from signxai_torch.published.input_layer_factories import (
    lrpsign_epsilon,
    lrpsign_epsilon_mu,
    lrpsign_epsilon_std_x,
    lrpsign_epsilon_std_x_mu,
    lrpz_epsilon,
    lrpz_sequential_composite_a,
    lrpz_sequential_composite_b,
    lrpz_stdx_epsilon,
    w2lrp_composite_a,
    w2lrp_epsilon,
    w2lrp_sequential_composite_a,
    w2lrp_sequential_composite_b,
    w2lrp_stdx_epsilon,
)
from signxai_torch.published.options import UNUSED_EPSILON, choose
from signxai_torch.published.vargrad_factories import (
    vargrad_analyzer,
    vargrad_x_input_analyzer,
    vargrad_x_input_x_sign_analyzer,
    vargrad_x_sign_analyzer,
)

__all__ = [
    "DeconvNetComposite",
    "alphabeta_composite",
    "create_innvestigate_epsilon_composite",
    "create_innvestigate_flat_composite",
    "create_innvestigate_wsquare_composite",
    "epsilon_composite",
    "flat_composite",
    "gamma_composite",
    "lrp_composite",
    "lrpsign_epsilon",
    "lrpsign_epsilon_mu",
    "lrpsign_epsilon_std_x",
    "lrpsign_epsilon_std_x_mu",
    "lrpz_epsilon",
    "lrpz_sequential_composite_a",
    "lrpz_sequential_composite_b",
    "lrpz_stdx_epsilon",
    "sequential_composite",
    "sign_composite",
    "stdx_epsilon",
    "vargrad_analyzer",
    "vargrad_x_input_analyzer",
    "vargrad_x_input_x_sign_analyzer",
    "vargrad_x_sign_analyzer",
    "w2lrp_composite_a",
    "w2lrp_epsilon",
    "w2lrp_sequential_composite_a",
    "w2lrp_sequential_composite_b",
    "w2lrp_stdx_epsilon",
    "wsquare_composite",
    "wsquare_composite_standard",
    "zbox_composite",
    "zplus_composite",
]

NOTHING: Mapping[str, Any] = MappingProxyType({})
Rule = LinearRule | LrpBaseHook | type[LinearRule] | type[LrpBaseHook] | str
"""A rule or a published hook, its class, or the rule's name in `signxai_torch.lrp.rules.RULES`."""


def _made(argument: str, rule: Any, parameters: Mapping[str, Any]) -> RuleOfAnOperation:
    if isinstance(rule, str):
        rule = choose(argument, rule, RULES)
    if isinstance(rule, type) and issubclass(rule, (LinearRule, LrpBaseHook)):
        rule = rule(**parameters)
    elif not isinstance(rule, (LinearRule, LrpBaseHook)):
        raise TypeError(
            f"{argument} must be a rule of signxai_torch.lrp.rules or signxai_torch.published.hooks, its class or its "
            f"name, not {rule!r}"
        )
    elif parameters:
        raise TypeError(f"{argument} is a finished rule, {rule}; give its class to use parameters {dict(parameters)}")
    if isinstance(rule, LrpBaseHook):
        rule.check()
    made: RuleOfAnOperation = HookRule(rule) if isinstance(rule, LrpBaseHook) else rule
    return made


def lrp_composite(
    first_layer_rule: Rule,
    default_rule: Rule,
    last_layer_rule: Rule | None = None,
    first_layer_params: Mapping[str, Any] = NOTHING,
    default_params: Mapping[str, Any] = NOTHING,
    last_layer_params: Mapping[str, Any] = NOTHING,
) -> ModelComposite:
    """Return a composite of up to three rules.

    Parameters
    ----------
    first_layer_rule : LinearRule, LrpBaseHook, type or str
        The rule of the input layer: a rule, its class, or the class's name.
    default_rule : LinearRule, LrpBaseHook, type or str
        The rule of the other layers.
    last_layer_rule : LinearRule, LrpBaseHook, type or str, optional
        The rule of the dense layers, as in the references' sequential composites (not of the last layer alone).
    first_layer_params, default_params, last_layer_params : mapping
        Arguments of the rules' classes.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    TypeError
        If a rule is none of this package's (zennit's own are not), or does not take its parameters.
    ValueError
        If a name or a parameter is unknown or out of range.
    """
    default = _made("default_rule", default_rule, default_params)
    first = _made("first_layer_rule", first_layer_rule, first_layer_params)
    if last_layer_rule is None:
        if last_layer_params:
            raise TypeError(f"last_layer_params {dict(last_layer_params)} without a last_layer_rule")
        return composite_of(default, first)
    last = _made("last_layer_rule", last_layer_rule, last_layer_params)
    return composite_of({"conv": default, "dense": last}, first)


def epsilon_composite(epsilon: float = 0.1) -> ModelComposite:
    """Return the epsilon rule on every layer: method ``lrp_epsilon_E``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(Epsilon(epsilon))


def stdx_epsilon(epsilon: float = 0.1, stdfactor: float = 0.25) -> ModelComposite:
    """Return the std-x epsilon rule on every layer: method ``lrp_epsilon_S_std_x``.

    Parameters
    ----------
    epsilon : float
        Stabilizer where stdfactor is 0 (method ``lrp_epsilon_E``); otherwise unused, as in the reference.
    stdfactor : float
        Factor of the standard deviation of each layer's input.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(stabilized(epsilon, stdfactor))


def zplus_composite() -> ModelComposite:
    """Return the z-plus rule on every layer: method ``lrp_z_plus``.

    Returns
    -------
    ModelComposite
        A composite for zennit.
    """
    return composite_of(ZPlus())


def zbox_composite(low: float = -1.0, high: float = 1.0) -> ModelComposite:
    """Return the bounded rule at the input layer, epsilon 1e-7 elsewhere: method ``zblrp_epsilon``.

    Parameters
    ----------
    low, high : float
        The least and greatest value of the input.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(Epsilon(KERAS_EPSILON), Bounded(low, high))


def flat_composite() -> ModelComposite:
    """Return the flat rule on every layer: method ``lrp_flat``.

    Returns
    -------
    ModelComposite
        A composite for zennit.
    """
    return composite_of(Flat())


def wsquare_composite() -> ModelComposite:
    """Return the w-square rule on every layer: method ``lrp_w_square``.

    Returns
    -------
    ModelComposite
        A composite for zennit.
    """
    return composite_of(WSquare())


wsquare_composite_standard = wsquare_composite


def gamma_composite(gamma: float = 0.25) -> ModelComposite:
    """Return SIGN-XAI's gamma rule on every layer: method ``lrp_gamma_G``.

    Parameters
    ----------
    gamma : float
        The rule's factor; every layer scales the total relevance by gamma - 1.

    Returns
    -------
    ModelComposite
        A composite for zennit.
    """
    return composite_of(Gamma(gamma))


def alphabeta_composite(alpha: float = 2.0, beta: float = 1.0) -> ModelComposite:
    """Return the alpha-beta rule on every layer: method ``lrp_alpha_A_beta_B``.

    Parameters
    ----------
    alpha : float
        Weight of the positive contributions, at least 1.
    beta : float
        Weight of the negative contributions; alpha - beta must be 1.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(AlphaBeta(alpha, beta))


def sequential_composite(epsilon: float = 0.1, alpha: float = 2.0, beta: float = 1.0) -> ModelComposite:
    """Return epsilon on dense layers, alpha-beta on convolutions: method ``lrp_sequential_composite_b``.

    With alpha 1 and beta 0 it is ``lrp_sequential_composite_a``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.
    alpha : float
        Weight of the positive contributions, at least 1.
    beta : float
        Weight of the negative contributions; alpha - beta must be 1.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return sequential(None, epsilon, alpha, beta)


def sign_composite() -> ModelComposite:
    """Return the SIGN rule on every layer: method ``lrp`` with ``rule="SIGN"``.

    The references have SIGN at the input layer only, which is ``lrpsign_epsilon()``.

    Returns
    -------
    ModelComposite
        A composite for zennit.
    """
    return composite_of(SIGN())


create_innvestigate_flat_composite = flat_composite
create_innvestigate_wsquare_composite = wsquare_composite


def create_innvestigate_epsilon_composite(epsilon: float = UNUSED_EPSILON) -> ModelComposite:
    """Return the epsilon rule on every layer: method ``lrp_epsilon_E``, with the published default.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return epsilon_composite(epsilon)


class DeconvNetComposite(ModelComposite):
    """The deconvnet rule on every ReLU: method ``deconvnet``, with the logit as the output's relevance."""

    def __init__(self) -> None:
        super().__init__(ActivationComposite(DeconvNetReLU()))
