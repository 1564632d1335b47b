"""Operators with constants and between tensors, spelled as layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.keras.functions.elementwise import relu
from parity.keras.functions.spelling import (
    PREVIOUS,
    Arguments,
    Composition,
    NotSpelledError,
    OpenSizeError,
    Spelled,
    Spelling,
    Tensor,
    axis_of,
    first_tensor,
    numbers_in,
)

Array = npt.NDArray[np.float64]
# Keras' Normalization divides by no less (keras.backend.epsilon()); kept well clear of.
_SMALLEST_DEVIATION = 1e-6
_LARGEST_OFFSET = 1000.0  # adding more costs a float32 around 1 more than four of its seven digits


def scaled(reads: str | int, channels: int | None, factor: float, offset: float = 0.0) -> Spelled:
    """Return ``factor * x + offset``, factor > 0, by the layer that keeps numbers in the dtype of the model."""
    if channels is None:
        raise OpenSizeError("works on an open number of channels")
    mean, variance = [-offset / factor] * channels, [factor**-2] * channels
    return Spelled("Normalization", {"axis": [-1], "mean": mean, "variance": variance}, (reads,))


def _rescaled(x: Tensor, scale: Any = 1.0, offset: Any = 0.0) -> tuple[Spelled, ...]:
    """Return ``scale * x + offset``: Keras keeps these numbers in float32, whatever it computes in."""
    if all(float(np.float32(number)) == number for number in (*numbers_in(scale), *numbers_in(offset))):
        return (Spelled("Rescaling", {"scale": scale, "offset": offset}, (x.name,)),)
    axes, (scales, offsets) = _spread(x, scale, offset)
    if np.abs(scales).min() == 0:
        raise NotSpelledError("multiplies by zero")
    standard = _standardized(x, axes, -offsets / scales, 1 / np.abs(scales))
    if scales.min() > 0:
        return standard
    signs = _each(scale, lambda number: math.copysign(1.0, number))
    return (*standard, Spelled("Rescaling", {"scale": signs, "offset": 0.0}, (PREVIOUS,)))


def _standardized(x: Tensor, axes: list[int], means: Array, deviations: Array) -> tuple[Spelled, ...]:
    """Return ``(x - mean) / deviation``, by the layer that keeps such numbers in the model's own dtype."""
    if deviations.min() < _SMALLEST_DEVIATION:
        raise NotSpelledError("multiplies by more than a million")
    config = {"axis": axes, "mean": means.tolist(), "variance": (deviations**2).tolist()}
    return (Spelled("Normalization", config, (x.name,)),)


def _spread(x: Tensor, *constants: Any) -> tuple[list[int], list[Array]]:
    """Return the axes along which constants differ, and each as one number per place along them."""
    rank = len(x.shape)
    arrays = [np.asarray(constant, np.float64) for constant in constants]
    arrays = [array.reshape((1,) * (rank - array.ndim) + array.shape) for array in arrays]
    axes = sorted({axis for array in arrays for axis, size in enumerate(array.shape) if size > 1} | {rank - 1})
    sizes = [x.shape[axis] for axis in axes]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        raise OpenSizeError("has a constant beside an open number of channels")
    whole = [known[axes.index(axis)] if axis in axes else 1 for axis in range(rank)]
    spread = [np.broadcast_to(array, whole).reshape(known) for array in arrays]
    return ([-1] if axes == [rank - 1] else [axis + 1 for axis in axes]), spread


def _constant(value: Any, x: Tensor) -> Any:
    """Return a constant as `Rescaling` takes it: a number, or a list that broadcasts from the last axis."""
    numbers = list(numbers_in(value))
    if any(not isinstance(number, (int, float)) or isinstance(number, bool) or not math.isfinite(number)
           for number in numbers):  # fmt: skip
        raise NotSpelledError("has a constant that is no finite number")
    if _axes_of(value) > len(x.shape) + 1:
        raise NotSpelledError("has a constant of more axes than the tensor, which gets as many")
    if len(numbers) == 1:
        return float(numbers[0])
    try:
        array = np.asarray(value, np.float64)
    except ValueError:
        raise NotSpelledError("has a constant whose rows are of different lengths") from None
    while array.ndim and len(array) == 1:
        array = array[0]
    fits = array.ndim <= len(x.shape) and all(
        size in (1, there) for size, there in zip(reversed(array.shape), reversed(x.shape), strict=False)
    )
    if not fits:
        raise NotSpelledError(f"has a constant of the shape {array.shape} beside a tensor of {x.shape}")
    return array.tolist()


def _axes_of(value: Any) -> int:
    return 1 + _axes_of(value[0]) if isinstance(value, list) and value else 0


def _each(value: Any, function: Callable[[float], float]) -> Any:
    return [_each(item, function) for item in value] if isinstance(value, list) else function(value)


def operands(arguments: Arguments) -> tuple[Any, Any]:
    """Return the two operands of an operator, a `Tensor` each or a constant, but not two constants."""
    names = ("x1", "x2") if "x1" in arguments else ("value", "bias") if "bias" in arguments else ("x", "y")
    if any(name not in arguments for name in names):
        raise NotSpelledError("has fewer than two operands")
    left, right = (arguments[name] for name in names)
    if not isinstance(left, Tensor) and not isinstance(right, Tensor):
        raise NotSpelledError("computes with sizes of tensors, of which only products are known")
    if isinstance(left, Tensor) and isinstance(right, Tensor) and len(left.shape) != len(right.shape):
        raise NotSpelledError(f"joins tensors of {len(left.shape)} and {len(right.shape)} axes")
    return left, right


def _merged(class_name: str, left: Tensor, right: Tensor) -> tuple[Spelled, ...]:
    return (Spelled(class_name, {}, (left.name, right.name)),)


def add(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x + y``."""
    left, right = operands(arguments)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _merged("Add", left, right)
    x, constant = (left, right) if isinstance(left, Tensor) else (right, left)
    return _rescaled(x, offset=_constant(constant, x))


def add_all(arguments: Arguments) -> tuple[Spelled, ...]:
    """``tf.add_n``: the sum of tensors."""
    tensors = arguments.get("inputs")
    if not isinstance(tensors, list) or len(tensors) < 2 or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise NotSpelledError("adds something else than two or more tensors")
    return (Spelled("Add", {}, tuple(tensor.name for tensor in tensors)),)


def add_to_channels(arguments: Arguments) -> tuple[Spelled, ...]:
    """``tf.nn.bias_add``: a number for each channel."""
    if str(arguments.get("data_format")).startswith("NC"):
        raise NotSpelledError("adds to channels that are the first axis")
    return add(arguments)


def subtract(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x - y``."""
    left, right = operands(arguments)
    if not isinstance(left, Tensor):
        return _rescaled(right, scale=-1.0, offset=_constant(left, right))
    if isinstance(right, Tensor):
        return _merged("Subtract", left, right)
    return _rescaled(left, offset=_each(_constant(right, left), lambda number: -number))


def multiply(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x * y``."""
    left, right = operands(arguments)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _merged("Multiply", left, right)
    x, constant = (left, right) if isinstance(left, Tensor) else (right, left)
    return _rescaled(x, scale=_constant(constant, x))


def divide(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x / constant``."""
    left, right = operands(arguments)
    if not isinstance(left, Tensor) or isinstance(right, Tensor):
        raise NotSpelledError("divides by values of the model, and gives 0 where they are 0")
    constant = _constant(right, left)
    divisors = list(numbers_in(constant))
    if 0.0 in divisors:
        raise NotSpelledError("divides by zero")
    scale = _each(constant, lambda number: 1.0 / number)
    if min(divisors) < 0 or all(float(np.float32(number)) == number for number in numbers_in(scale)):
        return _rescaled(left, scale=scale)
    axes, (spread,) = _spread(left, constant)
    return _standardized(left, axes, np.zeros(spread.shape), spread)


def negative(arguments: Arguments) -> tuple[Spelled, ...]:
    """``-x``."""
    return _rescaled(first_tensor(arguments), scale=-1.0)


def absolute(arguments: Arguments) -> tuple[Spelled, ...]:
    """``abs(x)``: the larger of the tensor and its negative."""
    x = first_tensor(arguments)
    return (*_rescaled(x, scale=-1.0), Spelled("Maximum", {}, (x.name, PREVIOUS)))


def clip(arguments: Arguments) -> tuple[Spelled, ...]:
    """Cut to an interval: a ReLU with a ceiling, between two offsets where the interval does not begin at 0."""
    low = arguments.get("clip_value_min", arguments.get("x_min"))
    high = arguments.get("clip_value_max", arguments.get("x_max"))
    if not all(isinstance(end, (int, float)) and math.isfinite(end) for end in (low, high)) or not low < high:
        raise NotSpelledError(f"cuts to [{low}, {high}], and only an interval of two numbers is supported")
    _refuse_far(float(low))
    return _bent_at(float(low), first_tensor(arguments), "ReLU", {"max_value": float(high - low)})


def _bent_at(bound: float, x: Tensor, class_name: str, config: dict[str, Any]) -> tuple[Spelled, ...]:
    """Return what bends at 0, moved to a bound: one bend, the right way around, as guided backpropagation needs it."""
    if bound == 0:
        return (Spelled(class_name, config, (x.name,)),)
    bent = Spelled(class_name, config, (PREVIOUS,))
    return _shifted(x.name, x.shape[-1], -bound), bent, _shifted(PREVIOUS, x.shape[-1], bound)


def _refuse_far(bound: float) -> None:
    """Refuse to keep values above a bound that is far below most of them."""
    if bound < -_LARGEST_OFFSET:
        raise NotSpelledError(
            f"bounds values by {bound}: the layers that do this add {-bound} and take it off again, and lose digits"
        )


def _shifted(reads: str | int, channels: int | None, offset: float) -> Spelled:
    """Return ``x + offset``, by the simpler layer where float32, in which it keeps the number, holds that."""
    if float(np.float32(offset)) == offset:
        return Spelled("Rescaling", {"scale": 1.0, "offset": offset}, (reads,))
    return scaled(reads, channels, 1.0, offset)


def square(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x ** 2``: the tensor times itself."""
    x = first_tensor(arguments)
    return _merged("Multiply", x, x)


def squared_difference(arguments: Arguments) -> tuple[Spelled, ...]:
    """``(x - y) ** 2``."""
    return (*subtract(arguments), Spelled("Multiply", {}, (PREVIOUS, PREVIOUS)))


def pairwise(class_name: str) -> Spelling:
    """Spell the larger or the smaller of two tensors."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        left, right = operands(arguments)
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            return _merged(class_name, left, right)
        x, constant = (left, right) if isinstance(left, Tensor) else (right, left)
        bounds = _constant(constant, x)
        if isinstance(bounds, list):
            return _pairwise_by_place(class_name, x, bounds)
        bound = float(bounds)
        if class_name == "Maximum":
            _refuse_far(bound)
            return _bent_at(bound, x, "Activation", {"activation": "relu"})
        if bound >= 0:
            return (Spelled("ReLU", {"negative_slope": 1.0, "max_value": bound}, (x.name,)),)
        # What is left is no larger than the bound, so no digits that count are lost by moving it.
        return _bent_at(bound, x, "ReLU", {"negative_slope": 1.0, "max_value": 0.0})

    return spelling


def _pairwise_by_place(class_name: str, x: Tensor, bounds: list[Any]) -> tuple[Spelled, ...]:
    """Return ``relu(x - bounds) + bounds``, which is the larger of both, or ``bounds - relu(bounds - x)``."""
    larger = class_name == "Maximum"
    for bound in numbers_in(bounds):
        _refuse_far(bound if larger else -bound)
    composition = Composition()
    beyond = composition.add(subtract, {"x": x, "y": bounds} if larger else {"x": bounds, "y": x}, x.shape)
    bent = composition.add(relu, {"x": beyond}, x.shape)
    composition.add(*((add, {"x": bent, "y": bounds}) if larger else (subtract, {"x": bounds, "y": bent})))
    return composition.layers


def unit_length(arguments: Arguments) -> tuple[Spelled, ...]:
    """Vectors through their lengths."""
    x, axes = first_tensor(arguments), arguments.get("axis")
    epsilon = arguments.get("epsilon")
    if epsilon not in (None, _LEAST_SQUARE):
        raise NotSpelledError(f"is called with epsilon={epsilon!r}, and the layer that does this has {_LEAST_SQUARE}")
    places = [axis_of(axis, len(x.shape)) for axis in (axes if isinstance(axes, list) else [axes])]
    return (Spelled("UnitNormalization", {"axis": places}, (x.name,)),)


# Of the length's square, as Keras' UnitNormalization has it.
_LEAST_SQUARE = 1e-12
