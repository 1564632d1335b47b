"""Composites for zennit: rules for a whole model, which one hook on the model's root carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import zennit.core
from torch import Tensor, nn

from signxai_torch.lrp.composites import ActivationComposite, Composite, RuleComposite
from signxai_torch.lrp.passes import keeping, tell_of_rules_beyond, warn_of_softmax
from signxai_torch.lrp.rule import Rule
from signxai_torch.lrp.rules import AlphaBeta, Epsilon
from signxai_torch.operations.operation import Operation
from signxai_torch.published.attach import AttachedHook, Recording
from signxai_torch.published.base_hook import HookRule
from signxai_torch.sweep.walk import warn_of_unused_input_rule


class ModelComposite(zennit.core.Composite):
    """A zennit composite whose rules go on operations, so on functions as well as on modules.

    Registered on a model it records the model's whole forward pass, as in eval mode, and the gradient of what the model
    returns is the relevance.

    Parameters
    ----------
    composite : RuleComposite or ActivationComposite
        Which rule goes on which operation.
    """

    def __init__(self, composite: RuleComposite | ActivationComposite) -> None:
        super().__init__(module_map=self._on_the_root)
        self.composite = composite

    def _on_the_root(self, ctx: dict[str, Any], name: str, module: nn.Module) -> AttachedHook | None:
        return None if name else _WholeModel(_on(self.composite, module))


class _WholeModel(AttachedHook):
    """The hook on a model's root."""

    def __init__(self, composite: Composite) -> None:
        super().__init__()
        self.composite = composite
        self._keep = keeping([composite])

    def copy(self) -> _WholeModel:
        return _WholeModel(self.composite)

    def keep(self, operation: Operation) -> tuple[bool, bool]:
        return self._keep(operation)

    def prepare(self, recording: Recording) -> Callable[[Tensor], Tensor]:
        assigned = recording.assigned(self.composite)
        tell_of_rules_beyond([assigned], strict=False)
        if assigned.last_softmax is not None:
            warn_of_softmax(f"{assigned.last_softmax.function.name} ({assigned.last_softmax})")
        if getattr(self.composite, "input_rule", None) is not None and not assigned.input_kernels:
            warn_of_unused_input_rule()
        return lambda arriving: recording.walk(arriving, assigned)


def _on(composite: RuleComposite | ActivationComposite, model: nn.Module) -> RuleComposite | ActivationComposite:
    """Return a composite whose hooks know on which model they are."""
    if isinstance(composite, ActivationComposite):
        return composite

    def bound(rule: Rule | None) -> Rule | None:
        return replace(rule, model=model) if isinstance(rule, HookRule) else rule

    rules = {kind: bound(rule) for kind, rule in composite.rules}
    return replace(composite, rules=rules, input_rule=bound(composite.input_rule))


def composite_of(kernel: Rule | Mapping[str, Rule], input_rule: Rule | None = None) -> ModelComposite:
    """Return a composite of one rule for all layers, or one each for "conv" and "dense", and one for the input."""
    rules = kernel if isinstance(kernel, Mapping) else {"kernel": kernel}
    return ModelComposite(RuleComposite(rules, input_rule))


def sequential(input_rule: Rule | None, epsilon: float, alpha: float, beta: float) -> ModelComposite:
    """Return the references' sequential composite: epsilon on dense layers, alpha-beta on convolutions."""
    return composite_of({"dense": Epsilon(epsilon), "conv": AlphaBeta(alpha, beta)}, input_rule)
