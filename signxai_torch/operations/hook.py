"""The zennit hook that all rules share: it replaces the gradient of a layer by the layer's relevance.

zennit's own hooks let autograd run the layer's backward pass and then replace the result. Here the layer is cut
out of the autograd graph instead: its forward pass runs once, as always, and one autograd node takes its place,
whose backward pass is the rule. Nothing is computed twice, and state lives in the node of each call, so a module
that is called several times, or in several threads on separate models, is safe.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Hook, RemovableHandle, RemovableHandleList

# Operations that only move or pad values: a layer behind them is still the input layer. SIGN-XAI looks through
# Flatten, Permute, Reshape and ZeroPadding (iNNvestigate not through padding).
TRANSPARENT = frozenset(
    ("Alias", "Clone", "ConstantPadNd", "Expand", "Permute", "ReshapeAlias", "Squeeze", "T", "ToCopy", "Transpose",
     "UnsafeView", "Unsqueeze", "View", "_Reshape_copy")
)  # fmt: skip


def operation(node: Any) -> str:
    """Return what an autograd node is the backward pass of, in autograd's words; all of the name of a user's node."""
    name: str = node.name()
    what, _, version = name.rpartition("Backward")
    return what if what and version.isdigit() else name  # a user's `class Flip(Function)` is no flip of torch's


def made_by(x: Tensor) -> Any:
    """Return the autograd node that made a tensor, full backward hooks of the user left out; None for a leaf."""
    node, number = x.grad_fn, x.output_nr
    while is_users_hook(node):
        node, number = node.next_functions[number]  # type: ignore[union-attr]
    return node


def sees_input(x: Tensor) -> bool:
    """Return whether a layer's input is the model's input, up to reshaping, permuting and zero padding."""
    node, number = x.grad_fn, x.output_nr
    while node is not None and (is_users_hook(node) or operation(node) in TRANSPARENT):
        node, number = node.next_functions[number if is_users_hook(node) else 0]
    return node is None or operation(node) == "torch::autograd::AccumulateGrad"


class Call:
    """One call of a layer, to be made once more with another tensor and otherwise the same arguments.

    Attributes
    ----------
    module : torch.nn.Module
        The layer.
    before : torch.Tensor or None
        The values of the tensor before the layer ran, which may have worked in place; kept for lenient rules only.
    moves : bool or None
        Whether the layer moves values, once a rule has asked; several composites may.
    """

    def __init__(self, module: nn.Module, given: Mapping[int | str, Any], key: int | str, keep: bool) -> None:
        self.module, self._given, self._key = module, {**given, key: None}, key
        self.before: Tensor | None = given[key].detach().clone() if keep else None
        self._version: int = given[key]._version
        self.moves: bool | None = None

    def __call__(self, value: Tensor) -> Any:
        """Return the layer's result for another tensor."""
        by_place, by_name = self.arguments(value)
        return self.module.forward(*by_place, **by_name)

    def again(self, value: Tensor) -> Any:
        """Return the layer's result for the very tensor of this call, as it was before the layer ran."""
        if self.before is not None and value._version != self._version:
            with torch.no_grad():
                value.detach().copy_(self.before)
        return self(value)

    def on_a_copy(self) -> Call:
        """Return the call of a copy of the layer: attributes and buffers that it changes are its own."""
        module = copy.copy(self.module)
        buffers = {name: None if one is None else one.clone() for name, one in module._buffers.items()}
        module.__dict__ = {**module.__dict__, "_buffers": buffers}
        return Call(module, {**self._given, self._key: self.before}, self._key, keep=False)

    def arguments(self, value: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments, by place and by name, with another tensor."""
        given = {**self._given, self._key: value}
        by_place = tuple(one for place, one in given.items() if isinstance(place, int))
        return by_place, {name: one for name, one in given.items() if isinstance(name, str)}


@dataclass(frozen=True)
class _Remade:
    """A ReLU's output that is made again when it is needed, from an input that a rule keeps anyway."""

    module: nn.Module
    source: Tensor
    version: int
    made: int  # the version of the output itself; changed in place, it is no longer what the layer makes

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


@dataclass(frozen=True)
class _Saved:
    """A value that autograd saved. That nobody changes it is for us to see: torch does not look at what hooks keep."""

    value: Tensor
    version: int

    def make(self) -> Tensor:
        """Return the value.

        Raises
        ------
        RuntimeError
            If it was changed in place meanwhile.
        """
        if self.value._version != self.version:
            raise RuntimeError(
                f"a value of shape {tuple(self.value.shape)} that the gradient needs was changed in place after it had "
                "been computed; the model must not change it (`h = h + 1` instead of `h += 1`)"
            )
        return self.value


# Attributes of the very tensor that a hooked layer returned: that a rule keeps it, and how it can be made again.
_KEPT, _REMADE = "_signxai_kept", "_signxai_remade"


def _pack(value: Tensor) -> _Saved | _Remade:
    remade: _Remade | None = getattr(value, _REMADE, None)
    if remade is not None and value._version == remade.made:
        return remade
    # Detached, because an operation may save its own output: nothing would ever free that circle.
    return _Saved(value.detach(), value._version)


@contextmanager
def remaking() -> Iterator[None]:
    """Keep no output of a ReLU for the backward pass inside whose input a rule keeps: a third of all activations.

    Concerns what autograd itself saves as well, such as the input of a max-pooling layer.
    """
    with torch.autograd.graph.saved_tensors_hooks(_pack, lambda saved: saved.make()):
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
    return is_call(made_by(x))


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
        Whether the tensor may come with further arguments or as a keyword, and a result that is not one tensor is left
        to autograd, instead of refused.
    """

    needs_input = True
    needs_output = True
    once = False
    lenient = False

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Tensor, Call]] = []

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

    def choose(self, module: nn.Module, x: Tensor, output: Tensor, call: Call) -> RelevanceHook | None:
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
        if not inputs and not self.lenient:
            raise TypeError(f"{type(module).__name__} is called with keywords; rules need it called as layer(x)")
        given: dict[int | str, Any] = dict(enumerate(inputs))
        given.update(keywords)
        found = [key for key, one in given.items() if isinstance(one, Tensor) and one.requires_grad]
        if not self.active or not found or (found[0] != 0 and not self.lenient):
            return None
        if len(found) > 1:
            if next(module.parameters(recurse=False), None) is not None:
                raise TypeError(f"{type(module).__name__} is called with several tensors; a rule needs one")
            return None  # joins branches: the gradient goes to each
        # Forward runs on a detached tensor; the one that autograd knows waits for `_join`.
        x = given[found[0]]
        call = Call(module, given, found[0], keep=self.lenient)
        self.waiting.append((x, call))
        return call.arguments(x.detach())

    def _join(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if not self.waiting:
            return None
        x, call = self.waiting.pop()
        if not isinstance(output, Tensor) and not self.lenient:
            raise TypeError(f"{type(module).__name__} returns {type(output).__name__}; a rule needs one tensor")
        rule = None
        if isinstance(output, Tensor):
            rule = self.choose(module, x, output, call)
            self.seen(module, x, rule)
        if rule is None:
            # No rule for this call: run the layer again where autograd sees it.
            with torch.enable_grad():
                return call.again(x)
        result = _Relevance.apply(x, output.detach(), rule, module, self.once)
        if rule.needs_output:
            setattr(result, _KEPT, True)
        elif type(module) is nn.ReLU and getattr(x, _KEPT, False):
            setattr(result, _REMADE, _Remade(module, x.detach(), x._version, result._version))
        return result
