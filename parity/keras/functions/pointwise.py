"""Functions of each value that no layer of Keras 2.12 computes, and what is made of them.

The bare operation itself stays, as the layer that Keras makes of one: both references can call it where it reads one
tensor and is told nothing besides.
"""

from __future__ import annotations

import math
from typing import Any

from parity.keras.description import Shape
from parity.keras.functions import arithmetic
from parity.keras.functions.arithmetic import operands, scaled
from parity.keras.functions.elementwise import activation
from parity.keras.functions.reducing import reduced
from parity.keras.functions.shapes import squeeze
from parity.keras.functions.spelling import (
    PREVIOUS,
    Arguments,
    Composition,
    NotSpelledError,
    Spelled,
    Spelling,
    Tensor,
    axis_of,
    first_tensor,
    refuse_settings,
)

_MOST_FACTORS = 8
_OF_POWERS = {0.5: "math.sqrt", -0.5: "math.rsqrt", -1.0: "math.reciprocal"}


def pointwise(function: str) -> Spelling:
    """Keep a function."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        refuse_settings(arguments)
        return (Spelled("TFOpLambda", {"function": function}, (first_tensor(arguments).name,)),)

    return spelling


def logarithm(base: float) -> Spelling:
    """Spell a logarithm by the natural one."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        channels = first_tensor(arguments).shape[-1]
        return (*pointwise("math.log")(arguments), scaled(PREVIOUS, channels, 1 / math.log(base)))

    return spelling


def divide(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x / y``; where y is a tensor, x times its reciprocal."""
    left, right = operands(arguments)
    if not isinstance(right, Tensor):
        return arithmetic.divide(arguments)
    composition = Composition()
    inverse = composition.add(pointwise("math.reciprocal"), {"x": right}, right.shape)
    if left != 1:
        composition.add(arithmetic.multiply, {"x": left, "y": inverse})
    return composition.layers


def power(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x ** constant``: a product of as many factors, a root, or by the logarithm where that has the same domain."""
    x, exponent = operands(arguments)
    numbers = exponent if isinstance(exponent, list) else [exponent]
    if not isinstance(x, Tensor) or len(numbers) != 1 or not isinstance(numbers[0], (int, float)):
        raise NotSpelledError("raises something else than a tensor to the power of one number")
    number = float(numbers[0])
    if number in _OF_POWERS:
        return pointwise(_OF_POWERS[number])({"x": x})
    if number.is_integer() and 2 <= number <= _MOST_FACTORS:
        return (Spelled("Multiply", {}, (x.name,) * int(number)),)
    composition = Composition()
    if number.is_integer() and 2 <= -number <= _MOST_FACTORS:
        product = composition.add(power, {"x": x, "y": -number}, x.shape)
        composition.add(pointwise("math.reciprocal"), {"x": product})
    elif number < 1 and not number.is_integer():
        logarithms = composition.add(pointwise("math.log"), {"x": x}, x.shape)
        times = composition.add(arithmetic.multiply, {"x": logarithms, "y": number}, x.shape)
        composition.add(activation("exponential"), {"x": times})
    else:
        raise NotSpelledError(f"raises to the power {number}, which no layers of Keras do")
    return composition.layers


def variance(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell the mean square of what differs from the mean."""
    x, axes = first_tensor(arguments), arguments.get("axis")
    composition = Composition()
    mean = composition.add(reduced("Average"), {"x": x, "axis": axes, "keepdims": True}, _kept(x, axes))
    rest = composition.add(arithmetic.subtract, {"x": x, "y": mean}, x.shape)
    squares = composition.add(arithmetic.square, {"x": rest}, x.shape)
    composition.add(reduced("Average"), {"x": squares, "axis": axes, "keepdims": arguments.get("keepdims")})
    return composition.layers


def deviation(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell the square root of the variance."""
    return _root_of(variance, arguments)


def logsumexp(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell the logarithm of a sum of powers of e, the largest of them taken off before and added again."""
    x, composition = first_tensor(arguments), Composition()
    told = {name: arguments.get(name) for name in ("axis", "keepdims")}
    largest = composition.add(reduced("Max"), {"x": x, "axis": told["axis"], "keepdims": True}, _kept(x, told["axis"]))
    rest = composition.add(arithmetic.subtract, {"x": x, "y": largest}, x.shape)
    powers = composition.add(activation("exponential"), {"x": rest}, x.shape)
    total = composition.add(reduced("Sum"), {"x": powers, "axis": told["axis"], "keepdims": True}, largest.shape)
    logarithms = composition.add(pointwise("math.log"), {"x": total}, largest.shape)
    made = composition.add(arithmetic.add, {"x": logarithms, "y": largest}, largest.shape)
    if not told["keepdims"]:
        composition.add(squeeze, {"x": made, "axis": told["axis"]})
    return composition.layers


def _kept(x: Tensor, axes: Any) -> Shape:
    """Return the shape in which some axes have one place left."""
    places = {axis_of(axis, len(x.shape)) for axis in (axes if isinstance(axes, list) else [axes])}
    return tuple(1 if axis in places else size for axis, size in enumerate(x.shape, start=1))


def norm(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell the Euclidean length along an axis."""
    if arguments.get("ord") not in (None, 2, 2.0, "euclidean", "fro"):
        raise NotSpelledError(f"is called with ord={arguments['ord']!r}, and only the Euclidean norm is supported")
    if isinstance(arguments.get("axis"), list) and len(arguments["axis"]) > 1 and arguments.get("ord") in (2, 2.0):
        raise NotSpelledError("takes the spectral norm of matrices")
    return _root_of(_sum_of_squares, arguments)


def _sum_of_squares(arguments: Arguments) -> tuple[Spelled, ...]:
    x = first_tensor(arguments)
    composition = Composition()
    squares = composition.add(arithmetic.square, {"x": x}, x.shape)
    told = {name: arguments.get(name) for name in ("axis", "keepdims")}
    composition.add(reduced("Sum"), {"x": squares, **told})
    return composition.layers


def _root_of(spelling: Spelling, arguments: Arguments) -> tuple[Spelled, ...]:
    composition = Composition()
    square = composition.add(spelling, arguments)
    composition.add(pointwise("math.sqrt"), {"x": square})
    return composition.layers
