"""Sizes of tensors as values, such as ``tf.shape(x)[0]``: no layer computes them; what reads them is told numbers."""

from __future__ import annotations

from typing import Any

from parity.keras.functions.spelling import RESULT, Arguments, Tensor


class Batch:
    """Stands for the size of the batch axis, which no layer is told: it is no number, and only a reshape takes it."""

    def __repr__(self) -> str:
        return "the batch's size"


BATCH = Batch()
Size = int | None | Batch
Sizes = Size | tuple[Size, ...]
"""One size, or those of all axes; None where it is open."""


def measured(function: str, arguments: Arguments) -> tuple[bool, Sizes]:
    """Return whether an operation gives sizes, and which.

    Parameters
    ----------
    function
        Its name.
    arguments
        By name; sizes that it reads are lists and numbers already.
    """
    values = list(arguments.values())
    if function == "shape":
        return True, (BATCH, *next(value.shape for value in values if isinstance(value, Tensor)))
    if any(isinstance(value, Tensor) for value in values):
        return False, None
    if function == "__operators__.getitem" and isinstance(arguments.get("tensor"), list):
        return True, _part(arguments["tensor"], arguments.get("slice_spec"))
    if function == "unstack" and isinstance(arguments.get("value"), list):
        return True, arguments["value"][arguments[RESULT]]
    if function in ("concat", "stack") and arguments.get("axis", 0) in (0, -1):
        joined = _joined(arguments.get("values"), function == "concat")
        return joined is not None, joined
    if function in ("math.multiply", "__operators__.mul", "__operators__.rmul"):
        return True, _product(arguments.get("x"), arguments.get("y"))
    return False, None


def _joined(values: Any, of_rows: bool) -> tuple[Size, ...] | None:
    """Return sizes in one row, of several rows or of single sizes; None if there are tensors among them."""
    if not isinstance(values, list) or not values:
        return None
    sizes: list[Size] = []
    for value in values:
        row = value if of_rows else [value]
        if not isinstance(row, list) or not all(size is None or type(size) is int or size is BATCH for size in row):
            return None
        sizes += row
    return tuple(sizes)


def _part(sizes: list[int | None], spec: Any) -> Sizes:
    if isinstance(spec, list) and len(spec) == 1:
        (spec,) = spec
    if type(spec) is int:
        return sizes[spec] if -len(sizes) <= spec < len(sizes) else None
    if not isinstance(spec, dict):
        return None
    return tuple(sizes[slice(spec.get("start"), spec.get("stop"), spec.get("step"))])


def _product(x: Any, y: Any) -> int | None:
    """Return the product of two known sizes; that of the batch with another one is not known."""
    return x * y if type(x) is int and type(y) is int and x > 0 and y > 0 else None
