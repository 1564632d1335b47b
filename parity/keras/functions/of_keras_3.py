"""Activations that Keras 3 has and Keras 2.12 has not, or computes otherwise, spelled as layers.

Keras 2's own MobileNetV3 spells two of them so: x times a bounded ReLU of x + 3, divided by 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from parity.keras.functions.arithmetic import clip, negative, scaled
from parity.keras.functions.elementwise import elu
from parity.keras.functions.spelling import PREVIOUS, Arguments, NotSpelledError, Spelled, first_tensor

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
    """``celu`` with the factor 1, which is ``elu``."""
    if arguments.get("alpha") not in (None, 1, 1.0):
        raise NotSpelledError(f"is called with alpha={arguments['alpha']!r}, and only 1 is supported")
    return elu(arguments)


def tanh_shrink(arguments: Arguments) -> tuple[Spelled, ...]:
    """``x - tanh(x)``."""
    x = first_tensor(arguments).name
    return Spelled("Activation", {"activation": "tanh"}, (x,)), Spelled("Subtract", {}, (x, PREVIOUS))
