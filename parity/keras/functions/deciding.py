"""Comparisons, and what is decided by them: 1 where they hold and 0 elsewhere, made of the signs of differences."""

from __future__ import annotations

from typing import Any

from parity.keras.functions import arithmetic, shapes
from parity.keras.functions.arithmetic import operands
from parity.keras.functions.elementwise import activation, same
from parity.keras.functions.pointwise import pointwise
from parity.keras.functions.spelling import (
    Arguments,
    Composition,
    NotSpelledError,
    Spelled,
    Spelling,
    Tensor,
    first_tensor,
)

_MOST_CLASSES = 4096
WHOLE = ("int32", "int64")


def _sign_of_difference(arguments: Arguments) -> tuple[Composition, Tensor]:
    left, right = operands(arguments)
    composition, shape = Composition(), _shape(left, right)
    difference = composition.add(arithmetic.subtract, {"x": left, "y": right}, shape)
    return composition, composition.add(pointwise("math.sign"), {"x": difference}, shape)


def greater(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x > y``: what of the difference's sign is above 0."""
    composition, sign = _sign_of_difference(arguments)
    composition.add(activation("relu"), {"x": sign})
    return composition.layers


def less(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x < y``."""
    left, right = operands(arguments)
    return greater({"x": right, "y": left})


def differs(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x != y``: the square of the difference's sign."""
    composition, sign = _sign_of_difference(arguments)
    composition.add(arithmetic.square, {"x": sign})
    return composition.layers


def negated(comparison: Spelling) -> Spelling:
    """Return 1 where a comparison does not hold."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        left, right = operands(arguments)
        composition = Composition()
        shape = _shape(left, right)
        holds = composition.add(comparison, {"x": left, "y": right}, shape)
        composition.add(arithmetic.subtract, {"x": 1.0, "y": holds}, shape)
        return composition.layers

    return spelling


def opposite(arguments: Arguments) -> tuple[Spelled, ...]:
    """``logical_not``."""
    return arithmetic.subtract({"x": 1.0, "y": first_tensor(arguments)})


def where(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell values of a tensor where a condition holds, and of another elsewhere, each times 1 or 0.

    Both are computed everywhere: an infinite value makes NaN also where it is not chosen.
    """
    condition = arguments.get("condition")
    names = ("x1", "x2") if "x1" in arguments else ("x", "y")
    if not isinstance(condition, Tensor) or any(arguments.get(name) is None for name in names):
        raise NotSpelledError("gives the places where a condition holds, whose number is open")
    chosen, other = (arguments[name] for name in names)
    composition = Composition()
    shape = _shape(condition, chosen, other)
    rest = composition.add(opposite, {"x": condition}, condition.shape)
    parts = [
        composition.add(arithmetic.multiply, {"x": holds, "y": value}, shape)
        for holds, value in ((condition, chosen), (rest, other))
        if isinstance(value, Tensor) or value != 0
    ]
    if len(parts) == 2:
        composition.add(arithmetic.add, {"x": parts[0], "y": parts[1]}, shape)
    elif not parts:
        return filled(0.0)(arguments)
    return composition.layers


def filled(number: float) -> Spelling:
    """Spell a tensor of one number, of the shape of another."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        return (Spelled("Rescaling", {"scale": 0.0, "offset": number}, (first_tensor(arguments).name,)),)

    return spelling


def one_hot(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell a row of numbers for each whole number: 1 at its place, and 0 elsewhere."""
    x = first_tensor(arguments)
    classes = arguments.get("depth", arguments.get("num_classes"))
    told = [name for name in ("on_value", "off_value", "sparse") if arguments.get(name)]
    if type(classes) is not int or not 0 < classes <= _MOST_CLASSES or told:
        raise NotSpelledError(f"is called with {classes!r} classes" + "".join(f" and {name}" for name in told))
    if arguments.get("axis") not in (None, -1, len(x.shape) + 1):
        raise NotSpelledError(f"puts the classes along axis {arguments['axis']!r}, and only the last is supported")
    composition, shape = Composition(), (*x.shape, classes)
    # Repeated along an axis of one place: a layer that reads a number once, and hands it to each class.
    column = composition.add(shapes.expand_dims, {"x": x, "axis": -1}, (*x.shape, 1))
    rows = composition.add(shapes.repeat, {"x": column, "repeats": classes, "axis": -1}, shape)
    composition.add(negated(differs), {"x": rows, "y": [float(number) for number in range(classes)]}, shape)
    return composition.layers


def cast(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell a cast between floating point types, which the dtype of the model decides, or to whole numbers."""
    dtype = str(arguments.get("dtype"))
    if dtype in ("float32", "float64"):
        return same(arguments)
    if dtype not in WHOLE:
        raise NotSpelledError(f"casts to {arguments.get('dtype')!r}")
    x, composition = first_tensor(arguments), Composition()
    sign = composition.add(pointwise("math.sign"), {"x": x}, x.shape)
    size = composition.add(arithmetic.absolute, {"x": x}, x.shape)
    whole = composition.add(pointwise("math.floor"), {"x": size}, x.shape)
    composition.add(arithmetic.multiply, {"x": sign, "y": whole}, x.shape)
    return composition.layers


def _shape(*values: Any) -> tuple[int | None, ...]:
    """Return the shape of what is made of tensors and constants."""
    shapes = [value.shape for value in values if isinstance(value, Tensor)]
    if len({len(shape) for shape in shapes}) > 1:
        raise NotSpelledError(f"joins tensors of {' and '.join(str(len(shape)) for shape in shapes)} axes")
    return tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*shapes, strict=True))
