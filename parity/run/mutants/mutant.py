"""A mutant: a wrong port, as a subject function and a row that says what is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt
import torch
from torch import Tensor, nn

from signxai_torch import explain

Map = npt.NDArray[Any]
SubjectFunction = Callable[..., Any]
"""What ``parity run --subject file.py:function`` takes: ``f(model, x, method, target, **parameters)``, which returns
the map in the shape of `x` (torch layout, batch first)."""

Dtypes = Literal["float64", "float32", "both"]


@dataclass(frozen=True)
class Mutant:
    """A wrong port.

    Called as a subject function it returns the wrong map in the dtypes it is wrong in, and the port's own elsewhere.

    Attributes
    ----------
    name : str
        Lower case, with underscores.
    wrong : str
        What is wrong, in one sentence.
    function : callable
        A subject function that is wrong in every dtype.
    stopped_by : str
        A check that must fail in a row of it: a check of the judge, what a known difference holds the subject to,
        "error", or "any" of them.
    models : tuple of str
        Shipped models, or networks of `parity.run.mutants.networks`, that it is tried on.
    methods : tuple of str
        The methods that it is tried with.
    dtypes : {"both", "float64", "float32"}
        Where it is wrong.
    where : str
        Which part of the map or of the model is wrong.
    beside : str or None
        The known difference that applies to its cases, and that must not excuse it.
    samples : int
        How many of the model's first inputs it is tried on.
    """

    name: str
    wrong: str
    function: SubjectFunction
    stopped_by: str
    models: tuple[str, ...]
    methods: tuple[str, ...]
    dtypes: Dtypes = "both"
    where: str = "everywhere"
    beside: str | None = None
    samples: int = 1

    def __post_init__(self) -> None:
        for name in ("name", "wrong", "stopped_by", "models", "methods", "where"):
            if not getattr(self, name):
                raise ValueError(f"The mutant {self.name!r} has no {name}.")

    def __call__(self, model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        """Return the map, wrong in the dtypes of this mutant."""
        first = x[0] if isinstance(x, tuple) else x  # a model of several inputs
        function = self.function if self.is_wrong_in(str(first.dtype).removeprefix("torch.")) else right
        return function(model, x, method, target, **parameters)

    def is_wrong_in(self, dtype: str) -> bool:
        """Say whether it is wrong in a dtype."""
        return self.dtypes in ("both", dtype)

    def fresh(self) -> Mutant:
        """Return this mutant without a memory of earlier cases."""
        return copy.deepcopy(self)


def right(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Return the port's map, or one per input: the healthy port as a subject function."""
    maps: Any = explain(model, x, method, target=target, **parameters)
    return maps  # type: ignore[no-any-return]


def map_changed(change: Callable[[Map], Any]) -> SubjectFunction:
    """Return a subject function that spoils the right map; `change` gets it in torch layout, batch first."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        maps: Any = right(model, x, method, target, **parameters)
        return tuple(map(change, maps)) if isinstance(maps, tuple) else change(maps)

    return function


def map_changed_by_input(change: Callable[[Map, Map], Any]) -> SubjectFunction:
    """Return a subject function that spoils the right map; `change` gets the map and the input."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        return change(right(model, x, method, target, **parameters), x.numpy())

    return function


def model_changed(change: Callable[[nn.Module], Any]) -> SubjectFunction:
    """Return a subject function that explains a spoilt copy of the model."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        spoilt = copy.deepcopy(model)
        with torch.no_grad():
            change(spoilt)
        return right(spoilt, x, method, target, **parameters)

    return function


def input_changed(change: Callable[[Tensor], Tensor]) -> SubjectFunction:
    """Return a subject function that explains another input."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        return right(model, change(x.clone()), method, target, **parameters)

    return function


def target_changed(change: Callable[[Tensor], Tensor]) -> SubjectFunction:
    """Return a subject function that explains another class; `change` gets the logits and returns the classes."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        with torch.no_grad():
            classes = change(model(x)).tolist()
        return right(model, x, method, classes, **parameters)

    return function


def named(method: str | Callable[[str], str], **fixed: Any) -> SubjectFunction:
    """Return a subject function that computes another method, or the same with other parameters.

    Parameters
    ----------
    method : str or callable
        The other method's name, or what makes it from the name asked for.
    **fixed
        Parameters in place of those asked for.
    """

    def function(model: nn.Module, x: Tensor, method_asked: str, target: list[int], **parameters: Any) -> Any:
        name = method(method_asked) if callable(method) else method
        return right(model, x, name, target, **{**parameters, **fixed})

    return function


def same(method: str) -> str:
    """Return the name as it is: the method asked for, in `named`."""
    return method


def under(context: Callable[[], AbstractContextManager[Any]]) -> SubjectFunction:
    """Return a subject function that asks the port while something inside it is replaced."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        with context():
            return right(model, x, method, target, **parameters)

    return function


def replaced(place: object, name: str, value: object) -> Callable[[], AbstractContextManager[None]]:
    """Return what makes a context in which an attribute (of a mapping: an item) is another; it is put back after."""

    @contextmanager
    def context() -> Iterator[None]:
        inherited = False
        if isinstance(place, dict):
            before = place[name]
            place[name] = value
        else:
            inherited = name not in vars(place)
            before = getattr(place, name) if inherited else vars(place)[name]
            setattr(place, name, value)
        try:
            yield
        finally:
            if isinstance(place, dict):
                place[name] = before
            elif inherited:  # what a base class has is the base class's again
                delattr(place, name)
            else:
                setattr(place, name, before)

    return context


def inside(place: object, name: str, value: object) -> SubjectFunction:
    """Return a subject function that asks the port while an attribute or item of it is another."""
    return under(replaced(place, name, value))
