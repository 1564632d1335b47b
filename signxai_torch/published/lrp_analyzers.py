"""The published analyzer classes of layer-wise relevance propagation and deep Taylor; see `published.analyzer`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from signxai_torch.lrp.composites import RuleComposite, make_rule
from signxai_torch.lrp.rule import LinearRule
from signxai_torch.lrp.rules import RULES
from signxai_torch.lrp.targets import Target
from signxai_torch.methods.grammar import parse
from signxai_torch.operations.layout import handed_over
from signxai_torch.operations.model import explaining
from signxai_torch.published.analyzer import AnalyzerBase, Map, MethodAnalyzer
from signxai_torch.published.options import UNUSED_EPSILON, choose
from signxai_torch.sweep.walk import Way, walk

__all__ = [
    "AdvancedLRPAnalyzer",
    "BoundedLRPAnalyzer",
    "DeepTaylorAnalyzer",
    "DirectLRPStdxEpsilonAnalyzer",
    "LRPAnalyzer",
    "LRPSequential",
    "LRPStdxEpsilonAnalyzer",
]

PUBLISHED = {"epsilon": UNUSED_EPSILON, "alpha": 1.0, "beta": 0.0}
"""What the published LRP classes take where the caller gives nothing; the table's own defaults differ."""
BOUNDS = {"low": 0.0, "high": 1.0}

RULE_NAMES = {
    "epsilon": "epsilon",
    "zplus": "z_plus",
    "alphabeta": "alpha_beta",
    "alpha1beta0": "alpha_1_beta_0",
    "alpha2beta1": "alpha_2_beta_1",
    "flat": "flat",
    "wsquare": "w_square",
    "gamma": "gamma",
}
"""Published names of rules that the table spells otherwise; its own names, such as "z" or "epsilon_IB", work too."""
INPUT_RULES = {"zbox": "Bounded", "sign": "SIGN", "signmu": "SIGNmu"}
SEQUENTIAL = {
    "A": "a",
    "B": "b",
    **{f"{prefix}sequential_composite_{one}": one for prefix in ("", "lrp.", "lrp_") for one in ("a", "b")},
}
GUARDED = {"flat": "Flat", "wsquare": "WSquare"}
"""Variants whose rule takes an epsilon that their method has no name for, and the rule."""
VARIANTS: dict[str, tuple[str, dict[str, float]]] = {
    **{variant: (f"lrp_{rule}", {}) for variant, rule in RULE_NAMES.items() if variant != "alphabeta"},
    "zbox": ("zblrp_{subvariant}", BOUNDS),
    "sequential": ("lrp_sequential_composite_a", {}),
    **{prefix: (f"{prefix}_{{subvariant}}", {}) for prefix in ("lrpsign", "lrpz", "flatlrp", "w2lrp", "zblrp")},
}
"""Method and parameters of each `variant` of `AdvancedLRPAnalyzer`."""


def _published(method: str) -> dict[str, float]:
    return {key: value for key, value in PUBLISHED.items() if key in parse(method).row.defaults}


class LRPAnalyzer(MethodAnalyzer):
    """One LRP rule on every layer: method ``lrp_RULE``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    rule_name : str
        "epsilon", "zplus", "alphabeta", "flat", "wsquare", "gamma", or the rule's part of a method name such as
        "z", "epsilon_IB" or "sequential_composite_a".
    epsilon : float
        Stabilizer of the epsilon rule.
    alpha, beta : float
        Of the alpha-beta rule; alpha - beta must be 1.
    **rule_kwargs
        Parameters of other rules: gamma, stdfactor.

    Raises
    ------
    ValueError
        If there is no such rule.
    TypeError
        If the rule does not take a parameter that is given (other than with the published default).
    """

    def __init__(
        self,
        model: nn.Module,
        rule_name: str = "epsilon",
        epsilon: float = 1e-6,
        alpha: float = 1.0,
        beta: float = 0.0,
        **rule_kwargs: Any,
    ) -> None:
        super().__init__(model, rule_name=rule_name, epsilon=epsilon, alpha=alpha, beta=beta, **rule_kwargs)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method of the rule and its parameters."""
        rule = options.pop("rule_name")
        name = f"lrp_{RULE_NAMES.get(rule, rule)}"
        return name, _published(name) | {key: value for key, value in options.items() if PUBLISHED.get(key) != value}


class AdvancedLRPAnalyzer(MethodAnalyzer):
    """LRP by the name of a variant.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    variant : str
        One rule on every layer: "epsilon" (1e-6 unless given), "zplus", "alpha1beta0", "alpha2beta1", "flat",
        "wsquare", "gamma"; "sequential" (method ``lrp_sequential_composite_a``); "zbox" (the bounded rule at the
        input layer, bounds 0 and 1 unless given); or a prefix, "lrpsign", "lrpz", "flatlrp", "w2lrp", "zblrp",
        for its rule at the input layer.
    **kwargs
        Parameters of the method, such as epsilon, gamma, low and high; the epsilon of "flat" and "wsquare" stands in
        place of a denominator that is exactly zero. With "zbox" and the prefixes ``subvariant``
        is the rest of the method's name, "epsilon" unless given: ``variant="w2lrp", subvariant="z"`` is ``w2lrp_z``.

    Raises
    ------
    ValueError
        If there is no such variant; the nearest is named.
    TypeError
        If the variant does not take a parameter that is given.
    """

    def __init__(self, model: nn.Module, variant: str = "epsilon", **kwargs: Any) -> None:
        super().__init__(model, variant=variant, **kwargs)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method of the variant and its parameters."""
        variant = options.pop("variant")
        template, parameters = choose("variant", variant, VARIANTS)
        if variant in GUARDED and "epsilon" in options:
            return "lrp", {"rule": GUARDED[variant], **options}
        rule = options.pop("subvariant", "epsilon") if "{subvariant}" in template else ""
        name = template.format(subvariant=rule)
        return name, _published(name) | parameters | options


class BoundedLRPAnalyzer(MethodAnalyzer):
    """The bounded rule at the input layer, another elsewhere: method ``zblrp_RULE``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    low, high : float
        The least and greatest value of the input.
    rule_name : str
        The rule of the other layers, as for `LRPAnalyzer`.
    **kwargs
        Parameters of that rule: epsilon (1e-6 unless given), alpha and beta (1 and 0 unless given), gamma.

    Raises
    ------
    ValueError
        If there is no such rule.
    TypeError
        If the rule does not take a parameter that is given.
    """

    def __init__(
        self, model: nn.Module, low: float = 0.0, high: float = 1.0, rule_name: str = "epsilon", **kwargs: Any
    ) -> None:
        super().__init__(model, low=low, high=high, rule_name=rule_name, **kwargs)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method of the rule and its parameters."""
        rule = options.pop("rule_name")
        name = f"zblrp_{RULE_NAMES.get(rule, rule)}"
        return name, _published(name) | options


class LRPStdxEpsilonAnalyzer(MethodAnalyzer):
    """The std-x epsilon rule on every layer: method ``lrp_epsilon_S_std_x``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    stdfactor : float
        Factor of the standard deviation of each layer's input.
    bias : bool
        Whether the bias counts in the denominators. Relevance starts from the logit with its bias in either case.
    """

    method = "lrp_stdxepsilon"

    def __init__(self, model: nn.Module, stdfactor: float = 0.25, bias: bool = True) -> None:
        super().__init__(model, stdfactor=stdfactor, bias=bias)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the general method, the only one that takes `bias`, with this rule."""
        return "lrp", {"rule": "StdxEpsilon"} | options


class DirectLRPStdxEpsilonAnalyzer(MethodAnalyzer):
    """The std-x epsilon rule on every layer: method ``lrp_epsilon_S_std_x``.

    The published class put its hooks on the layers by hand, which comes to the same, so this differs from
    `LRPStdxEpsilonAnalyzer` by its default only.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    stdfactor : float
        Factor of the standard deviation of each layer's input.
    """

    def __init__(self, model: nn.Module, stdfactor: float = 1.0) -> None:
        super().__init__(model, stdfactor=stdfactor)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method and its factor."""
        return "lrp_stdxepsilon", options


class DeepTaylorAnalyzer(MethodAnalyzer):
    """Method ``deep_taylor``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    epsilon : float
        Without meaning: the reference's method has no stabilizer.

    Raises
    ------
    ValueError
        If epsilon is neither the published default nor 0, because a stabilizer would change the result.
    """

    method = "deep_taylor"

    def __init__(self, model: nn.Module, epsilon: float = 1e-6) -> None:
        super().__init__(model, epsilon=epsilon)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method without the stabilizer that it does not have."""
        epsilon = options.pop("epsilon")
        if epsilon not in (UNUSED_EPSILON, 0):
            raise ValueError(f"deep_taylor has no stabilizer, so epsilon={epsilon} would do nothing; leave it out")
        return self.method, options


class LRPSequential(AnalyzerBase):
    """One rule at the input layer, one on the convolutions above it, one on the dense layers.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    first_layer_rule_name : str
        The input layer's rule: "zbox", "sign", "signmu", or a rule as for `LRPAnalyzer`.
    middle_layer_rule_name : str
        The convolutions' rule.
    last_layer_rule_name : str
        The rule of all dense layers, as in the references' sequential composites (not of the last layer alone).
    variant : str, optional
        "A" or "B", or the method's name with or without its prefix such as "lrp.sequential_composite_a": the middle and
        last rules of ``lrp_sequential_composite_a`` or ``_b``.
    **kwargs
        Parameters of the rules: epsilon (1e-6 unless given, with a variant 0.1), alpha and beta (1 and 0), low and
        high (0 and 1), gamma, stdfactor, mu, bias. Every rule takes those that it has.

    Raises
    ------
    ValueError
        If a rule or variant is unknown, or a variant is given together with the rules that it fixes.
    TypeError
        If a parameter is given that none of the rules takes.
    """

    def __init__(
        self,
        model: nn.Module,
        first_layer_rule_name: str = "zbox",
        middle_layer_rule_name: str = "alphabeta",
        last_layer_rule_name: str = "epsilon",
        variant: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model)
        if variant is None:
            conv, dense = _rule(middle_layer_rule_name), _rule(last_layer_rule_name)
        elif (middle_layer_rule_name, last_layer_rule_name) != ("alphabeta", "epsilon"):
            raise ValueError(f"variant {variant!r} fixes the middle and last layers' rules; give one or the other")
        else:
            layers = parse(f"lrp_sequential_composite_{choose('variant', variant, SEQUENTIAL)}").row.layers
            conv, dense = layers["conv"], layers["dense"]
        self.rules = {"input": _rule(first_layer_rule_name), "conv": conv, "dense": dense}
        self.options = kwargs
        self.composite()

    def composite(self, **options: Any) -> RuleComposite:
        """Return the composite, with options on top of the constructor's."""
        given = self.options | options
        taken = {key for name, _ in self.rules.values() for key in inspect.signature(RULES[name]).parameters}
        if unknown := sorted(set(given) - taken):
            raise TypeError(f"none of the rules takes {', '.join(unknown)}; they take {', '.join(sorted(taken))}")

        def made(name: str, fixed: Mapping[str, Any]) -> LinearRule:
            return make_rule(name, {**PUBLISHED, **BOUNDS, **fixed, **given})

        return RuleComposite({key: made(*self.rules[key]) for key in ("conv", "dense")}, made(*self.rules["input"]))

    def analyze(self, input_tensor: Tensor, target_class: Target = None, **kwargs: Any) -> Map:
        """Return the map of an input, see `AnalyzerBase.analyze`; relevance starts from the target's logit."""
        way = Way(self.composite(**kwargs), "logit")
        with explaining(self.model, input_tensor) as (model, x):
            maps: Map = handed_over(walk(model, x, target_class, [way]), model.inputs)[0]
        return maps


def _rule(name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the class name in `RULES` and the fixed parameters of a rule by its published or its table's name."""
    if name in INPUT_RULES:
        return INPUT_RULES[name], {}
    method = parse(f"lrp_{RULE_NAMES.get(name, name)}")
    if "kernel" not in method.row.layers or method.ignore_bias or method.modifiers:
        raise ValueError(f"{name!r} is not one rule for one layer; there are {', '.join((*RULE_NAMES, *INPUT_RULES))}")
    numbers = {key: value for key, value in method.parameters.items() if key not in method.row.defaults}
    return method.row.layers["kernel"][0], numbers
