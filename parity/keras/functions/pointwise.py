"""Functions of each value that no layer of Keras 2.12 computes, and what is made of them.

The bare operation itself stays, as the layer that Keras makes of one: both references can call it where it reads one
tensor and is told nothing besides.
"""

from __future__ import annotations

import math

from parity.keras.functions import arithmetic
from parity.keras.functions.arithmetic import operands, scaled
from parity.keras.functions.elementwise import activation, same
from parity.keras.functions.spelling import (
    PREVIOUS,
    Arguments,
    Composition,
    NotSpelledError,
    Spelled,
    Spelling,
    Tensor,
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


def rounded(arguments: Arguments) -> tuple[Spelled, ...]:
    """Round to whole numbers, halves to even ones."""
    if arguments.get("decimals"):
        raise NotSpelledError(f"rounds to {arguments['decimals']} decimals, and only whole numbers are supported")
    return pointwise("math.round")({"x": first_tensor(arguments)})


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
    """``x ** constant``: a product of as many factors, a root, or by the logarithm where that has the same domain.

    At 0 the derivative of a fraction of a power is infinite; by the logarithm it is no number.
    """
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
    elif number == 1:
        composition.add(same, {"x": x})
    else:
        raise NotSpelledError(f"raises to the power {number}; supported are roots, reciprocals and whole powers")
    return composition.layers
