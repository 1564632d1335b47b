"""A recorded forward pass, ready to be walked: what rules need of it is kept, and what nobody can explain is told."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from signxai_torch.lrp.assignment import Assignment, assign
from signxai_torch.lrp.composites import Composite, composite_for
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.model import Model, Recording, explaining
from signxai_torch.operations.operation import Operation, Value
from signxai_torch.operations.recorder import Keep
from signxai_torch.operations.refusal import BeyondReferenceWarning, Obstacle, refuse
from signxai_torch.operations.watch import tells_of_indexing


class UnusedInputRuleWarning(UserWarning):
    """No layer saw the model's input, so the rule of the input layer was not used (as in the references)."""


class SoftmaxWarning(UserWarning):
    """The model returns probabilities; both references refuse such a model, or take the softmax off."""


@dataclass(frozen=True)
class Keeping:
    """What rules need of each operation, under several composites; a `Keep`."""

    composites: tuple[Composite, ...]

    def __call__(self, operation: Operation) -> tuple[bool, bool]:
        """Return whether they need its inputs, and its result."""
        needs_inputs = needs_output = False
        for composite in self.composites:
            for rule in composite.candidates(operation):
                if rule is None:
                    needs_inputs |= operation.gradient_needs_inputs
                else:
                    needs_inputs |= rule.needs_inputs
                    needs_output |= rule.needs_output
        return needs_inputs, needs_output


def keeping(composites: Sequence[Composite]) -> Keeping:
    """Return what rules need of each operation, under several composites."""
    return Keeping(tuple(composites))


def recorded(
    model: Model, x: Tensor, keep: Keep, modules: Collection[str] = (), opened: Collection[Kind] = ()
) -> tuple[Recording, Tensor, Value]:
    """Return the recording of a forward pass, the logits, and what is known of them.

    Raises
    ------
    UnhookedOperationError
        If they do not depend on the input.
    """
    recorder, made = model.record(x, keep, modules, opened)
    output = recorder.value_of(made)
    refuse("a method of rules", _out_of_reach(recorder, output))
    assert output is not None
    return recorder, made.detach(), output


def _out_of_reach(recorder: Recording, output: Value | None) -> list[Obstacle]:
    """Return why the output does not depend on the input, as far as anybody can see; nothing if it does."""
    if output is not None and not output.cut:
        return []
    why = "; ".join(dict.fromkeys(recorder.cuts))
    if why:
        return [Obstacle(f"its output is cut from its input by {why}", "let the gradient through")]
    if recorder.obstacles:
        return recorder.obstacles
    mend = "a quantised or exported model takes no rules; use the model that it was made from"
    if not tells_of_indexing():
        mend += "; one that cuts its tokens or looks them up with x[...] needs torch 2.4, which tells of that"
    return [Obstacle("its output does not depend on its input, as far as torch's functions tell", mend)]


def tell_of_rules_beyond(assigned: Sequence[Assignment], strict: bool) -> None:
    """Warn of, or refuse, what only the literature has a rule for."""
    rules = {operation: rule for one in assigned for operation, rule in one.beyond.items()}
    if not rules:
        return
    told: dict[str, list[str]] = {}
    for operation, rule in rules.items():
        told.setdefault(f"{type(rule).__name__} ({rule.source}; {rule.conserves})", []).append(str(operation))
    if strict:
        refuse("a strict explanation", [
            Obstacle(f"no reference has a rule for {operation}; the literature has {rule} ({rule.source})")
            for operation, rule in rules.items()
        ])  # fmt: skip
    lines = "; ".join(f"{name} for {_some(operations)}" for name, operations in told.items())
    warn(f"no reference has a rule for a part of this model; rules of the literature are used: {lines}",
          BeyondReferenceWarning)  # fmt: skip


_TOLD = 3


def _some(operations: Sequence[str]) -> str:
    told = list(dict.fromkeys(operations))
    more = f" and {len(operations) - _TOLD} more" if len(told) > _TOLD else ""
    return f"{', '.join(told[:_TOLD])}{more}"


def rules_of(model: nn.Module, x: Tensor, method: Method, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (module, its type, rule) of each operation that a method gives a rule, input to output."""
    composite = composite_for(method, parameters)
    with explaining(model, x) as (explained, batch):
        recorder, _, output = recorded(explained, batch, lambda operation: (False, False))
    rules = assign(recorder.operations, output, composite).rules
    return [
        (operation.module, operation.module_type, str(rule))
        for operation in recorder.operations
        if (rule := rules.get(operation)) is not None
    ]


def name_of_softmax(last: Operation | None) -> str:
    """Return the name and the place of the softmax that makes the output; empty if none does."""
    return "" if last is None else f"{last.function.name} ({last})"


def warn_of_softmax(softmax: str) -> None:
    """Warn that relevance starts from a probability, if a softmax makes the output."""
    if softmax:
        warn(
            f"the model ends in a {softmax}, so relevance starts from a probability and not from a logit, which no "
            "reference does; explain the model without it",
            SoftmaxWarning,
        )


def warn(text: str, category: type[UserWarning]) -> None:
    """Warn in the line that called the package."""
    package, level, frame = __name__.partition(".")[0], 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)
