"""The front door: one method, or many, for a model and a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signxai_torch.grammar import Method, listed, parse
from signxai_torch.plan import Plan, Wanted
from signxai_torch.state import undisturbed
from signxai_torch.targets import Target

# What a call may set besides the parameters of the method's row.
_NOISE = ("noise", "seed")
_EXTRA = {"smoothgrad": (*_NOISE, "batch_size"), "vargrad": (*_NOISE, "batch_size"), "random": _NOISE,
          "integrated_gradients": ("batch_size",), "grad_cam": ("size",),
          "lrp": ("epsilon", "stdfactor", "alpha", "beta", "gamma", "mu", "low", "high", "bias")}  # fmt: skip


def list_methods() -> list[str]:
    """Return the listed method names. Any number works in a name, so more names are legal than are listed."""
    return list(listed())


def parameters_of(method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's parameters with the caller's on top.

    Raises
    ------
    TypeError
        If the method takes no such parameter; the message lists those it takes.
    """
    taken = {
        *method.parameters,
        *_EXTRA.get(method.row.template if method.family == "lrp" else method.family, ()),
    }
    if any(what == "x_sign_mu" for what, _ in method.modifiers):
        taken |= {"mu", "vlow", "vhigh"}
    unknown = sorted(set(given) - taken)
    if unknown:
        raise TypeError(
            f"{method} takes no parameter {', '.join(unknown)}; it takes {', '.join(sorted(taken)) or 'none'}"
        )
    return dict(method.parameters) | dict(given)


def check_input(model: nn.Module, x: Any) -> Tensor:
    """Return `x` as a tensor that a model can be explained on.

    Raises
    ------
    TypeError
        If it is not a floating-point tensor.
    ValueError
        If it is empty or holds NaN or infinite values.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a torch.Tensor in torch layout, batch first, not {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"x must be floating point, not {x.dtype}; use x.float()")
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(f"x must have a batch axis and at least one value, not shape {tuple(x.shape)}")
    if not bool(torch.isfinite(x).all()):
        bad = tuple(int(i) for i in (~torch.isfinite(x)).nonzero()[0])
        raise ValueError(f"x holds NaN or infinite values, the first at index {bad}")
    return x.detach()


def explain(model: nn.Module, x: Tensor, method: str, target: Target = None, **params: Any) -> np.ndarray[Any, Any]:
    """Explain a model's output for a batch with one method.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is left as it was: mode, hooks, gradients, parameters.
    x : torch.Tensor
        Inputs in torch layout, batch first: (N, C, H, W), (N, C, T) or (N, F). It is not changed.
    method : str
        A method name such as ``"lrpsign_epsilon_0_25_std_x"``; see `list_methods`.
    target : None, int or one int per sample
        The explained class; None takes each sample's arg-max.
    **params
        Parameters of the method, such as ``steps``, ``noise_scale``, ``seed``, ``epsilon`` or ``mu``.

    Returns
    -------
    numpy.ndarray
        The map, signed, in the shape and dtype of `x`. Every sample is explained as if alone.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    TypeError, ValueError
        If the input, the target or a parameter is not usable; the message says which and why.
    """
    parsed = parse(method)
    x = check_input(model, x)
    alone = Plan([Wanted(parsed, parameters_of(parsed, params))])
    with undisturbed(model):
        return alone.run(model, x, target)[method].cpu().numpy()


def plan(methods: Sequence[str]) -> Plan:
    """Return what several methods share when they are explained together; ``print(plan(methods))`` shows the tree.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    """
    if isinstance(methods, str):
        raise TypeError(f"methods must be several names, not the str {methods!r}; explain() takes one")
    parsed = [parse(method) for method in dict.fromkeys(methods)]
    return Plan([Wanted(one, parameters_of(one, {})) for one in parsed])


def explain_many(
    model: nn.Module,
    x: Tensor,
    methods: Sequence[str],
    target: Target = None,
    memory_limit: int | None = None,
) -> dict[str, np.ndarray[Any, Any]]:
    """Explain a model's output for a batch with several methods, which share what they have in common.

    The maps are those of `explain`, in a fraction of the time: one forward pass serves all methods of rules and
    gradients, methods that differ in the input layer's rule share the pass above it, variants such as ``_x_input``
    their base, SmoothGrad and VarGrad their noise. `plan` shows what is shared.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is left as it was.
    x : torch.Tensor
        Inputs in torch layout, batch first. It is not changed.
    methods : sequence of str
        Method names.
    target : None, int or one int per sample
        The explained class; None takes each sample's arg-max.
    memory_limit : int, optional
        Bytes that may be taken besides the weights (``plan(methods).memory(model, x)`` says how many it takes
        without a limit); the batch is explained in parts that fit.

    Returns
    -------
    dict of str to numpy.ndarray
        A map per method name, in the order of `methods`.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    TypeError, ValueError
        As `explain`; and if not even one sample fits into `memory_limit`.
    """
    together = plan(methods)  # an unknown name costs nothing but the message
    x = check_input(model, x)
    with undisturbed(model):
        maps = together.run(model, x, target, memory_limit)
    # Equal maps of different names (lrp_z, lrp.z) are computed once; each caller's array is its own.
    taken: set[int] = set()
    return {name: _own(one, taken) for name, one in maps.items()}


def _own(one: Tensor, taken: set[int]) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = one.cpu().numpy()
    if one.data_ptr() in taken:
        return array.copy()
    taken.add(one.data_ptr())
    return array
