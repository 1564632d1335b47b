"""The zennit hook that all rules share: it replaces the gradient of a layer by the layer's relevance.

zennit's own hooks let autograd run the layer's backward pass and then replace the result. Here the layer is cut
out of the autograd graph instead: its forward pass runs once, as always, and one autograd node takes its place,
whose backward pass is the rule. Nothing is computed twice, and state lives in the node of each call, so a module
that is called several times, or in several threads on separate models, is safe.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Hook, RemovableHandle, RemovableHandleList

# Autograd nodes that only move or pad values: a layer behind them is still the input layer. SIGN-XAI looks
# through Flatten, Permute, Reshape and ZeroPadding (iNNvestigate not through padding).
_TRANSPARENT = frozenset(
    f"{name}Backward{version}"
    for name in ("Alias", "Clone", "ConstantPadNd", "Expand", "Permute", "ReshapeAlias", "Squeeze", "ToCopy",
                 "Transpose", "UnsafeView", "Unsqueeze", "View", "_Reshape_copy")
    for version in (0, 1)
)  # fmt: skip


def sees_input(x: Tensor) -> bool:
    """Return whether a layer's input is the model's input, up to reshaping, permuting and zero padding."""
    node = x.grad_fn
    while node is not None and node.name() in _TRANSPARENT:
        node = node.next_functions[0][0]
    return node is None or node.name() == "torch::autograd::AccumulateGrad"


class _Relevance(torch.autograd.Function):
    """The node that stands for one call of one layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, output: Tensor, hook: RelevanceHook, module: nn.Module) -> Tensor:
        ctx.hook, ctx.module = hook, module
        ctx.output, ctx.version = output, output._version
        ctx.save_for_backward(x)
        return output.detach()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        with torch.no_grad():
            output = ctx.output
            if output._version != ctx.version:  # changed in place after the layer, so compute it again
                output = ctx.module.forward(x)
            relevance = ctx.hook.relevance(ctx.module, x, output, grad_outputs[0])
        return relevance, None, None, None


def behind_a_rule(x: Tensor) -> bool:
    """Return whether a tensor is the output of a layer that has a rule."""
    return x.grad_fn is not None and x.grad_fn.name() == f"{_Relevance.__name__}Backward"


class RelevanceHook(Hook):
    """Base of all rules: a zennit `Hook` whose `relevance` method is the layer's backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Tensor] = []

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the layer's input.

        Parameters
        ----------
        module : torch.nn.Module
            The layer.
        x : torch.Tensor
            Its input, batch first.
        output : torch.Tensor
            Its output, before any activation.
        relevance : torch.Tensor
            The relevance of its output, in that shape.
        """
        raise NotImplementedError

    def choose(self, module: nn.Module, x: Tensor, output: Tensor) -> RelevanceHook | None:
        """Return the rule for this call: this one, another (input layer), or None to leave autograd alone."""
        return self

    def seen(self, module: nn.Module, x: Tensor, rule: RelevanceHook | None) -> None:
        """Take note of a call; composites listen here."""

    def register(self, module: nn.Module) -> RemovableHandleList:
        """Attach to a module; the handles returned detach."""
        return RemovableHandleList(
            [
                RemovableHandle(self),
                module.register_forward_pre_hook(self._cut),
                module.register_forward_hook(self._join),
            ]
        )

    def remove(self) -> None:
        """Forget all tensors."""
        super().remove()
        self.waiting.clear()

    def _cut(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if not inputs:
            raise TypeError(f"{type(module).__name__} is called with keywords; rules need it called as layer(x)")
        x = inputs[0]
        if not (self.active and isinstance(x, Tensor) and x.requires_grad):
            return None
        # Forward runs on a detached tensor; the one that autograd knows waits for `_join`.
        self.waiting.append(x)
        return (x.detach(), *inputs[1:])

    def _join(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if not self.waiting:
            return None
        x = self.waiting.pop()
        if not isinstance(output, Tensor):
            raise TypeError(f"{type(module).__name__} returns {type(output).__name__}; a rule needs one tensor")
        rule = self.choose(module, x, output)
        self.seen(module, x, rule)
        if rule is None:
            # No rule for this call: run the layer again where autograd sees it.
            with torch.enable_grad():
                return module.forward(x, *inputs[1:])
        return _Relevance.apply(x, output.detach(), rule, module)
