"""Ports that are right but for one layer, whose rule is broken in one of four ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from parity.run.mutants.mutant import SubjectFunction, replaced, right
from signxai_torch.lrp.composites import RuleComposite
from signxai_torch.lrp.rule import Relevances, Rule
from signxai_torch.lrp.rules import Epsilon, StdxEpsilon, Z
from signxai_torch.operations.kind import KERNELS
from signxai_torch.operations.operation import Operation

Fault = Callable[[Rule, Operation, Tensor], Relevances]


def scaled(rule: Rule, operation: Operation, arriving: Tensor) -> Relevances:
    """Hand on 3 % too much."""
    (found,) = rule.relevance(operation, arriving)
    assert found is not None
    return (found * 1.03,)


def without_bias(rule: Rule, operation: Operation, arriving: Tensor) -> Relevances:
    """Forget the bias in the denominator."""
    assert "bias" in {field.name for field in fields(rule)}
    return replace(rule, bias=False).relevance(operation, arriving)  # type: ignore[call-arg]


def other_epsilon(rule: Rule, operation: Operation, arriving: Tensor) -> Relevances:
    """Take another epsilon; rules without one get one."""
    wrong: Rule
    match rule:
        case Epsilon():
            wrong = replace(rule, epsilon=rule.epsilon * 1.1)
        case StdxEpsilon():
            wrong = replace(rule, stdfactor=rule.stdfactor * 1.1)
        case _:
            wrong = Epsilon(0.01, rule.bias)  # type: ignore[attr-defined]
    return wrong.relevance(operation, arriving)


def padded_elsewhere(rule: Rule, operation: Operation, arriving: Tensor) -> Relevances:
    """Pad one place on the other side, as the neighbouring layer does: what is handed on lies one place off."""
    (found,) = rule.relevance(operation, arriving)
    assert found is not None
    return (torch.cat([torch.zeros_like(found[..., :1]), found[..., :-1]], dim=-1),)


@dataclass(frozen=True)
class Broken(Rule):
    """A rule that is broken."""

    rule: Rule
    fault: Fault

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        return self.fault(self.rule, operation, arriving)


def broken(layer: str, fault: Fault) -> SubjectFunction:
    """Return a port that is broken in one layer."""
    rule_of = RuleComposite.rule_of

    def chosen(self: RuleComposite, operation: Operation, step: int = 0) -> Rule | None:
        rule = rule_of(self, operation, step)
        hit = operation.module == layer and operation.kind in KERNELS
        return Broken(rule, fault) if hit and rule is not None else rule

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        with replaced(RuleComposite, "rule_of", chosen)():
            return right(model, x, method, target, **parameters)

    return function


def broken_operation(layer: str, factor: float) -> SubjectFunction:
    """Return a port in which one layer, with a rule or without, hands on too much."""
    from signxai_torch.lrp import backward

    handed = backward._handed_down

    def down(operation: Operation, arriving: Any, assigned: Any) -> Any:
        parts = handed(operation, arriving, assigned)
        hit = operation.module == layer
        return tuple(part * factor if hit and part is not None else part for part in parts)

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        with replaced(backward, "_handed_down", down)():
            return right(model, x, method, target, **parameters)

    return function


FAULTS: dict[str, Fault] = {
    "scaled": scaled,
    "without_bias": without_bias,
    "other_epsilon": other_epsilon,
    "padded_elsewhere": padded_elsewhere,
}
HAVE_A_BIAS = (Z, Epsilon, StdxEpsilon)
