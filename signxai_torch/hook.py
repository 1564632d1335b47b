"""The zennit hook that all rules share: it replaces the gradient of a layer by the layer's relevance.

zennit's own hooks let autograd run the layer's backward pass and then replace the result. Here the layer is cut
out of the autograd graph instead: its forward pass runs once, as always, and one autograd node takes its place,
whose backward pass is the rule. Nothing is computed twice, and state lives in the node of each call, so a module
that is called several times, or in several threads on separate models, is safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


# Besides these, nodes that take, join or reorder values.
_MOVING = _TRANSPARENT | {
    f"{name}Backward{version}"
    for name in ("Cat", "Flip", "Gather", "Index", "IndexSelect", "Repeat", "Roll", "Select", "Slice", "Split",
                 "SplitWithSizes", "Stack", "AsStrided", "Unbind", "Narrow", "PixelShuffle", "PixelUnshuffle",
                 "NativeChannelShuffle", "ReflectionPad1D", "ReflectionPad2D", "ReplicationPad1D", "ReplicationPad2D")
    for version in (0, 1)
}  # fmt: skip


def only_moves(output: Tensor, x: Tensor) -> bool:
    """Return whether a tensor holds values of another one, moved or not, and nothing computed from them."""
    waiting, met = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in met or node.name() == "torch::autograd::AccumulateGrad":
            continue
        if node.name() not in _MOVING:
            return False
        met.add(node)
        waiting += [before for before, _ in node.next_functions]
    return output is not x


@dataclass(frozen=True)
class _Remade:
    """A ReLU's output that is made again when it is needed, from an input that a rule keeps anyway."""

    module: nn.Module
    source: Tensor
    version: int

    def make(self) -> Tensor:
        """Return the output.

        Raises
        ------
        RuntimeError
            If the input was changed in place meanwhile.
        """
        if self.source._version != self.version:
            raise RuntimeError(
                f"the input of a {type(self.module).__name__} was changed in place after the layer had run; rules need "
                "it as it was, so the model must not change it"
            )
        with torch.no_grad():
            return self.module.forward(self.source)  # type: ignore[no-any-return]


# Attributes of the very tensor that a hooked layer returned: that a rule keeps it, and how it can be made again.
_KEPT, _REMADE = "_signxai_kept", "_signxai_remade"


@contextmanager
def remaking() -> Iterator[None]:
    """Keep no output of a ReLU for the backward pass inside whose input a rule keeps: a third of all activations.

    Concerns what autograd itself saves as well, such as the input of a max-pooling layer.
    """
    with torch.autograd.graph.saved_tensors_hooks(
        lambda value: getattr(value, _REMADE, value),
        lambda saved: saved.make() if isinstance(saved, _Remade) else saved,
    ):
        yield


class _Relevance(torch.autograd.Function):
    """The node that stands for one call of one layer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, output: Tensor, hook: RelevanceHook, module: nn.Module, once: bool) -> Tensor:
        ctx.hook, ctx.module, ctx.once, ctx.shape = hook, module, once, x.shape
        ctx.output, ctx.version = output if hook.needs_output else None, output._version
        ctx.save_for_backward(x if hook.needs_input else output.new_empty(0))
        return output.detach()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        (arriving,) = grad_outputs
        if not ctx.hook.needs_input:
            x = arriving.new_empty(()).expand(ctx.shape)  # its shape is all that counts
        with torch.no_grad():
            output = result_of(ctx, x) if ctx.hook.needs_output else arriving
            relevance = ctx.hook.relevance(ctx.module, x, output, arriving)
        if ctx.once:
            ctx.output = None
        return relevance, None, None, None, None


def is_call(node: Any) -> bool:
    """Return whether an autograd node stands for the call of a layer that has a rule: its `hook` and `module`."""
    return node is not None and node.name() == f"{_Relevance.__name__}Backward"


def is_users_hook(node: Any) -> bool:
    """Return whether an autograd node does nothing but call a full backward hook, which torch puts behind a layer."""
    return node is not None and node.name() == "BackwardHookFunctionBackward"


def result_of(call: Any, x: Tensor) -> Tensor:
    """Return what the layer of a call returned, from its input; made again if nobody kept it as it was."""
    if call.output is None or call.output._version != call.version:  # changed in place after the layer
        return call.module.forward(x)  # type: ignore[no-any-return]
    return call.output  # type: ignore[no-any-return]


def behind_a_rule(x: Tensor) -> bool:
    """Return whether a tensor is the output of a layer that has a rule."""
    return is_call(x.grad_fn)


class RelevanceHook(Hook):
    """Base of all rules: a zennit `Hook` whose `relevance` method is the layer's backward pass.

    Attributes
    ----------
    needs_input, needs_output : bool
        Whether `relevance` reads the values of the layer's input and output. What it does not read is not kept in
        memory; such an argument then has the right shape and undefined values.
    once : bool
        Whether the graph is walked once, so that a layer's output may be let go as soon as its relevance is known.
    lenient : bool
        Whether a call that is not ``layer(x)`` with one tensor as its result is left to autograd, instead of refused.
    """

    needs_input = True
    needs_output = True
    once = False
    lenient = False

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

    def of(self, composite: int) -> RelevanceHook:
        """Return the rule of one of the composites that share a forward pass; a rule alone is that of all."""
        return self

    def seen(self, module: nn.Module, x: Tensor, rule: RelevanceHook | None) -> None:
        """Take note of a call; composites listen here."""

    def register(self, module: nn.Module) -> RemovableHandleList:
        """Attach to a module; the handles returned detach."""
        return RemovableHandleList(
            [
                RemovableHandle(self),
                module.register_forward_pre_hook(self._cut, with_kwargs=True),
                module.register_forward_hook(self._join),
            ]
        )

    def remove(self) -> None:
        """Forget all tensors."""
        super().remove()
        self.waiting.clear()

    def _cut(
        self, module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if self.lenient and (keywords or not inputs):
            return None
        if not inputs:
            raise TypeError(f"{type(module).__name__} is called with keywords; rules need it called as layer(x)")
        x = inputs[0]
        if not (self.active and isinstance(x, Tensor) and x.requires_grad):
            return None
        if any(isinstance(one, Tensor) and one.requires_grad for one in inputs[1:]):
            if next(module.parameters(recurse=False), None) is not None:
                raise TypeError(f"{type(module).__name__} is called with several tensors; a rule needs one")
            return None  # joins branches: the gradient goes to each
        # Forward runs on a detached tensor; the one that autograd knows waits for `_join`.
        self.waiting.append(x)
        return (x.detach(), *inputs[1:]), keywords

    def _join(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if not self.waiting:
            return None
        x = self.waiting.pop()
        if self.lenient and not isinstance(output, Tensor):
            with torch.enable_grad():
                return module.forward(x, *inputs[1:])
        if not isinstance(output, Tensor):
            raise TypeError(f"{type(module).__name__} returns {type(output).__name__}; a rule needs one tensor")
        rule = self.choose(module, x, output)
        self.seen(module, x, rule)
        if rule is None:
            # No rule for this call: run the layer again where autograd sees it.
            with torch.enable_grad():
                return module.forward(x, *inputs[1:])
        result = _Relevance.apply(x, output.detach(), rule, module, self.once)
        if rule.needs_output:
            setattr(result, _KEPT, True)
        elif type(module) is nn.ReLU and getattr(x, _KEPT, False):
            setattr(result, _REMADE, _Remade(module, x.detach(), x._version))
        return result
