"""Operations that no rule can reach: functions called in `forward` where a method needs modules.

Rules are attached to modules. ``F.relu(x)`` or ``a + b`` in a model's own code gets the gradient instead, and the map
is another method's without a word. The graph that autograd keeps anyway tells. In LRP, which has a rule for everything,
what lies between two layers must only move values, take their maximum with a stride, or interpolate. In other methods
it must not be what they have a rule for, as far as autograd's name for it tells: a ReLU written as ``h * (h > 0)`` is
not recognized.

What a layer without children of its own computes is that layer's business, whether it has a rule or not, unless it has
no parameters and joins several tensors: what it adds or multiplies has a rule too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.operations.hook import is_call, is_users_hook, operation
from signxai_torch.operations.moves import MOVING


class UnhookedOperationError(TypeError):
    """A model computes outside its modules what the method has a rule for."""


# Autograd's names for what functions compute, with the function and what to use in its place.
_RECTIFIERS = {
    "Relu": ("relu", "torch.nn.ReLU"),
    "Hardtanh": ("relu6 or hardtanh", "torch.nn.ReLU6"),
    "LeakyRelu": ("leaky_relu", "torch.nn.LeakyReLU"),
    "Clamp": ("clamp", "torch.nn.ReLU or torch.nn.ReLU6"),
    "ClampMin": ("clamp", "torch.nn.ReLU"),
    "Maximum": ("maximum", "torch.nn.ReLU"),
    "Threshold": ("threshold", "torch.nn.ReLU"),
}
_ACTIVATIONS = _RECTIFIERS | {
    "Hardtanh": ("relu6 or hardtanh", "torch.nn.ReLU6 or torch.nn.Hardtanh"),
    "Clamp": ("clamp", "torch.nn.ReLU or torch.nn.Hardtanh"),
    "Threshold": ("threshold", "torch.nn.Threshold"),
    "Sigmoid": ("sigmoid", "torch.nn.Sigmoid"),
    "Tanh": ("tanh", "torch.nn.Tanh"),
    "Elu": ("elu or selu", "torch.nn.ELU or torch.nn.SELU"),
    "Celu": ("celu", "torch.nn.CELU"),
    "RreluWithNoise": ("rrelu", "torch.nn.RReLU"),
    "Gelu": ("gelu", "torch.nn.GELU"),
    "Silu": ("silu", "torch.nn.SiLU"),
    "Mish": ("mish", "torch.nn.Mish"),
    "Softplus": ("softplus", "torch.nn.Softplus"),
    "Hardswish": ("hardswish", "torch.nn.Hardswish"),
    "Hardsigmoid": ("hardsigmoid", "torch.nn.Hardsigmoid"),
    "LogSigmoid": ("logsigmoid", "torch.nn.LogSigmoid"),
    "PreluKernel": ("prelu", "torch.nn.PReLU"),
    "Softmax": ("softmax", "torch.nn.Softmax"),
    "LogSoftmax": ("log_softmax", "torch.nn.LogSoftmax"),
    "Exp": ("exp", "a module of its own"),
}
_KERNELS = {
    "Addmm": ("linear", "torch.nn.Linear"),
    "Mm": ("a matrix product", "torch.nn.Linear"),
    "Bmm": ("a matrix product", "torch.nn.Linear"),
    "Convolution": ("a convolution", "torch.nn.Conv2d or the like"),
}
_SUM = "zennit.layer.Sum, called as layer(torch.stack([a, b], dim=-1))"
_ARITHMETIC = {
    "Add": ("+", f"{_SUM}, for branches, or a module of its own for a constant"),
    "Sub": ("-", "a module of its own"),
    "Mul": ("*", "a module of its own"),
    "Div": ("/", "a module of its own"),
    "Pow": ("**", "a module of its own"),
    "Sum": ("sum", "torch.nn.AdaptiveAvgPool2d or the like"),
    "Mean": ("mean", "torch.nn.AdaptiveAvgPool2d(1) or the like"),
    "AvgPool2D": ("avg_pool", "torch.nn.AvgPool2d or the like"),
    "AvgPool3D": ("avg_pool", "torch.nn.AvgPool3d"),
    "AdaptiveAvgPool2D": ("adaptive_avg_pool2d", "torch.nn.AdaptiveAvgPool2d"),
    "AdaptiveAvgPool3D": ("adaptive_avg_pool3d", "torch.nn.AdaptiveAvgPool3d"),
    "NativeBatchNorm": ("batch_norm", "torch.nn.BatchNorm2d or the like"),
}
_POOLING = {
    "MaxPool2DWithIndices": ("max_pool", "torch.nn.MaxPool2d or the like"),
    "MaxPool3DWithIndices": ("max_pool", "torch.nn.MaxPool3d"),
    "AdaptiveMaxPool2D": ("adaptive_max_pool2d", "torch.nn.AdaptiveMaxPool2d"),
    "Amax": ("amax", "torch.nn.AdaptiveMaxPool2d or the like"),
}

# What moves values, or hands on the largest, or interpolates: the gradient is the rule of such a layer too.
_HARMLESS = MOVING | {"Amax", "Max"}
_HARMLESS_FAMILIES = ("MaxPool", "AdaptiveMaxPool", "Upsample")


_OTHERS = {
    "torch::autograd::CopySlices": (
        "an assignment to a part of a tensor (as circular padding makes them)",
        "torch.cat, or a module such as torch.nn.CircularPad2d,",
    ),
}


def _is(bound: Any, number: float | None) -> bool:
    """Return whether the bound of a clamp, a number or a tensor or None, is a number everywhere."""
    if bound is None or number is None:
        return bound is number
    return bool((torch.as_tensor(bound) == number).all())


def _of_zeros(node: Any) -> bool:
    """Return whether one of the two tensors of a maximum is a constant of zeros."""
    constants = (node._saved_self, node._saved_other)
    return any(
        before is None and not bool(value.any())
        for (before, _), value in zip(node.next_functions, constants, strict=True)
    )


_RELU6 = 6.0
# Which bounds make a ReLU of a function; others may serve other ends, such as keeping a norm from zero.
_BENT_AT_ZERO: dict[str, Callable[[Any], bool]] = {
    "ClampMin": lambda node: _is(node._saved_min, 0),
    "Maximum": _of_zeros,
}
# Which make a ReLU or a ReLU6 of it: with others it has no rule in guided backpropagation as a module either.
_BOUNDED_LIKE_RELU = _BENT_AT_ZERO | {
    "Threshold": lambda node: _is(node._saved_threshold, 0),
    "Hardtanh": lambda node: _is(node._saved_min_val, 0) and _is(node._saved_max_val, _RELU6),
    "Clamp": lambda node: _is(node._saved_min, 0) and (_is(node._saved_max, _RELU6) or _is(node._saved_max, None)),
}


@dataclass(frozen=True)
class Operations:
    """What a method cannot leave to functions.

    Attributes
    ----------
    known : mapping of str to (str, str)
        Operations in autograd's words, with the function and what to use in its place.
    where : mapping of str to callable
        For some of them, which autograd nodes count.
    all_others : bool
        Whether any other operation that does more than move values is refused too.
    """

    known: Mapping[str, tuple[str, str]]
    where: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)
    all_others: bool = False

    def finds(self, node: Any) -> tuple[str, str] | None:
        """Return what an autograd node computes that the method cannot leave to it, and what to use in its place."""
        name = operation(node)
        if name in self.known and (name not in self.where or self.where[name](node)):
            return self.known[name]
        if not self.all_others or is_call(node) or is_users_hook(node) or name in _HARMLESS:
            return None
        if name.endswith("Backward"):  # a user's function, whatever its name begins with
            return name, "a module of its own"
        if name.startswith("MaxPool") and set(getattr(node, "_saved_stride", ())) == {1}:
            return "max_pool with a stride of 1", "torch.nn.MaxPool2d or the like"
        return None if name.startswith(_HARMLESS_FAMILIES) else _OTHERS.get(name, (name, "a module of its own"))


RECTIFIERS = Operations(_RECTIFIERS, _BOUNDED_LIKE_RELU)
"""What has a rule in guided backpropagation and deconvnet."""
KERNELS = Operations(_ACTIVATIONS | _KERNELS, _BENT_AT_ZERO)
"""What has a rule in deep Taylor."""
LAYERS = Operations(_ACTIVATIONS | _KERNELS | _ARITHMETIC, all_others=True)
"""What has a rule in LRP: everything."""
BENDS = Operations(_ACTIVATIONS | _POOLING, _BENT_AT_ZERO)
"""What has a rule in DeepLIFT."""


class Calls:
    """The calls of layers in one forward pass.

    Attributes
    ----------
    inputs : dict
        From the autograd node of each result to those of the layer's inputs.
    makers : dict
        From the autograd node of each result to the layer.
    """

    def __init__(self) -> None:
        self.inputs: dict[Any, list[Any]] = {}
        self.makers: dict[Any, nn.Module] = {}
        self._entered: list[tuple[int, list[Any]]] = []

    def enter(self, module: nn.Module, inputs: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """Note what a layer is called with."""
        given = list(_tensors((*inputs, *keywords.values())))
        self._entered.append((len(given), [one.grad_fn for one in given if one.requires_grad]))

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Note what it returns."""
        number, before = self._entered.pop()
        if number == 0 or (len(before) > 1 and next(module.parameters(recurse=False), None) is None):
            return  # what it was called with is unknown, or it joins tensors: it is looked into
        for one in _tensors((output,)):
            # What a layer hands on as it is, it has not made.
            if one.grad_fn is not None and one.grad_fn not in before:
                self.inputs[one.grad_fn], self.makers[one.grad_fn] = before, module

    def check(self, output: Tensor, operations: Operations) -> None:
        """Refuse a graph with operations outside its layers.

        Parameters
        ----------
        output : torch.Tensor
            What the model returned.
        operations : Operations
            What the method cannot leave to functions.

        Raises
        ------
        UnhookedOperationError
            If there is such an operation; the message names it and what to use in its place.
        """
        waiting: list[Any] = [output.grad_fn]
        met: set[Any] = set()
        while waiting:
            node = waiting.pop()
            if node is None or node in met:
                continue
            met.add(node)
            if not is_call(node) and node in self.inputs:  # a layer without a rule
                waiting += self.inputs[node]
                continue
            found = operations.finds(node)
            if found is not None:
                raise UnhookedOperationError(
                    f"the model computes {found[0]} where no rule reaches it, in the forward method of a module that "
                    "holds or joins others: this method attaches a rule to modules; make "
                    f"{found[1]} in __init__ and call that in forward"
                )
            waiting += [before for before, _ in node.next_functions]


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for one in values:
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, (tuple, list)):
            yield from _tensors(one)
        elif isinstance(one, Mapping):
            yield from _tensors(list(one.values()))


def refuse_hidden_layers(model: nn.Module) -> None:
    """Refuse a model whose layers run without their hooks.

    Raises
    ------
    UnhookedOperationError
        If the model is or holds a TorchScript module or one compiled by torch.compile.
    """
    for one in model.modules():
        if isinstance(one, torch.jit.ScriptModule):
            raise UnhookedOperationError(
                f"the model is or holds a TorchScript module ({type(one).__name__}), whose layers take no rules; use "
                "the module that it was traced or scripted from"
            )
        if type(one).__name__ == "OptimizedModule" or getattr(one, "_compiled_call_impl", None) is not None:
            raise UnhookedOperationError(
                "the model is or holds a module compiled by torch.compile, whose layers take no rules; use the module "
                "that was compiled (its `_orig_mod`), or one that compile() was not called on"
            )


@contextmanager
def calls_of(model: nn.Module) -> Iterator[Calls]:
    """Note the calls of a model's layers; to be entered after the rules were attached.

    Raises
    ------
    UnhookedOperationError
        If the layers run without hooks, see `refuse_hidden_layers`.
    """
    refuse_hidden_layers(model)
    calls = Calls()
    handles: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for module in model.modules():
            if next(module.children(), None) is None:
                # Ahead of the rules' hooks, which hand the module another tensor, and behind those that join it again.
                handles.append(module.register_forward_pre_hook(calls.enter, prepend=True, with_kwargs=True))
                handles.append(module.register_forward_hook(calls.leave))
        yield calls
    finally:
        for handle in handles:
            handle.remove()
        calls.inputs.clear()
        calls.makers.clear()
