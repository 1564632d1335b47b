"""The front door: one method, or many, for a model and a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
from torch import Tensor, nn

from signxai_torch.lrp.targets import Target
from signxai_torch.methods.grammar import listed, parse
from signxai_torch.operations.inputs import Several
from signxai_torch.operations.layout import Place, check_place, handed_over
from signxai_torch.operations.model import Output, explaining
from signxai_torch.sweep.parameters import parameters_of
from signxai_torch.sweep.plan import Plan, Wanted

Array = np.ndarray[Any, Any]


def list_methods() -> list[str]:
    """Return the listed method names. Any number works in a name, so more names are legal than are listed.

    Returns
    -------
    list of str
        SIGN-XAI's wrappers first, then the names of both references' analyzers and those of the published port.

    Examples
    --------
    >>> import signxai_torch
    >>> "lrp_epsilon_0_1" in signxai_torch.list_methods()
    True
    """
    return list(listed())


@overload
def explain(model: nn.Module, x: Tensor, method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["numpy"] = "numpy",
            **params: Any) -> Array: ...  # fmt: skip
@overload
def explain(model: nn.Module, x: tuple[Tensor, ...], method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["numpy"] = "numpy",
            **params: Any) -> tuple[Array, ...]: ...  # fmt: skip
@overload
def explain(model: nn.Module, x: list[Tensor], method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["numpy"] = "numpy",
            **params: Any) -> list[Array]: ...  # fmt: skip
@overload
def explain(model: nn.Module, x: Mapping[str, Tensor], method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["numpy"] = "numpy",
            **params: Any) -> dict[str, Array]: ...  # fmt: skip
@overload
def explain(model: nn.Module, x: Tensor, method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["torch"],
            **params: Any) -> Tensor: ...  # fmt: skip
@overload
def explain(model: nn.Module, x: tuple[Tensor, ...], method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["torch"],
            **params: Any) -> tuple[Tensor, ...]: ...  # fmt: skip
@overload
def explain(model: nn.Module, x: list[Tensor], method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["torch"],
            **params: Any) -> list[Tensor]: ...  # fmt: skip
@overload
def explain(model: nn.Module, x: Mapping[str, Tensor], method: str, target: Target = None, *,
            output: Output | None = None, strict: bool = False, to: Literal["torch"],
            **params: Any) -> dict[str, Tensor]: ...  # fmt: skip


def explain(
    model: nn.Module,
    x: Tensor | Several,
    method: str,
    target: Target = None,
    *,
    output: Output | None = None,
    strict: bool = False,
    to: Place = "numpy",
    **params: Any,
) -> Any:
    """Explain a model's output for a batch with one method.

    Parameters
    ----------
    model : torch.nn.Module
        Any model of torch's functions, in training or in eval mode; it is explained as in eval mode. It is only
        read: no hook, mode, gradient or buffer of it changes, so threads may use it meanwhile.
    x : torch.Tensor, or tuple, list or dict of str to torch.Tensor
        Inputs in torch layout, batch first: (N, C, H, W), (N, C, T) or (N, F), float32 or float64. It is not changed.
        A model of several inputs is called ``model(*x)``, or ``model(**x)`` with a dict; all of them have the same N
        and dtype.
    method : str
        A method name such as ``"lrpsign_epsilon_0_25_std_x"``; see `list_methods`.
    target : None, int, tuple of int, callable or one per sample
        The explained class; None takes each sample's arg-max. In an output of more axes a tuple is a place in it,
        such as (position, class), and None takes the place of the sample's largest logit of all, over all positions
        and classes. A callable makes targets of the logits.
    output : callable, optional
        Makes logits, one row per sample, of what the model returns: ``output=lambda made: made.logits``.
    strict : bool
        Refuse what neither reference has a rule for, such as a squeeze-and-excitation or a layer normalisation.
        Otherwise a rule of the literature is used, and a `BeyondReferenceWarning` names it.
    to : {"numpy", "torch"}
        Where the map is wanted: as an array, or as a tensor on the device of `x`.
    **params
        Parameters of the method, such as ``steps``, ``noise_scale``, ``epsilon`` or ``mu``. With a ``seed`` noise is
        that of the references with `numpy.random.seed`; without one it is drawn anew at every call, and numpy's
        global generator is left alone. All LRP methods take ``batch_norm``: "reference" is SIGN-XAI's rule, "merge"
        makes a batch normalisation a part of the kernel before it. Of several inputs ``baseline`` and ``noise`` are
        held as `x` is, one entry per input; a baseline may be one number or function for all.

    Returns
    -------
    numpy.ndarray or torch.Tensor, or tuple, list or dict of str to such
        The map, signed, in the shape and dtype of `x` (Grad-CAM's with ``size=``: in that size), in memory of its own.
        Every sample is explained as if alone. Several inputs have a map each, held as they are; they share one
        explanation, so their relevance adds up together. An input that the explained logit does not depend on has a
        map of zeros.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    UnhookedOperationError
        If the model computes something that no rule reaches; the message names all of it, with module and line.
    TypeError, ValueError
        If the input, the target or a parameter is not usable; the message says which and why.

    Examples
    --------
    >>> import torch, signxai_torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> signxai_torch.explain(model, torch.ones(2, 4), "lrp_epsilon_0_1", target=0).shape
    (2, 4)
    >>> pair = torch.nn.Bilinear(4, 5, 3)
    >>> [one.shape for one in signxai_torch.explain(pair, (torch.ones(2, 4), torch.ones(2, 5)), "gradient", target=0)]
    [(2, 4), (2, 5)]
    """
    check_place(to)
    parsed = parse(method)
    alone = Plan([Wanted(parsed, parameters_of(parsed, params))], strict)
    with explaining(model, x, output) as (explained, batch):
        return handed_over([alone.run(explained, batch, target)[method]], explained.inputs, to)[0]


def plan(methods: Sequence[str]) -> Plan:
    """Return what several methods share when they are explained together; ``print(plan(methods))`` shows the tree.

    Parameters
    ----------
    methods : sequence of str
        Method names.

    Returns
    -------
    Plan
        Printed it is a tree of passes; ``plan(methods).memory(model, x)`` is how many bytes it takes besides the
        weights.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    TypeError
        If it is one name and not several.

    Examples
    --------
    >>> import signxai_torch
    >>> print(signxai_torch.plan(["gradient", "smoothgrad"]))  # doctest: +ELLIPSIS
    2 methods...
    """
    if isinstance(methods, str):
        raise TypeError(f"methods must be several names, not the str {methods!r}; explain() takes one")
    if not isinstance(methods, Iterable):
        raise TypeError(f"methods must be several names, such as ['gradient', 'lrp_z'], not {methods!r}")
    parsed = [parse(method) for method in dict.fromkeys(methods)]
    return Plan([Wanted(one, parameters_of(one, {})) for one in parsed])


@overload
def explain_many(model: nn.Module, x: Tensor, methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["numpy"] = "numpy") -> dict[str, Array]: ...  # fmt: skip
@overload
def explain_many(model: nn.Module, x: tuple[Tensor, ...], methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["numpy"] = "numpy"
                 ) -> dict[str, tuple[Array, ...]]: ...  # fmt: skip
@overload
def explain_many(model: nn.Module, x: list[Tensor], methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["numpy"] = "numpy") -> dict[str, list[Array]]: ...  # fmt: skip
@overload
def explain_many(model: nn.Module, x: Mapping[str, Tensor], methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["numpy"] = "numpy"
                 ) -> dict[str, dict[str, Array]]: ...  # fmt: skip
@overload
def explain_many(model: nn.Module, x: Tensor, methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["torch"]) -> dict[str, Tensor]: ...  # fmt: skip
@overload
def explain_many(model: nn.Module, x: tuple[Tensor, ...], methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["torch"]) -> dict[str, tuple[Tensor, ...]]: ...  # fmt: skip
@overload
def explain_many(model: nn.Module, x: list[Tensor], methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["torch"]) -> dict[str, list[Tensor]]: ...  # fmt: skip
@overload
def explain_many(model: nn.Module, x: Mapping[str, Tensor], methods: Sequence[str], target: Target = None,
                 memory_limit: int | None = None, *, output: Output | None = None, strict: bool = False,
                 seed: int | None = None, to: Literal["torch"]) -> dict[str, dict[str, Tensor]]: ...  # fmt: skip


def explain_many(
    model: nn.Module,
    x: Tensor | Several,
    methods: Sequence[str],
    target: Target = None,
    memory_limit: int | None = None,
    *,
    output: Output | None = None,
    strict: bool = False,
    seed: int | None = None,
    to: Place = "numpy",
) -> Any:
    """Explain a model's output for a batch with several methods, which share what they have in common.

    The maps are those of `explain`, in a fraction of the time: one forward pass serves all methods of rules,
    methods that differ in the input layer's rule share the pass above it, variants such as ``_x_input``
    their base, SmoothGrad and VarGrad their noise. `plan` shows what is shared.

    Parameters
    ----------
    model : torch.nn.Module
        The model; it is only read.
    x : torch.Tensor, or tuple, list or dict of str to torch.Tensor
        Inputs in torch layout, batch first, as for `explain`. It is not changed.
    methods : sequence of str
        Method names.
    target : None, int, tuple of int, callable or one per sample
        The explained class, as for `explain`.
    memory_limit : int, optional
        Bytes that may be taken besides the weights (``plan(methods).memory(model, x)`` says how many it takes
        without a limit); the batch is explained in parts that fit.
    output : callable, optional
        Makes logits of what the model returns, as for `explain`.
    strict : bool
        Refuse what neither reference has a rule for, as for `explain`.
    seed : int, optional
        Of the noise of SmoothGrad, VarGrad and ``random``. Without one it is drawn anew at every call.
    to : {"numpy", "torch"}
        Where the maps are wanted, as for `explain`.

    Returns
    -------
    dict of str to numpy.ndarray or torch.Tensor, or to tuple, list or dict of such
        What `explain` returns per method name, in the order of `methods`, each map in memory of its own.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    TypeError, ValueError
        As `explain`; and if not even one sample fits into `memory_limit`.

    Examples
    --------
    >>> import torch, signxai_torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> maps = signxai_torch.explain_many(model, torch.ones(2, 4), ["gradient", "lrp_z"], target=0)
    >>> {name: values.shape for name, values in maps.items()}
    {'gradient': (2, 4), 'lrp_z': (2, 4)}
    """
    check_place(to)
    together = plan(methods)  # an unknown name costs nothing but the message
    together.strict, together.seed = strict, seed
    with explaining(model, x, output) as (explained, batch):
        maps = together.run(explained, batch, target, memory_limit)
        # Equal maps of different names (lrp_z, lrp.z) are computed once; each caller's array is its own.
        return dict(zip(maps, handed_over(maps.values(), explained.inputs, to), strict=True))
