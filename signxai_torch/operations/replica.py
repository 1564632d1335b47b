"""A stand-in for a model: modules of its own that share the model's weights, in eval mode.

The user's model is only read. What its forward pass does to attributes, buffers and modes happens to the stand-in,
which is thrown away; so threads may explain, predict with and train one model at once, and an interrupted explanation
leaves nothing behind. `torch.nn.DataParallel` makes its replicas the same way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import nn

Wrap = Callable[[nn.Module, str, Callable[..., Any]], Callable[..., Any]]
"""Makes another forward of a module, its path and its forward."""


def replicate(model: nn.Module, wrap: Wrap | None = None) -> nn.Module:
    """Return a stand-in.

    Parameters
    ----------
    model : torch.nn.Module
        The model; TorchScript modules in it stand for themselves, compiled ones are replaced by what was compiled.
    wrap : callable, optional
        Gives each stand-in another forward.
    """
    replicas: dict[nn.Module, nn.Module] = {}
    weights: dict[int, torch.Tensor] = {}

    def replica_of(module: nn.Module, path: str) -> nn.Module:
        if module in replicas:
            return replicas[module]
        original = getattr(module, "_orig_mod", None)
        if isinstance(original, nn.Module) and type(module).__name__ == "OptimizedModule":
            replicas[module] = replica_of(original, path)
            return replicas[module]
        if isinstance(module, torch.jit.ScriptModule):
            replicas[module] = module
            return module
        replica = object.__new__(type(module))
        attributes = dict(module.__dict__)
        if not type(module).__module__.startswith("torch.nn."):
            attributes = {name: _rebound(one, module, replica) for name, one in attributes.items()}
        elif "forward" in attributes:  # torch's own modules hold no methods of theirs but one that somebody put there
            attributes["forward"] = _rebound(attributes["forward"], module, replica)
        replicas[module] = replica
        attributes["_parameters"] = {name: _alias(one, weights) for name, one in module._parameters.items()}
        attributes["_buffers"] = {
            name: None if one is None else one.detach().clone() for name, one in module._buffers.items()
        }
        attributes["_modules"] = {
            name: None if one is None else replica_of(one, f"{path}.{name}" if path else name)
            for name, one in module._modules.items()
        }
        attributes["training"] = False
        # What watches or changes the gradients of training has no part in an explanation.
        attributes |= {"_backward_hooks": OrderedDict(), "_backward_pre_hooks": OrderedDict()}
        if attributes.get("_compiled_call_impl") is not None:
            attributes["_compiled_call_impl"] = None
        replica.__dict__.update(attributes)
        if isinstance(module, nn.RNNBase):
            replica.__dict__["_flat_weights"] = [getattr(replica, name, None) for name in module._flat_weights_names]
        if wrap is not None:
            replica.__dict__["forward"] = wrap(replica, path, _forward_of(replica))
        return replica

    return replica_of(model, "")


def _alias(parameter: Any, weights: dict[int, torch.Tensor]) -> Any:
    """Return the same memory without a gradient, and with a count of changes of its own: others may train it."""
    if parameter is None:
        return None
    if id(parameter) not in weights:
        weights[id(parameter)] = nn.Parameter(parameter.data, requires_grad=False)
    return weights[id(parameter)]


def _forward_of(replica: nn.Module) -> Callable[..., Any]:
    own = replica.__dict__.get("forward")  # put there by somebody, instead of the class's
    return MethodType(type(replica).forward, replica) if own is None else own


def _rebound(attribute: Any, module: nn.Module, replica: nn.Module) -> Any:
    """Return an attribute; a method of the module that it holds becomes the stand-in's."""
    if isinstance(attribute, MethodType) and attribute.__self__ is module:
        return MethodType(attribute.__func__, replica)
    return attribute
