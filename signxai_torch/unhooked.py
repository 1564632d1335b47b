"""Operations that no rule can reach: functions called in `forward` where a method needs modules.

Rules are attached to modules. ``F.relu(x)`` or ``a + b`` in a model's own code gets the gradient instead, and the map
is another method's without a word. The graph that autograd keeps anyway tells: what lies between two layers must only
move values. What a layer without children of its own computes is that layer's business, whether it has a rule or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.hook import is_call


class UnhookedOperationError(TypeError):
    """A model computes outside its modules what the method has a rule for."""


# Autograd's names for what functions compute, with the function and what to use in its place.
_RECTIFIERS = {
    "Relu": ("relu", "torch.nn.ReLU"),
    "Hardtanh": ("relu6 or hardtanh", "torch.nn.ReLU6 or torch.nn.Hardtanh"),
    "LeakyRelu": ("leaky_relu", "torch.nn.LeakyReLU"),
    "Clamp": ("clamp", "torch.nn.ReLU or torch.nn.Hardtanh"),
    "ClampMin": ("clamp", "torch.nn.ReLU"),
    "Threshold": ("threshold", "torch.nn.Threshold"),
}
_ACTIVATIONS = _RECTIFIERS | {
    "Sigmoid": ("sigmoid", "torch.nn.Sigmoid"),
    "Tanh": ("tanh", "torch.nn.Tanh"),
    "Elu": ("elu, selu or celu", "torch.nn.ELU, SELU or CELU"),
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

Operations = Mapping[str, tuple[str, str]]
RECTIFIERS: Operations = _RECTIFIERS
"""What has a rule in guided backpropagation and deconvnet."""
KERNELS: Operations = _ACTIVATIONS | _KERNELS
"""What has a rule in deep Taylor."""
LAYERS: Operations = _ACTIVATIONS | _KERNELS | _ARITHMETIC
"""What has a rule in LRP."""
BENDS: Operations = _ACTIVATIONS | _POOLING
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
        self._entered: list[list[Any]] = []

    def enter(self, module: nn.Module, inputs: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """Note what a layer is called with."""
        self._entered.append([one.grad_fn for one in _tensors((*inputs, *keywords.values()))])

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Note what it returns."""
        before = self._entered.pop()
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
        operations : mapping of str to (str, str)
            What the method has a rule for.

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
            found = operations.get(node.name().rpartition("Backward")[0])
            if found is not None:
                raise UnhookedOperationError(
                    f"the model calls {found[0]} as a function, where this method needs a module, because rules are "
                    f"attached to modules; use {found[1]} in the model's __init__ and call that in forward"
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


@contextmanager
def calls_of(model: nn.Module) -> Iterator[Calls]:
    """Note the calls of a model's layers; to be entered after the rules were attached.

    Raises
    ------
    UnhookedOperationError
        If the model is a TorchScript module, whose layers run without hooks.
    """
    scripted = next((one for one in model.modules() if isinstance(one, torch.jit.ScriptModule)), None)
    if scripted is not None:
        raise UnhookedOperationError(
            f"the model is or holds a TorchScript module ({type(scripted).__name__}), whose layers take no rules; use "
            "the module that it was traced or scripted from"
        )
    calls, handles = Calls(), []
    for module in model.modules():
        if next(module.children(), None) is None:
            # Ahead of the rules' hooks, which hand the module another tensor, and behind those that join it again.
            handles.append(module.register_forward_pre_hook(calls.enter, prepend=True, with_kwargs=True))
            handles.append(module.register_forward_hook(calls.leave))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
        calls.inputs.clear()
        calls.makers.clear()
