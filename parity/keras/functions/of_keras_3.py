"""Activations that Keras 3 has and Keras 2.12 has not, or computes otherwise, spelled as layers.

Keras 2's own MobileNetV3 spells two of them so: x times a bounded ReLU of x + 3, divided by 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from parity.keras.functions.arithmetic import add, clip, multiply, negative, scaled, square, subtract
from parity.keras.functions.elementwise import activation, elu
from parity.keras.functions.parts import split_at
from parity.keras.functions.pointwise import pointwise
from parity.keras.functions.spelling import (
    PREVIOUS,
    RESULT,
    Arguments,
    Composition,
    NotSpelledError,
    Spelled,
    first_tensor,
)

ACTIVATIONS: Mapping[str, str] = MappingProxyType(
    {
        "mish": "ops.Mish",
        "hard_sigmoid": "ops.HardSigmoid",
        "hard_silu": "ops.HardSilu",
        "hard_swish": "ops.HardSilu",
        "hard_tanh": "ops.HardTanh",
        "log_sigmoid": "ops.LogSigmoid",
        "celu": "ops.Celu",
        "tanh_shrink": "ops.TanhShrink",
        "soft_shrink": "ops.SoftShrink",
        "hard_shrink": "ops.HardShrink",
        "squareplus": "ops.Squareplus",
        "sparse_plus": "ops.SparsePlus",
        "sparse_sigmoid": "ops.SparseSigmoid",
    }
)
"""By the name of an activation in Keras 3, the operation that computes it."""
_SHIFT, _BOUND = 3.0, 6.0
"""Of ``hard_sigmoid(x) = relu6(x + 3) / 6``."""


def mish(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x * tanh(softplus(x))``."""
    x = first_tensor(arguments).name
    return (
        Spelled("Activation", {"activation": "softplus"}, (x,)),
        Spelled("Activation", {"activation": "tanh"}, (PREVIOUS,)),
        Spelled("Multiply", {}, (x, PREVIOUS)),
    )


def hard_sigmoid(arguments: Arguments) -> tuple[Spelled, ...]:
    """``relu6(x + 3) / 6``; that of Keras 2 has the slope 0.2."""
    x = first_tensor(arguments)
    return (
        Spelled("Rescaling", {"scale": 1.0, "offset": _SHIFT}, (x.name,)),
        Spelled("ReLU", {"max_value": _BOUND}, (PREVIOUS,)),
        scaled(PREVIOUS, x.shape[-1], 1 / _BOUND),  # no number of float32's, which Rescaling would keep
    )


def hard_silu(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x * hard_sigmoid(x)``."""
    return (*hard_sigmoid(arguments), Spelled("Multiply", {}, (first_tensor(arguments).name, PREVIOUS)))


def hard_tanh(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x`` cut to [-1, 1]."""
    return clip({"x": first_tensor(arguments), "x_min": -1.0, "x_max": 1.0})


def log_sigmoid(arguments: Arguments) -> tuple[Spelled, ...]:
    """``-softplus(-x)``."""
    return (
        *negative(arguments),
        Spelled("Activation", {"activation": "softplus"}, (PREVIOUS,)),
        Spelled("Rescaling", {"scale": -1.0, "offset": 0.0}, (PREVIOUS,)),
    )


def celu(arguments: Arguments) -> tuple[Spelled, ...]:
    """``alpha * elu(x / alpha)``."""
    x, alpha = first_tensor(arguments), arguments.get("alpha", 1.0)
    if not isinstance(alpha, (int, float)) or alpha <= 0:
        raise NotSpelledError(f"is called with alpha={alpha!r}, and only numbers above 0 are supported")
    if alpha == 1:
        return elu({"x": x})
    composition = Composition()
    narrow = composition.add(multiply, {"x": x, "y": 1 / alpha}, x.shape)
    bent = composition.add(elu, {"x": narrow}, x.shape)
    composition.add(multiply, {"x": bent, "y": alpha})
    return composition.layers


def tanh_shrink(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x - tanh(x)``."""
    x = first_tensor(arguments).name
    return Spelled("Activation", {"activation": "tanh"}, (x,)), Spelled("Subtract", {}, (x, PREVIOUS))


def soft_shrink(arguments: Arguments) -> tuple[Spelled, ...]:
    """``relu(x - threshold) - relu(-x - threshold)``."""
    x, bound = first_tensor(arguments), _threshold(arguments)
    composition = Composition()
    above = composition.add(add, {"x": x, "y": -bound}, x.shape)
    above = composition.add(activation("relu"), {"x": above}, x.shape)
    below = composition.add(subtract, {"x": -bound, "y": x}, x.shape)
    below = composition.add(activation("relu"), {"x": below}, x.shape)
    composition.add(subtract, {"x": above, "y": below})
    return composition.layers


def hard_shrink(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x`` where it is farther from 0 than the threshold."""
    x, beyond = first_tensor(arguments).name, {"theta": _threshold(arguments)}
    return (
        Spelled("ThresholdedReLU", beyond, (x,)),
        Spelled("Rescaling", {"scale": -1.0, "offset": 0.0}, (x,)),
        Spelled("ThresholdedReLU", beyond, (PREVIOUS,)),
        Spelled("Subtract", {}, (0, PREVIOUS)),
    )


def threshold(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x`` above the threshold, 0 elsewhere."""
    if arguments.get("default_value") != 0:
        raise NotSpelledError("puts something else than 0 below the threshold")
    return (Spelled("ThresholdedReLU", {"theta": _threshold(arguments)}, (first_tensor(arguments).name,)),)


def _threshold(arguments: Arguments) -> float:
    told = arguments.get("threshold", 0.5)
    if not isinstance(told, (int, float)) or told < 0:
        raise NotSpelledError(f"is called with threshold={told!r}, and only numbers from 0 on are supported")
    return float(told)


def squareplus(arguments: Arguments) -> tuple[Spelled, ...]:
    """``(x + sqrt(x ** 2 + b)) / 2``."""
    x, composition = first_tensor(arguments), Composition()
    squares = composition.add(square, {"x": x}, x.shape)
    moved = composition.add(add, {"x": squares, "y": arguments.get("b", 4)}, x.shape)
    root = composition.add(pointwise("math.sqrt"), {"x": moved}, x.shape)
    both = composition.add(add, {"x": x, "y": root}, x.shape)
    composition.add(multiply, {"x": both, "y": 0.5})
    return composition.layers


def sparse_plus(arguments: Arguments) -> tuple[Spelled, ...]:
    """0 up to -1, ``x`` from 1 on, and ``(x + 1) ** 2 / 4`` between."""
    x, composition = first_tensor(arguments), Composition()
    rising = composition.add(sparse_sigmoid, {"x": x}, x.shape)
    bent = composition.add(square, {"x": rising}, x.shape)
    beyond = composition.add(add, {"x": x, "y": -1.0}, x.shape)
    straight = composition.add(activation("relu"), {"x": beyond}, x.shape)
    composition.add(add, {"x": bent, "y": straight})
    return composition.layers


def sparse_sigmoid(arguments: Arguments) -> tuple[Spelled, ...]:
    """``(x + 1) / 2`` cut to [0, 1]."""
    return (
        Spelled("Rescaling", {"scale": 0.5, "offset": 0.5}, (first_tensor(arguments).name,)),
        Spelled("ReLU", {"max_value": 1.0}, (PREVIOUS,)),
    )


def glu(arguments: Arguments) -> tuple[Spelled, ...]:
    """Half of an axis times the sigmoid of the other half."""
    x, axis, composition = first_tensor(arguments), arguments.get("axis", -1), Composition()
    halves = {"x": x, "indices_or_sections": 2, "axis": axis}
    values = composition.add(split_at, {**halves, RESULT: 0}, x.shape)
    gates = composition.add(split_at, {**halves, RESULT: 1}, x.shape)
    squashed = composition.add(activation("sigmoid"), {"x": gates}, x.shape)
    composition.add(multiply, {"x": values, "y": squashed})
    return composition.layers
