"""Functions that change their argument: told by their names, and run as functions that make a new tensor."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from signxai_torch.operations.watch import places_of

_TAKE_INPLACE = "threshold relu relu6 hardtanh leaky_relu elu celu selu silu mish hardswish hardsigmoid rrelu"
_MAYBE_IN_PLACE = {getattr(F, name) for name in _TAKE_INPLACE.split()}


def works_in_place(function: Callable[..., Any]) -> bool:
    """Return whether a function changes its first argument: by its name: a trailing underscore, or `__iadd__`."""
    name: str = getattr(function, "__name__", "")
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__invert__", "__index__", "__int__"))
    return name.endswith("_")


def asked_in_place(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    """Return whether a function is called with an argument that asks it to work in place."""
    if "inplace" in keywords:
        return bool(keywords["inplace"])
    place = places_of(function).get("inplace") if function in _MAYBE_IN_PLACE else None
    return place is not None and place < len(args) and bool(args[place])


def out_of_place(
    function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the function that makes a new tensor of what another writes into its argument, and its arguments."""
    if "inplace" in keywords:
        return function, args, {**keywords, "inplace": False}
    if function in _MAYBE_IN_PLACE:
        place = places_of(function)["inplace"]
        return function, (*args[:place], False, *args[place + 1 :]), keywords
    return _new_form(function), args, keywords


@cache
def _new_form(function: Callable[..., Any]) -> Callable[..., Any]:
    name = function.__name__
    plain = f"__{name[3:]}" if name.startswith("__i") else name[:-1]
    if name != "__setitem__" and hasattr(Tensor, plain) and name not in ("copy_", "fill_", "zero_"):
        return getattr(Tensor, plain)  # type: ignore[no-any-return]

    def on_a_copy(target: Tensor, *args: Any, **keywords: Any) -> Tensor:
        copy = target.clone()
        function(copy, *args, **keywords)
        return copy

    on_a_copy.__name__ = name
    return on_a_copy
