"""The published functions `calculate_relevancemap` and `calculate_relevancemaps`, and the table of analyzers."""

from __future__ import annotations

import copyreg
from abc import ABCMeta
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from signxai_torch.api import explain
from signxai_torch.lrp.targets import Target
from signxai_torch.methods.grammar import UnknownMethodError, listed, parse
from signxai_torch.published import analyzers
from signxai_torch.published.analyzer import Map, MethodAnalyzer
from signxai_torch.published.options import canonical

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
__all__ = ["SUPPORTED_ZENNIT_METHODS", "calculate_relevancemap", "calculate_relevancemaps"]


@cache
def _named_classes() -> dict[str, type[MethodAnalyzer]]:
    """Return the published classes whose default is a method of the table, by its name."""
    # Of two classes of one method the first is meant: `VarGradAnalyzer` before its like with other spellings.
    classes = (getattr(analyzers, name) for name in reversed(analyzers.__all__))
    return {one.method: one for one in classes if issubclass(one, MethodAnalyzer) and one.method}


class _MadeForMethod(ABCMeta):
    """The type of classes that are made when they are asked for; a pickle of one names the method."""


@cache
def _class_for(name: str) -> type[MethodAnalyzer]:
    method = parse(name)
    known = _named_classes().get(method.synonym_of or name)
    if known is not None:
        return known
    described = {"method": name, "__doc__": f"Method ``{name}``: {method.row.formula}.", "__module__": __name__}
    made: Any = _MadeForMethod(f"MethodAnalyzer[{name}]", (MethodAnalyzer,), described)
    return cast(type[MethodAnalyzer], made)


def _pickled(one: Any) -> str | tuple[Any, ...]:
    """Return how a class is found again: by its method, but one that a user derives by its name."""
    return (_class_for, (one.method,)) if _class_for(one.method) is one else one.__qualname__


copyreg.pickle(_MadeForMethod, _pickled)


class _Analyzers(Mapping[str, type[MethodAnalyzer]]):
    """Method name -> analyzer class; iterates over the listed names and understands every legal one."""

    def __getitem__(self, name: str) -> type[MethodAnalyzer]:
        try:
            return _class_for(name)
        except UnknownMethodError as error:
            raise KeyError(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(listed())

    def __len__(self) -> int:
        return len(listed())

    def __repr__(self) -> str:
        return f"<analyzer classes of {len(self)} methods and every other legal name>"


SUPPORTED_ZENNIT_METHODS: Mapping[str, type[MethodAnalyzer]] = _Analyzers()
"""Analyzer class per method name.

``SUPPORTED_ZENNIT_METHODS[name](model).analyze(x)`` is ``explain(model, x, name)``: a published class such as
`GradientAnalyzer` where its default is the method, else a `MethodAnalyzer` of that method. Iterating gives the names
of `list_methods`; every other legal name (``lrp_epsilon_0_3``, dotted ones as ``lrp.epsilon``) is understood too. An
unknown name raises KeyError with the nearest names.
"""


def calculate_relevancemap(
    model: nn.Module,
    input_tensor: Tensor,
    method: str,
    target_class: Target = None,
    neuron_selection: Target = None,
    **kwargs: Any,
) -> Map:
    """Explain a model's output for an input or a batch with one method; `explain` for published scripts.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is left as it was.
    input_tensor : torch.Tensor
        Inputs in torch layout, batch first. One input without its batch axis is accepted where that cannot be
        mistaken: one axis alone, (F,), or one axis less than the model's convolutions need, (C, H, W) or (C, T).
        For models without convolutions inputs of two axes and more are batch first.
    method : str
        A method name such as ``"lrpsign_epsilon_0_25_std_x"`` or ``"lrp.epsilon"``; see `list_methods`.
    target_class : None, int or one int per sample
        The explained class; None takes each sample's arg-max.
    neuron_selection : None, int or one int per sample
        Another name of `target_class`.
    **kwargs
        Parameters of the method, under their own names or published ones (`signxai_torch.published.options.SPELLINGS`).

    Returns
    -------
    numpy.ndarray
        The map, signed, in the shape and dtype of `input_tensor`.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given. It is a ValueError.
    ValueError
        If `target_class` and `neuron_selection` differ.
    TypeError, ValueError
        If the input, the target or a parameter is not usable; the message says which and why.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, not {type(model).__name__}; the order is model, input, method"
        )
    target = _one_target(target_class, neuron_selection)
    alone = _lacks_batch_axis(model, input_tensor)
    x = input_tensor.unsqueeze(0) if alone else input_tensor
    result: np.ndarray[Any, Any] = explain(model, x, method, target, **canonical(kwargs))
    return result[0] if alone else result


def calculate_relevancemaps(
    model: nn.Module,
    input_tensor: Tensor | Sequence[Tensor],
    method: str | Sequence[str],
    target_class: Target = None,
    neuron_selection: Target = None,
    **kwargs: Any,
) -> list[Map] | dict[str, Map] | dict[str, list[Map]]:
    """Explain with several methods, or several inputs, or both; each as `calculate_relevancemap` does.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is left as it was.
    input_tensor : torch.Tensor or sequence of torch.Tensor
        An input or batch, or a sequence of them, which may differ in size.
    method : str or sequence of str
        A method name or several.
    target_class : None, int or sequence of int
        The explained class; for a sequence of inputs one for all, or one entry per input.
    neuron_selection : None, int or sequence of int
        Another name of `target_class`.
    **kwargs
        Parameters; every one of the methods must take them.

    Returns
    -------
    list or dict
        A list of maps for several inputs, a dict by method name for several methods, a dict of lists for both.

    Raises
    ------
    TypeError
        If both are single.
    ValueError
        If the number of targets is not that of inputs, or as `calculate_relevancemap` does.
    """
    if isinstance(method, str) and isinstance(input_tensor, Tensor):
        raise TypeError("one input and one method: use calculate_relevancemap, or give a list of either")
    names = [parse(name).name for name in ([method] if isinstance(method, str) else method)]
    target = _one_target(target_class, neuron_selection)

    if isinstance(input_tensor, Tensor):
        return {name: calculate_relevancemap(model, input_tensor, name, target, **kwargs) for name in names}
    targets = _target_per_input(target, len(input_tensor))
    maps = {
        name: [
            calculate_relevancemap(model, x, name, one, **kwargs) for x, one in zip(input_tensor, targets, strict=True)
        ]
        for name in names
    }
    return maps[method] if isinstance(method, str) else maps


def _one_target(target_class: Target, neuron_selection: Target) -> Target:
    if target_class is None or neuron_selection is None:
        return neuron_selection if target_class is None else target_class
    first, second = (
        np.atleast_1d(one.detach().cpu().numpy() if isinstance(one, Tensor) else np.asarray(one))
        for one in (target_class, neuron_selection)
    )
    if not np.array_equal(first, second):
        raise ValueError(
            f"target_class={target_class!r} and neuron_selection={neuron_selection!r} are two names of the same thing "
            "and differ; give one of them"
        )
    return target_class


def _target_per_input(target: Target, count: int) -> list[Any]:
    if target is None or callable(target) or np.ndim(target) == 0:
        return [target] * count
    targets = list(target)  # type: ignore[arg-type]
    if len(targets) != count:
        raise ValueError(f"{len(targets)} targets for {count} inputs; give one for all, or one per input")
    return targets


def _lacks_batch_axis(model: nn.Module, x: Any) -> bool:
    if not isinstance(x, Tensor):
        return False  # explain says what is wrong
    if x.dim() == 1:
        return True
    needed = {len(module.kernel_size) + 2 for module in model.modules() if isinstance(module, _CONVOLUTIONS)}
    return needed == {x.dim() + 1}
