"""Functions of torch that are written in Python and looked into: each of their steps is an operation of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from torch.nn import functional as F

OPENED = {F.multi_head_attention_forward}
"""Attention is projections, products and a softmax, and those have rules; the function as a whole has none."""
_CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


@cache
def opened(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same code, which computes in the open instead of handing itself to whoever watches."""
    assert isinstance(function, FunctionType)
    names = {**function.__globals__, **{name: lambda *_: False for name in _CHECKS}}
    again = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    again.__kwdefaults__ = function.__kwdefaults__
    return again
