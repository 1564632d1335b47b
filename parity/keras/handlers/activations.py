"""Handlers: activation functions, as layers and as attributes of other layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from parity.keras.functions.of_keras_3 import ACTIVATIONS
from parity.keras.handlers.layer import Built, Layer, Value, Variable
from parity.keras.modules.activations import (
    BoundedReLU,
    Exponential,
    HardSigmoid,
    LogSoftmax,
    PositionPReLU,
    Sigmoid,
    Tanh,
    TensorFlowGELU,
)
from parity.keras.modules.pointwise import POINTWISE, SOFTMAX, OperationSoftmax, Pointwise

# In torch layout the channels, Keras's last axis, are axis 1.
_CHANNELS = 1


def _leaky_relu(slope: float) -> nn.Module:
    # TensorFlow's LeakyRelu keeps its slope as a float32 attribute, also where it computes in float64.
    return nn.LeakyReLU(float(np.float32(slope)))


def _softplus() -> nn.Module:
    # torch replaces softplus(x) by x above its threshold (20, an error of 2e-9); above 40 that is exact.
    return nn.Softplus(threshold=40)


# Keras's names for activation functions; None does nothing.
_FUNCTIONS: dict[str, Callable[[], nn.Module] | None] = {
    "linear": None,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": lambda: _leaky_relu(0.2),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": TensorFlowGELU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "mish": nn.Mish,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "hard_sigmoid": lambda: HardSigmoid(1 / 6),
    "softplus": _softplus,
    "softsign": nn.Softsign,
    "exponential": Exponential,
    "softmax": lambda: nn.Softmax(_CHANNELS),
    "log_softmax": lambda: LogSoftmax(_CHANNELS),
    "log_softmax_v2": lambda: LogSoftmax(_CHANNELS),  # how Keras 2.12 writes it
}
# Keras' own that are not converted.
_OF_KERAS_ALONE = ("glu", "sparsemax", "threshold")
_OVER_AN_AXIS = ("softmax", "log_softmax", "log_softmax_v2")
# What Keras 2 computes differently under the same name.
_KERAS_2: dict[str, Callable[[], nn.Module]] = {"hard_sigmoid": lambda: HardSigmoid(0.2)}


# Layers whose activation attribute is not the last thing they do: it works in every step of a recurrence.
_INSIDE = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")


def is_softmax(class_name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a layer, or what it runs at every step, is a softmax or has it as its activation."""
    if class_name == "Softmax":
        return True
    inner = config.get("layer")
    if class_name == "TimeDistributed" and isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping):
        return is_softmax(str(inner.get("class_name")), inner["config"])
    if class_name in _INSIDE:
        return False
    name, _ = _split(config.get("activation"))
    return name in ("softmax", "Softmax")


def function_name(specification: Any) -> str | None:
    """Return the name of the function, or of the class, that an activation is specified as; None for none."""
    return _split(specification)[0]


def unsupported_functions(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of functions in a layer's configuration that are not converted."""
    for setting in ("activation", "recurrent_activation"):
        name, inner = _split(config.get(setting))
        if name is not None and inner is None and name not in (*_FUNCTIONS, *ACTIVATIONS):
            yield name


def why_unsupported(name: str) -> str:
    """Say of a layer, as the end of a sentence, that a function in it is not converted, and what to do."""
    whose = (
        "Keras' own, but not" if name in _OF_KERAS_ALONE
        else "not Keras' own, and a function of yours is never run; it is none"
    )  # fmt: skip
    listed = ", ".join(dict.fromkeys((*_FUNCTIONS, *ACTIVATIONS)))
    return (
        f"has the activation {name!r}, which is {whose} one of those supported ({listed}). Replace it by one of these"
    )


def activation_at_the_end(class_name: str, config: Mapping[str, Any]) -> str | None:
    """Return the name of the function that a layer's result goes through last, None if there is none by name."""
    return None if class_name in _INSIDE else function_name(config.get("activation"))


def is_identity(class_name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a layer is `Activation("linear")`."""
    return class_name == "Activation" and _split(config.get("activation"))[0] in ("linear", None)


def with_activation(layer: Layer, value: Value, module: nn.Module) -> Built:
    """Return a kernel layer followed by its activation attribute as a module of its own."""
    activation = activation_module(layer, value)
    modules = (("", module),) if activation is None else (("", module), ("_activation", activation))
    return Built(value, modules)


def activation_module(layer: Layer, value: Value) -> nn.Module | None:
    """Return the module for a layer's `activation`, or None for a linear one or the removed last softmax."""
    specification = layer.node.config.get("activation")
    name, config = _split(specification)
    if layer.drop_softmax or name is None:
        return None
    if config is not None:
        if name not in _AS_ATTRIBUTE:
            raise layer.fail(
                f"its activation is a layer of the class {name!r}, which is not supported there. "
                "Use one of Keras's own activation functions"
            )
        if layer.channels_first and name in ("Softmax", "PReLU"):
            raise layer.fail(f"its activation of the class {name!r} has axes of its own. Make it a layer of its own")
        node = replace(layer.node, class_name=name, config=config)
        inner = replace(layer, node=node, inputs=(value,), stored={}, used=set())
        built = _AS_ATTRIBUTE[name](inner)
        return built.modules[0][1] if built.modules else None
    if name not in _FUNCTIONS:
        raise layer.fail(f"it {why_unsupported(name)}")
    if layer.channels_first and name in _OVER_AN_AXIS:
        raise layer.fail(
            f"its activation {name!r} works on the last axis, which is not that of the channels here. Make it a layer "
            "of its own"
        )
    factory = _FUNCTIONS[name]
    if layer.keras_major < 3:
        factory = _KERAS_2.get(name, factory)
    return None if factory is None else factory()


def _split(specification: Any) -> tuple[str | None, Mapping[str, Any] | None]:
    """Return (function name, None) or (layer class, its configuration)."""
    if specification is None or isinstance(specification, str):
        return specification, None
    if isinstance(specification, Mapping):
        class_name, config = specification.get("class_name"), specification.get("config")
        registered = specification.get("registered_name")
        if class_name == "function" and isinstance(config, str):
            own = specification.get("module") not in ("builtins", "keras.activations", None)
            return (f"{specification.get('module')}.{config}" if own else config), None
        if isinstance(registered, str) and registered not in ("", class_name):
            return registered, config if isinstance(config, Mapping) else {}
        if isinstance(class_name, str):
            return class_name, config if isinstance(config, Mapping) else {}
    # A lambda: marshalled Python code. It is named, never looked at.
    return "lambda", {}


def activation(layer: Layer) -> Built:
    """`Activation`; a linear one is a layer too: behind it, no layer sees the model's input."""
    module = activation_module(layer, layer.input)
    if module is None and not layer.drop_softmax:
        module = nn.Identity()
    return Built(layer.input, () if module is None else (("", module),))


def pointwise(layer: Layer) -> Built:
    """Keep a bare operation: a function of each value, or a softmax."""
    function = layer.node.config.get("function")
    if function == SOFTMAX:
        return Built(layer.input, (("", OperationSoftmax(torch_axis(layer, -1))),))
    if function not in POINTWISE:
        raise layer.fail(f"it is the operation {function!r}, which no layer stands for")
    return Built(layer.input, (("", Pointwise(str(function))),))


def relu(layer: Layer) -> Built:
    """`ReLU` with its bound, slope and threshold."""
    slope = layer.config.number("negative_slope", 0.0)
    threshold = layer.config.number("threshold", 0.0)
    bound = None if layer.node.config.get("max_value") is None else layer.config.number("max_value")
    module: nn.Module
    if threshold == 0 and slope == 0 and bound in (None, 6.0):
        module = nn.ReLU() if bound is None else nn.ReLU6()
    elif threshold == 0 and bound is None:
        module = _leaky_relu(slope)
    else:
        module = BoundedReLU(bound, slope, threshold)
    return Built(layer.input, (("", module),))


def leaky_relu(layer: Layer) -> Built:
    """`LeakyReLU`; the slope is called alpha in Keras 2."""
    key = "negative_slope" if "negative_slope" in layer.node.config else "alpha"
    return Built(layer.input, (("", _leaky_relu(layer.config.number(key, 0.3))),))


def elu(layer: Layer) -> Built:
    """`ELU`."""
    return Built(layer.input, (("", nn.ELU(layer.config.number("alpha", 1.0))),))


def thresholded_relu(layer: Layer) -> Built:
    """`ThresholdedReLU`: x above theta, else 0."""
    return Built(layer.input, (("", nn.Threshold(layer.config.number("theta", 1.0), 0.0)),))


def softmax(layer: Layer) -> Built:
    """`Softmax` over one axis."""
    if layer.input.masked:
        raise layer.fail(
            "it reads a sequence with a mask (of Masking, or Embedding with mask_zero=True), which Keras adds to the "
            "values as if it told of their last axis, so that it stops or masks channels. Use Activation('softmax'), "
            "which leaves masks alone, or rebuild the model without masks there"
        )
    axis = layer.node.config.get("axis", -1)
    if isinstance(axis, list) and len(axis) == 1:
        axis = axis[0]
    dim = torch_axis(layer, axis)
    return Built(layer.input, () if layer.drop_softmax else (("", nn.Softmax(dim)),))


def prelu(layer: Layer) -> Built:
    """`PReLU`: one slope per channel is torch's own, anything else broadcasts."""
    sizes = [layer.known(size, "input shape") for size in layer.input.shape]
    shared = layer.node.config.get("shared_axes") or []
    for axis in shared if isinstance(shared, list) else [shared]:
        if type(axis) is not int or not 1 <= axis <= len(sizes):
            raise layer.fail(f"'shared_axes' is {shared!r}, expected axes from 1 to {len(sizes)}")
        sizes[axis - 1] = 1
    slopes = layer.weight("alpha", tuple(sizes))
    if layer.input.order is not None and sizes[-1] > 1:
        slopes = slopes[layer.input.order]
    channels = sizes[-1]
    module: nn.PReLU
    if all(size == 1 for size in sizes[:-1]):
        module, weight = nn.PReLU(channels, device="meta"), slopes.reshape(channels)
    else:
        module, weight = PositionPReLU(device="meta"), np.moveaxis(slopes, -1, 0)
    module.weight = nn.Parameter(layer.tensor(weight), requires_grad=False)
    return Built(layer.input, (("", module),))


def torch_axis(layer: Layer, axis: Any) -> int:
    """Turn a Keras axis (batch axis 0, negative from the end) into the axis in torch layout."""
    rank = len(layer.inputs[0].shape)
    if type(axis) is int and axis < 0:
        axis += rank + 1
    if type(axis) is not int or not 1 <= axis <= rank:
        raise layer.fail(f"'axis' is {layer.node.config.get('axis')!r}, expected one axis from 1 to {rank}, or -1")
    return 1 if axis == rank else axis + 1


ALPHA = (Variable("alpha"),)
_AS_ATTRIBUTE = {
    "Activation": activation,
    "ReLU": relu,
    "LeakyReLU": leaky_relu,
    "ELU": elu,
    "ThresholdedReLU": thresholded_relu,
    "Softmax": softmax,
}
