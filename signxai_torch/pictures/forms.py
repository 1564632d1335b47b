"""The forms in which maps are handed in: an array or tensor, several of them, or what `explain_many` returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]
_DEPTH = 3
"""A dict of methods, each a dict or tuple of inputs, is two deep."""


@dataclass(frozen=True)
class Named:
    """An array, what it is called in titles and (`where`) in messages, and the keys and numbers that lead to it."""

    title: str
    where: str
    path: tuple[Any, ...]
    values: Array


def named_arrays(value: Any, where: str = "relevance") -> list[Named]:
    """Return every array of what was handed in, in its order.

    Parameters
    ----------
    value : array, tensor, or mapping or sequence of such
        A dict's keys become titles. Lists of plain numbers are arrays.
    where : str
        What messages call it.

    Raises
    ------
    TypeError
        If something in it is no array of real numbers.
    ValueError
        If there is nothing in it, or an array is empty.
    """
    arrays = list(_walk(value, "", where, ()))
    if not arrays:
        raise ValueError(f"{where} holds no map, so there is nothing to show")
    return arrays


def _walk(value: Any, title: str, where: str, path: tuple[Any, ...]) -> Iterable[Named]:
    if isinstance(value, Mapping):
        parts = [
            (f"{title}, {key}" if title else str(key), f"{where}[{key!r}]", key, part) for key, part in value.items()
        ]
    elif _holds_arrays(value):
        parts = [(f"{title or where}[{i}]", f"{where}[{i}]", i, part) for i, part in enumerate(value)]
    else:
        yield Named(title, where, path, as_array(value, where))
        return
    if len(path) == _DEPTH:
        raise TypeError(
            f"{where} lies too deep: give an array, a dict or a list of arrays, or what explain_many returns"
        )
    for part_title, part_where, key, part in parts:
        yield from _walk(part, part_title, part_where, (*path, key))


def _is_array(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def _holds_arrays(value: Any) -> bool:
    """Say whether something is several things and not one list of numbers."""
    if _is_array(value) or isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        return False
    if not isinstance(value, (list, tuple)):  # dict.values(), a generator
        return True
    return not value or any(
        _is_map(part) or (isinstance(part, (list, tuple)) and any(map(_is_map, part))) for part in value
    )


def _is_map(value: Any) -> bool:
    """Say whether something is an array of its own and no number, as NumPy's scalars are."""
    return isinstance(value, Mapping) or (_is_array(value) and np.ndim(value) > 0)


def as_array(value: Any, where: str) -> Array:
    """Return an array or tensor, wherever it lies and whatever its precision, as an array of floats.

    Raises
    ------
    TypeError
        If it holds no real numbers.
    ValueError
        If it is empty.
    """
    values = _of_tensor(value, where) if isinstance(value, torch.Tensor) else _of_other(value, where)
    if values.dtype.kind == "c":
        raise TypeError(f"{where} holds complex numbers; show its .real, .imag or abs()")
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{where} holds {values.dtype} values; real numbers are needed")
    if values.size == 0:
        raise ValueError(f"{where} is empty: its shape is {values.shape}")
    if values.dtype not in (np.float32, np.float64):  # sums of half precision overflow
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    return values


def _of_tensor(value: torch.Tensor, where: str) -> Array:
    if value.is_meta:
        raise TypeError(f"{where} is a tensor on the meta device, which holds no numbers")
    value = value.detach()
    if value.is_quantized:
        value = value.dequantize()
    if value.layout != torch.strided:
        value = value.to_dense()
    value = value.cpu().resolve_conj().resolve_neg()
    # NumPy has no bfloat16, and none of the 8-bit floats.
    return (value.float() if value.is_floating_point() and value.dtype != torch.float64 else value).numpy()


def _of_other(value: Any, where: str) -> Array:
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"{where} must be an array or a tensor, or several of them, not {value!r}")
    if isinstance(value, np.ma.MaskedArray) and value.dtype.kind in "fiub":  # what is masked is no number
        return np.asarray(np.ma.filled(value.astype(np.float64), np.nan))
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # lists of different lengths
        raise TypeError(f"{where} is no array of numbers: {error}") from None
