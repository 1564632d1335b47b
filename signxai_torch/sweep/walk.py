"""Several backward passes through one forward pass: what methods of rules have in common is computed once.

A `Way` is one backward pass: a composite, which says what every layer does, and the relevance that the output starts
from. `walk` runs the model once, with a hook on every layer that any way gives a rule, and then goes each way. Ways
that differ only in the rule of the input layer share the pass down to that layer.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Composite

from signxai_torch.lrp.composites import ActivationComposite, Arrival, RuleComposite
from signxai_torch.lrp.layers import Gradient
from signxai_torch.lrp.output import last_layer
from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.operations.hook import Call, RelevanceHook, made_by, remaking
from signxai_torch.operations.unhooked import calls_of
from signxai_torch.sweep.layout import Layout, like


class UnusedInputRuleWarning(UserWarning):
    """No layer saw the model's input, so the rule of the input layer was not used (as in the references)."""


class SoftmaxWarning(UserWarning):
    """The model returns probabilities; both references refuse such a model, or take the softmax off."""


@dataclass(frozen=True)
class Way:
    """One backward pass.

    Attributes
    ----------
    composite : RuleComposite or ActivationComposite
        What each layer does.
    head : str
        Where relevance starts, see `signxai_torch.lrp.targets.start`; besides "preactivation": where the rule of the
        last layer starts, which is the value before the activation for some (`signxai_torch.lrp.output`).
    """

    composite: RuleComposite | ActivationComposite
    head: str

    @property
    def title(self) -> str:
        """What the way does above the input layer, in words; ways of one title share a pass."""
        start_of = {"one": "from 1", "logit": "from the logit", "preactivation": "from the logit",
                    "positive_logit": "from the positive part of the logit"}  # fmt: skip
        return f"{_title(self.composite)}, {start_of[self.head]}"

    @property
    def start(self) -> str:
        """The head as `signxai_torch.lrp.targets.start` knows it."""
        return "logit" if self.head == "preactivation" else self.head

    @property
    def input_title(self) -> str:
        """What the input layer does, in words."""
        rule = self.composite.input_rule if isinstance(self.composite, RuleComposite) else None
        return f"input layer: {rule}" if rule is not None else "input layer: as the others"


def _title(composite: RuleComposite | ActivationComposite) -> str:
    if isinstance(composite, ActivationComposite):
        return "gradient" if composite.rule is None else f"gradient with {composite.rule.__name__}"
    texts = [f"{what}: {rule}" for what, rule in sorted(composite.rules.items(), key=lambda pair: pair[0])]
    if composite.until > 0:  # layers above the input layer take its rule too
        texts.append(f"up to step {composite.until}: {composite.input_rule}")
        texts += ["reshaping counts"] * composite.count_reshaping
    return "; ".join(texts + ["other layers: gradient"] * composite.kernels_only)


def walk(model: nn.Module, x: Tensor, target: Target, ways: Sequence[Way]) -> list[Tensor]:
    """Return the relevance of the input for each way, in the shape of `x`; equal ways may share a tensor.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits (N, classes); activations and pooling must be modules, not functions.
    x : torch.Tensor
        Input, batch first.
    target : None, int or one int per sample
        The explained class.
    ways : sequence of Way
        Deep Taylor's must not be mixed with others: what it does with an activation depends on who has a rule.
    """
    found = Layout().run(lambda given: _walk(model, given, target, ways), x)
    return [like(one, x) for one in found]


def _walk(model: nn.Module, x: Tensor, target: Target, ways: Sequence[Way]) -> list[Tensor]:
    passes: dict[str, list[Way]] = {}
    for way in ways:
        passes.setdefault(way.title, []).append(way)
    composites = [_for_all(group) for group in passes.values()]
    x = x.detach().requires_grad_()
    results: dict[int, Tensor] = {}
    shared = _Shared(composites)
    with shared.context(model), torch.enable_grad(), remaking():
        output, softmax = _forward(model, x, composites)
        indices = target_indices(output, target)
        starts = [_starts(model, group, output, index) for index, group in enumerate(passes.values())]
        if softmax is not None and any(_from_output(one, output) for one in starts):
            _warn_softmax(softmax)
        left = sum(len(one) for one in starts)
        for index, composite in enumerate(composites):
            shared.current = index
            for values, together in starts[index]:
                relevance, left = start(values, indices, together[0].start), left - 1
                last = left == 0 and getattr(composite, "arrivals", None) is None
                (straight,) = torch.autograd.grad(output, x, relevance, retain_graph=not last)
                finished: dict[str, Tensor] = {}
                for way in together:
                    if way.input_title not in finished:
                        finished[way.input_title] = _finish(way, composite, x, straight)
                    results[id(way)] = finished[way.input_title]
                if isinstance(composite, RuleComposite) and composite.arrivals is not None:
                    composite.arrivals.clear()
    return [results[id(way)] for way in ways]


def _forward(
    model: nn.Module, x: Tensor, composites: Sequence[RuleComposite | ActivationComposite]
) -> tuple[Tensor, nn.Module | None]:
    """Return the model's output, and the softmax that makes it, where a composite's rules would start from that.

    Refuses a model that computes outside its layers what a composite has a rule for.
    """
    operations = [one.operations for one in composites if one.operations]
    if not operations:
        return model(x), None
    with calls_of(model) as calls:
        output: Tensor = model(x)
        for one in operations:
            calls.check(output, one)
        last = calls.makers.get(made_by(output))
    return output, last if isinstance(last, (nn.Softmax, nn.LogSoftmax)) else None


def _from_output(starts: Sequence[tuple[Tensor, list[Way]]], output: Tensor) -> bool:
    """Return whether a way with rules starts from the model's output itself."""
    return any(values is output and way.composite.operations for values, ways in starts for way in ways)


def _starts(model: nn.Module, group: Sequence[Way], output: Tensor, composite: int) -> list[tuple[Tensor, list[Way]]]:
    """Return the ways of one title by where they start: one pass, but where a model ends in an activation."""
    last = last_layer(model, output, composite)
    found: dict[bool | None, list[Way]] = {}
    for way in group:
        bias = None
        if last is not None and way.head == "preactivation" and isinstance(way.composite, RuleComposite):
            bias = last.bias(way.composite.input_rule)
        found.setdefault(bias, []).append(way)
    values = {bias: output if bias is None or last is None else last.preactivation(bias) for bias in found}
    return [(values[bias], together) for bias, together in found.items()]


def _for_all(group: Sequence[Way]) -> RuleComposite | ActivationComposite:
    """Return the composite that goes down to the input layer for ways of one title."""
    composite = group[0].composite
    if not isinstance(composite, RuleComposite) or len({way.input_title for way in group}) == 1:
        return composite
    common = RuleComposite(
        composite.rules, composite.input_rule, composite.until, composite.count_reshaping, composite.kernels_only
    )
    common.arrivals = []
    return common


def _finish(way: Way, composite: RuleComposite | ActivationComposite, x: Tensor, straight: Tensor) -> Tensor:
    """Return the relevance of the input: what came straight to it, and what its layer hands down by its rule."""
    if not isinstance(way.composite, RuleComposite) or not isinstance(composite, RuleComposite):
        return straight
    rule = way.composite.input_rule
    if composite.arrivals is None:
        if rule is not None and not composite.input_rule_ran:
            _warn_unused()
        return straight
    if rule is not None and not composite.arrivals:
        _warn_unused()
    parts = [_hand_down(one, rule, x) for one in composite.arrivals]
    if not parts or bool((straight != 0).any()):
        parts.insert(0, straight)
    return reduce(torch.add, parts)


def _hand_down(arrival: Arrival, rule: RelevanceHook | None, x: Tensor) -> Tensor:
    with torch.no_grad():
        relevance = (rule or arrival.rule).relevance(
            arrival.module, arrival.x.detach(), arrival.output, arrival.relevance
        )
    (result,) = torch.autograd.grad(arrival.x, x, relevance, retain_graph=True)
    return result


def _warn_unused() -> None:
    _warn(
        "no dense or convolution layer sees the model's input directly, so the input layer's rule is unused",
        UnusedInputRuleWarning,
    )


def _warn_softmax(softmax: nn.Module) -> None:
    _warn(
        f"the model ends in {type(softmax).__name__}, so relevance starts from a probability and not from a logit, "
        "which no reference does; explain the model without it",
        SoftmaxWarning,
    )


def _warn(text: str, category: type[UserWarning]) -> None:
    """Warn in the line that called the package."""
    package, level, frame = __name__.partition(".")[0], 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


class _Shared(Composite):
    """Several composites on one model; `current` says whose rules the backward pass follows."""

    def __init__(self, composites: Sequence[RuleComposite | ActivationComposite]) -> None:
        super().__init__(module_map=self._map)
        self.composites = composites
        self.current = 0

    def _map(self, ctx: dict[str, Any], name: str, module: nn.Module) -> RelevanceHook | None:
        hooks = []
        for index, composite in enumerate(self.composites):
            own = ctx.setdefault(str(index), {})  # each composite counts its steps for itself
            hooks.append(composite.module_map(own, name, module))
        if all(hook is None for hook in hooks):
            return None
        return hooks[0] if len(hooks) == 1 else _Switch(hooks, self)

    def register(self, module: nn.Module) -> None:
        """Attach to a model."""
        for composite in self.composites:
            if isinstance(composite, RuleComposite):
                composite.start()
                composite.once = len(self.composites) == 1 and composite.arrivals is None
        try:
            super().register(module)
        except BaseException:
            self.remove()  # a layer without a rule is found while hooks are attached already
            raise

    def remove(self) -> None:
        """Detach; no tensor is kept."""
        super().remove()
        for composite in self.composites:
            composite.remove()


class _Switch(RelevanceHook):
    """What several composites do with one layer."""

    def __init__(self, hooks: Sequence[RelevanceHook | None], shared: _Shared) -> None:
        super().__init__()
        self.hooks, self.shared = hooks, shared
        self.lenient = all(hook is None or hook.lenient for hook in hooks)

    def copy(self) -> RelevanceHook:
        return _Switch([None if hook is None else hook.copy() for hook in self.hooks], self.shared)

    def choose(self, module: nn.Module, x: Tensor, output: Tensor, call: Call) -> RelevanceHook | None:
        rules = [None if hook is None else hook.choose(module, x, output, call) for hook in self.hooks]
        for hook, rule in zip(self.hooks, rules, strict=True):
            if hook is not None:
                hook.seen(module, x, rule)
        return None if all(rule is None for rule in rules) else _Chosen(rules, self.shared, call)


class _Chosen(RelevanceHook):
    """The rules of one call of a layer, one per composite."""

    def __init__(self, rules: Sequence[RelevanceHook | None], shared: _Shared, call: Call) -> None:
        super().__init__()
        self.rules, self.shared = [rule or Gradient(call) for rule in rules], shared
        self.needs_input = any(rule.needs_input for rule in self.rules)
        self.needs_output = any(rule.needs_output for rule in self.rules)

    def of(self, composite: int) -> RelevanceHook:
        return self.rules[composite]

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        return self.rules[self.shared.current].relevance(module, x, output, relevance)
