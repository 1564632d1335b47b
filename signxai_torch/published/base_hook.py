"""What the published hooks share: a rule, or a `relevance` of a subclass's own, and zennit's ways to attach it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import RemovableHandleList

from signxai_torch.lrp.composites import RuleComposite
from signxai_torch.lrp.passes import tell_of_rules_beyond
from signxai_torch.lrp.rule import LinearRule, Relevances, Rule
from signxai_torch.operations.operation import Operation
from signxai_torch.published.attach import AttachedHook, Recording


class LrpBaseHook(AttachedHook):
    """Base of the published hooks: abstract; a subclass overrides `rule` or `relevance`.

    Parameters
    ----------
    is_input_layer : bool
        Whether the layer is the model's input layer; only the hooks that treat it differently look at it.
    """

    def __init__(self, is_input_layer: bool = False) -> None:
        super().__init__()
        self.is_input_layer = is_input_layer

    @property
    def rule(self) -> Rule:
        """The rule of the layers with weights, as it is at the backward pass."""
        raise NotImplementedError(
            f"{type(self).__name__} is abstract: a subclass overrides relevance(module, x, output, relevance), or rule"
        )

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of a layer's input, in its shape.

        Parameters
        ----------
        module : torch.nn.Module
            The layer.
        x : torch.Tensor
            Its input, batch first.
        output : torch.Tensor
            What it returned.
        relevance : torch.Tensor
            The relevance of that.
        """
        return self._rules(Recording(module, (x,), {}, 0, self.keep))(relevance)

    @property
    def overrides_relevance(self) -> bool:
        """Whether a subclass says the relevance itself."""
        return type(self).relevance is not LrpBaseHook.relevance

    def prepare(self, recording: Recording) -> Callable[[Tensor], Tensor]:
        """See `AttachedHook.prepare`."""
        if not self.overrides_relevance:
            return self._rules(recording)

        def down(arriving: Tensor) -> Tensor:
            return self.relevance(recording.module, recording.x, recording.output, arriving)

        return down

    def _rules(self, recording: Recording) -> Callable[[Tensor], Tensor]:
        assigned = recording.assigned(RuleComposite({"kernel": HookRule(self)}))
        tell_of_rules_beyond([assigned], strict=False)
        return lambda arriving: recording.walk(arriving, assigned)

    def register(self, module: nn.Module) -> RemovableHandleList:
        """Attach to a module, see `AttachedHook.register`."""
        self.check()
        return super().register(module)

    def check(self) -> None:
        """Refuse a hook that has neither a rule nor a `relevance` of its own.

        Raises
        ------
        NotImplementedError
            If it has not.
        """
        if not self.overrides_relevance:
            _ = self.rule

    def copy(self) -> LrpBaseHook:
        """Return a hook of the same rule that knows of no tensors."""
        fresh = copy.copy(self)
        fresh.stored_tensors, fresh.tensor_handles, fresh.active = {}, RemovableHandleList(), True
        return fresh

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
        with torch.no_grad():
            return (self.relevance(module, x, output, grad_output[0].detach()), *grad_input[1:])

    def __repr__(self) -> str:
        return f"{type(self).__name__}()" if self.overrides_relevance else f"{type(self).__name__} of {self.rule}"


@dataclass(frozen=True)
class HookRule(Rule):
    """What a published hook does, as a rule of one operation.

    Parameters
    ----------
    hook : LrpBaseHook
        The hook; what it says counts at the backward pass.
    model : torch.nn.Module, optional
        Where the module of an operation is looked up that a hook's own `relevance` is handed.
    """

    hook: LrpBaseHook
    model: nn.Module | None = field(default=None, repr=False)

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        if not self.hook.overrides_relevance:
            return self.hook.rule.relevance(operation, arriving)
        assert self.model is not None, "a composite says on which model it is registered"
        module = self.model.get_submodule(operation.module)
        return (self.hook.relevance(module, operation.inputs[0], operation.output, arriving),)


class RuleHook(LrpBaseHook):
    """Base of the hooks that hold one rule.

    Parameters
    ----------
    rule : LinearRule
        The rule of the layers with weights.
    """

    def __init__(self, rule: LinearRule) -> None:
        super().__init__()
        self._rule = rule

    @property
    def rule(self) -> LinearRule:
        """The rule of the layers with weights."""
        return self._rule
