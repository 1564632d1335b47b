"""Bare operations between layers: parts, reductions, and what moves and repeats places."""

from __future__ import annotations

from typing import Any

from tests.fuzz.builder import Builder

_WHOLE: dict[str, Any] = {"start": None, "stop": None, "step": None}


def _operation(b: Builder, y: str, function: str, **told: Any) -> str:
    kind = "SlicingOpLambda" if function.endswith("getitem") else "TFOpLambda"
    return b.add(kind, y, function=function, told=told)


def _part(b: Builder, y: str, axis: int, **span: int) -> str:
    return _operation(b, y, "__operators__.getitem", slice_spec=[*[_WHOLE] * axis, _WHOLE | span])


def taken(b: Builder, y: str) -> str:
    """A run of places of any axis, every second one, or all from the end."""
    axis = b.integer(1, b.axes(y) + 1)
    size = b.shapes[y][axis - 1]
    match b.of("run", "step", "turned"):
        case "run" if size > 1:
            first = b.integer(0, size - 2)
            return _part(b, y, axis, start=first, stop=b.integer(first + 1, size))
        case "step" if size > 1:
            return _part(b, y, axis, start=b.integer(0, 1), step=2)
    return _part(b, y, axis, step=-1)


def by_function(b: Builder, y: str) -> str:
    """What moves or repeats the places of one axis."""
    axis = b.integer(1, b.axes(y) + 1)
    axes = b.axes(y) + 2
    match b.of("reverse", "roll", "tile", "repeat"):
        case "reverse":
            return _operation(b, y, "reverse", axis=[axis])
        case "roll":
            return _operation(b, y, "roll", shift=b.integer(-2, 2), axis=axis)
        case "tile" if b.shapes[y][axis - 1] <= 6:
            return _operation(b, y, "tile", multiples=[2 if place == axis else 1 for place in range(axes)])
        case "repeat" if b.shapes[y][axis - 1] <= 6:
            return _operation(b, y, "repeat", repeats=2, axis=axis)
    return y


def halves(b: Builder, y: str) -> str:
    """A gated linear unit: one half of the channels times the sigmoid of the other."""
    channels = b.shapes[y][-1]
    if b.exact or channels % 2 or channels < 2:
        return y
    axis = b.axes(y) + 1
    values = _part(b, y, axis, stop=channels // 2)
    gate = b.add("Activation", _part(b, y, axis, start=channels // 2), activation="sigmoid")
    return b.add("Multiply", *b.ordered(values, gate))


def means_and_maxima(b: Builder, y: str) -> str:
    """Reduce an axis, or weight all places by what a reduction of the channels says of each."""
    axes = b.axes(y)
    if axes < 1:
        return y
    # A mean of three numbers is rounded.
    kind = b.of("math.reduce_max", *(() if b.exact else ("math.reduce_mean", "math.reduce_sum")))
    if b.exact or b.flag():
        return _operation(b, y, kind, axis=b.integer(1, axes + 1), keepdims=b.flag())
    gate = b.add("Activation", _operation(b, y, kind, axis=axes + 1, keepdims=True), activation="sigmoid")
    return b.add("Multiply", *b.ordered(y, gate))


def by_a_function_of_numbers(b: Builder, y: str) -> str:
    """A function of each value that no layer computes."""
    if b.exact:
        return y
    if b.flag():
        return _operation(b, y, b.of("math.sin", "math.cos", "math.atan", "math.asinh", "math.erf"))
    y = b.add("Rescaling", b.add("Activation", y, activation="softplus"), scale=1.0, offset=0.25)
    return _operation(b, y, b.of("math.log", "math.log1p", "math.sqrt", "math.rsqrt", "math.reciprocal"))


def over_their_deviation(b: Builder, y: str) -> str:
    """Divide by the standard deviation of an axis."""
    if b.exact or b.axes(y) < 1:
        return y
    variance = _operation(b, y, "math.reduce_variance", axis=b.integer(1, b.axes(y) + 1), keepdims=True)
    moved = b.add("Rescaling", variance, scale=1.0, offset=0.5)
    return b.add("Multiply", *b.ordered(y, _operation(b, moved, "math.rsqrt")))
