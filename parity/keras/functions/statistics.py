"""What a root or a logarithm makes of many values, spelled as layers: variances, deviations, lengths."""

from __future__ import annotations

from typing import Any

from parity.keras.description import Shape
from parity.keras.functions import arithmetic
from parity.keras.functions.elementwise import activation
from parity.keras.functions.pointwise import pointwise
from parity.keras.functions.reducing import reduced
from parity.keras.functions.shapes import squeeze
from parity.keras.functions.spelling import (
    RESULT,
    Arguments,
    Composition,
    NotSpelledError,
    Spelled,
    Spelling,
    Tensor,
    axis_of,
    first_tensor,
)


def variance(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell the mean square of what differs from the mean."""
    x, axes = first_tensor(arguments), arguments.get("axis")
    composition = Composition()
    mean = composition.add(reduced("Average"), {"x": x, "axis": axes, "keepdims": True}, _kept(x, axes))
    rest = composition.add(arithmetic.subtract, {"x": x, "y": mean}, x.shape)
    squares = composition.add(arithmetic.square, {"x": rest}, x.shape)
    composition.add(reduced("Average"), {"x": squares, "axis": axes, "keepdims": arguments.get("keepdims")})
    return composition.layers


def moments(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell `keras.ops.moments`: the mean, or the variance."""
    told = {"x": first_tensor(arguments), "axis": arguments.get("axes"), "keepdims": arguments.get("keepdims")}
    return variance(told) if arguments[RESULT] else reduced("Average")(told)


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
