"""Which rule goes on which layer: composites for whole methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Composite
from zennit.layer import Sum
from zennit.types import Activation, AvgPool, BatchNorm, Convolution

from signxai_torch.lrp import layers
from signxai_torch.lrp.rules import RULES, LinearRule
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.hook import Call, RelevanceHook, sees_input
from signxai_torch.operations.unhooked import KERNELS, LAYERS, RECTIFIERS, Operations

RESHAPING = (nn.Flatten, nn.Unflatten, nn.ZeroPad1d, nn.ZeroPad2d)


class UnsupportedLayerError(TypeError):
    """A layer that no reference defines a rule for."""


def kind(module: nn.Module) -> str | None:
    """Return what a module is to LRP.

    Returns
    -------
    str or None
        "dense" or "conv" (a kernel layer), "average" (average pooling, sums), "norm" (batch normalisation), "pass"
        (relevance goes through unchanged), "shape" (unchanged where the shape is kept), "unknown" (so too, but where
        values are only moved: a module without parameters of which no more is known), or None (the gradient:
        max-pooling with a stride, reshaping, padding).

    Raises
    ------
    UnsupportedLayerError
        If the module has parameters of its own and is none of these.
    """
    if isinstance(module, nn.Linear):
        return "dense"
    if isinstance(module, Convolution):
        return "conv"
    if isinstance(module, (AvgPool, Sum)):
        return "average"
    if isinstance(module, BatchNorm):
        return "norm"
    if isinstance(module, (Activation, *layers.DROPOUT, nn.Identity, nn.Softmax)):
        return "pass"
    own = [parameter for _, parameter in module.named_parameters(recurse=False)]
    if own and any(one.__module__.startswith("torch.nn.") and one is not nn.Module for one in type(module).__mro__):
        raise UnsupportedLayerError(
            f"no reference defines an LRP rule for {type(module).__name__}; use a gradient method, or replace it"
        )
    if own:  # a kernel layer of somebody's own, such as a separable convolution
        return "conv" if max(parameter.dim() for parameter in own) > 2 else "dense"
    stride = getattr(module, "stride", None)
    if stride is not None:
        return "shape" if set(_sizes(stride)) == {1} else None
    return None if isinstance(module, RESHAPING) else "unknown"


def _sizes(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


class RuleComposite(Composite):
    """Rules by kind of layer, with another rule for the input layer.

    Parameters
    ----------
    rules : mapping of str to LinearRule
        The rule per kind of kernel layer: "kernel" for all, or "dense" and "conv".
    input_rule : LinearRule, optional
        The rule of the layers that see the model's input.
    until : int
        Kernel layers up to this step also get the input rule. The first kernel layer is step 0; every further
        layer counts one but activations and, unless `count_reshaping` is set, reshaping layers. Steps follow the
        order in which the model registers its layers.
    count_reshaping : bool
        Whether Flatten and the like count as steps (iNNvestigate's raw layer index) or not (SIGN-XAI's distance).
    kernels_only : bool
        Whether all layers without a kernel, but for the activation of a kernel layer, take the gradient (deep Taylor)
        instead of a rule of their own.

    Attributes
    ----------
    once : bool
        Whether only one backward pass follows a forward pass, so that it may let go of what it has used.
    arrivals : list of Arrival or None
        Where a list, relevance stops at the layers that see the model's input and is noted there instead of going
        through a rule.
    trace : list of (str, str, str)
        Layer name, module type and rule of each call of the last forward pass, input to output.
    """

    def __init__(
        self,
        rules: Mapping[str, LinearRule],
        input_rule: LinearRule | None = None,
        until: int = 0,
        count_reshaping: bool = False,
        kernels_only: bool = False,
    ) -> None:
        super().__init__(module_map=self._map)
        self.rules = dict(rules)
        self.input_rule = input_rule
        self.until = until
        self.count_reshaping = count_reshaping
        self.kernels_only = kernels_only
        self.once = False
        self.arrivals: list[Arrival] | None = None
        self.trace: list[tuple[str, str, str]] = []
        self.input_rule_ran = False

    @property
    def operations(self) -> Operations:
        """What must be a module, because it has a rule."""
        return KERNELS if self.kernels_only else LAYERS

    def _map(self, ctx: dict[str, Any], name: str, module: nn.Module) -> RelevanceHook | None:
        if next(module.children(), None) is not None:
            if next(module.parameters(recurse=False), None) is not None:
                raise UnsupportedLayerError(
                    f"{name or 'the model'} ({type(module).__name__}) has parameters of its own beside its layers; "
                    "no reference defines an LRP rule for it"
                )
            return None
        what = kind(module)
        step = self._step(ctx, what, module)
        if what in ("dense", "conv"):
            rule = self.rules.get(what, self.rules.get("kernel"))
            if rule is None:
                raise UnsupportedLayerError(f"no rule for the {what} layer {name!r}; rules: {sorted(self.rules)}")
            early = self.input_rule is not None and 0 < step <= self.until
            return _Listening(self.input_rule if early and self.input_rule else rule, self, name)
        if self.kernels_only:
            return _Listening(layers.PassAfterKernel(), self, name) if isinstance(module, Activation) else None
        simple = {"average": layers.Average, "norm": layers.BatchNorm, "pass": layers.Pass,
                  "shape": layers.PassWhereShapeKept, "unknown": layers.PassUnlessMoved}  # fmt: skip
        return _Listening(simple[what](), self, name) if what else None

    def _step(self, ctx: dict[str, Any], what: str | None, module: nn.Module) -> int:
        reshaping = isinstance(module, RESHAPING)
        if what == "pass" or (reshaping and not self.count_reshaping):
            return int(ctx.get("step", -1))
        if what in ("dense", "conv") or "step" in ctx:
            ctx["step"] = ctx.get("step", -1) + 1
        return int(ctx.get("step", -1))

    def register(self, module: nn.Module) -> None:
        """Attach to a model; what was noted of an earlier one is forgotten."""
        self.start()
        try:
            super().register(module)
        except BaseException:
            self.remove()  # a layer without a rule is found while hooks are attached already
            raise

    def start(self) -> None:
        """Forget the last forward pass."""
        self.trace.clear()
        self.input_rule_ran = False


class _Listening(RelevanceHook):
    """A rule on one layer of a composite: picks the rule of each call and tells the composite."""

    def __init__(self, rule: RelevanceHook, composite: RuleComposite, name: str) -> None:
        super().__init__()
        self.rule, self.composite, self.name, self.once = rule, composite, name, composite.once
        self.lenient = rule.lenient

    def copy(self) -> RelevanceHook:
        return _Listening(self.rule.copy(), self.composite, self.name)

    def choose(self, module: nn.Module, x: Tensor, output: Tensor, call: Call) -> RelevanceHook | None:
        if isinstance(self.rule, LinearRule) and not isinstance(self.rule, layers.Average):
            if self.composite.arrivals is not None and sees_input(x):
                return Noting(self.rule, self.composite.arrivals)
            self.rule.input_rule = self.composite.input_rule
        return self.rule.choose(module, x, output, call)

    def seen(self, module: nn.Module, x: Tensor, rule: RelevanceHook | None) -> None:
        self.composite.trace.append((self.name, type(module).__name__, str(rule or "gradient")))
        self.composite.input_rule_ran |= rule is not None and rule is self.composite.input_rule


@dataclass(frozen=True)
class Arrival:
    """Relevance at the output of a layer that sees the model's input, and what the rules of that layer need.

    Attributes
    ----------
    rule : LinearRule
        The layer's rule where the method has none for the input layer.
    module : torch.nn.Module
        The layer.
    x, output, relevance : torch.Tensor
        Its input (in the autograd graph), its output, and the relevance of the output.
    """

    rule: LinearRule
    module: nn.Module
    x: Tensor
    output: Tensor
    relevance: Tensor


class Noting(RelevanceHook):
    """Notes what arrives at an input layer and lets nothing through.

    Parameters
    ----------
    rule : LinearRule
        The layer's rule where the method has none for the input layer.
    arrivals : list of Arrival
        Where it is noted.
    """

    def __init__(self, rule: LinearRule, arrivals: list[Arrival]) -> None:
        super().__init__()
        self.rule, self.arrivals = rule, arrivals

    def __str__(self) -> str:
        return "the rules of the input layer"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return zeros."""
        self.arrivals.append(Arrival(self.rule, module, x, output, relevance))
        return torch.zeros_like(x)


class ActivationComposite(Composite):
    """One rule on every ReLU, the gradient elsewhere: guided backpropagation and deconvnet.

    Leaky ReLUs count as ReLUs, as in SIGN-XAI 1.1.9.2 (iNNvestigate refuses them). Without a rule it is the gradient.
    """

    def __init__(self, rule: type[RelevanceHook] | None) -> None:
        self.rule = rule
        super().__init__(module_map=self._map)

    @property
    def operations(self) -> Operations | None:
        """What must be a module, because it has a rule."""
        return RECTIFIERS if self.rule is not None else None

    def _map(self, ctx: dict[str, Any], name: str, module: nn.Module) -> RelevanceHook | None:
        relu = isinstance(module, (nn.ReLU, nn.ReLU6, nn.LeakyReLU))
        return self.rule() if self.rule is not None and relu else None


def make_rule(name: str, parameters: Mapping[str, Any], ignore_bias: bool = False) -> LinearRule:
    """Return a rule of the table `RULES` with those of `parameters` that it takes.

    Raises
    ------
    ValueError
        If there is no such rule, or a parameter is out of its range.
    """
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(f"unknown rule {name!r}; the rules are {', '.join(RULES)}")
    rule = RULES[name]
    taken = rule.__init__.__code__.co_varnames[1 : rule.__init__.__code__.co_argcount]
    chosen = {key: value for key, value in parameters.items() if key in taken}
    if ignore_bias:
        chosen["bias"] = False
    return rule(**chosen)


def composite_for(method: Method, parameters: Mapping[str, Any]) -> RuleComposite:
    """Return the composite of an LRP or deep Taylor method.

    Parameters
    ----------
    method : Method
        A method whose row has layers.
    parameters : mapping
        Its parameters, the user's included.
    """
    rules = {
        what: make_rule(name or parameters["rule"], {**parameters, **fixed}, method.ignore_bias)
        for what, (name, fixed) in method.row.layers.items()
    }
    input_rule = make_rule(method.input_rule, parameters) if method.input_rule else None
    until = parameters.get("until_layer_idx")
    if until is None:
        return RuleComposite(rules, input_rule, kernels_only=method.family == "deep_taylor")
    # iNNvestigate's index counts the InputLayer too, SIGN-XAI's distance starts at the first kernel layer.
    raw = method.row.signxai == ""
    return RuleComposite(rules, input_rule, int(until) - raw, count_reshaping=raw)
