"""Bare operations between layers, such as `x + y` or `tf.nn.relu(x)`, spelled as layers of Keras: one table by name.

Keras keeps such an operation as a layer of its own (`TFOpLambda` and `SlicingOpLambda` in Keras 2, classes of
`keras.ops` in Keras 3) that holds the function's name. Nothing is looked up by that name but the rows below, and no
code of the file is run. Each row gives layers that compute the same, which both references can read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.keras.calls import Source
from parity.keras.description import Shape
from parity.keras.errors import ConversionError
from parity.keras.graph import Node

# Keras' Normalization divides by no less (keras.backend.epsilon()); kept well clear of.
_SMALLEST_DEVIATION = 1e-6
OPERATION_CLASSES = ("TFOpLambda", "SlicingOpLambda")


@dataclass(frozen=True)
class Tensor:
    """What an operation reads: the node that makes it, and its shape in Keras layout without the batch axis."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Spelled:
    """One layer: its class, its settings, and the nodes that it reads; None is the layer spelled before it."""

    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str | None, ...]


class NotSpelledError(Exception):
    """An operation has no layers that compute the same; the text says why, as the end of a sentence."""


Arguments = Mapping[str, Any]
Spelling = Callable[[Arguments], tuple[Spelled, ...]]


def is_operation(class_name: str) -> bool:
    """Return whether a class stands for a bare operation."""
    return class_name in OPERATION_CLASSES or class_name.startswith("ops.")


def function_of(node: Node) -> str:
    """Return the name of the function that a node stands for, such as `math.truediv`."""
    if node.class_name.startswith("ops."):
        return node.class_name
    return str(node.config.get("function", node.keras_name)).removeprefix("compat.v1.")


def is_known(node: Node) -> bool:
    """Return whether the table has the function of a node."""
    return function_of(node) in _FUNCTIONS


def spelled(node: Node, shapes: Sequence[Shape], fail: Callable[[str], ConversionError]) -> tuple[Node, ...]:
    """Return the layers that compute the same as a bare operation; the last has its name.

    Parameters
    ----------
    node
        The operation.
    shapes
        Of the tensors that it reads.
    fail
        Makes errors.

    Raises
    ------
    ConversionError
        If the function is not in the table, or has no equivalent with these arguments.
    """
    name = function_of(node)
    try:
        if name not in _FUNCTIONS:
            raise NotSpelledError("is not in the table of operations that can be spelled as layers")
        parameters, spelling = _FUNCTIONS[name]
        layers = spelling(_named(node, parameters, shapes))
    except NotSpelledError as problem:
        raise fail(
            f"the bare operation {name} {problem}. Use a Keras layer instead, and save the model again"
        ) from None
    nodes: list[Node] = []
    for number, layer in enumerate(layers, start=1):
        own = node.name if number == len(layers) else f"{node.name}_part_{number}"
        inbound = tuple(nodes[-1].name if producer is None else producer for producer in layer.inbound)
        nodes.append(Node(own, node.keras_name, layer.class_name, {"name": own, **layer.config}, inbound))
    return tuple(nodes)


def _named(node: Node, parameters: tuple[str, ...], shapes: Sequence[Shape]) -> dict[str, Any]:
    """Return the arguments by name, tensors as `Tensor`."""
    tensors: Iterator[Tensor] = iter([Tensor(*pair) for pair in zip(node.inbound, shapes, strict=True)])

    def placed(value: Any) -> Any:
        if isinstance(value, Source):
            return next(tensors)
        if isinstance(value, (list, tuple)):
            return [placed(item) for item in value]
        return value

    arguments = [placed(value) for value in node.call.arguments]
    if len(arguments) == 1 and isinstance(arguments[0], list) and len(parameters) > 1 and parameters[0] != "values":
        arguments = arguments[0]  # Keras 2 joins several tensors by place into one list
    if len(arguments) > len(parameters):
        raise NotSpelledError(f"has {len(arguments)} arguments by place, expected at most {len(parameters)}")
    told = {key: placed(value) for key, value in node.call.keywords.items() if key != "name"}
    # Keras 3 keeps settings here, and every layer its name.
    settings = {key: value for key, value in node.config.items() if key in parameters and key != "name"}
    return settings | told | dict(zip(parameters, arguments, strict=False))


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _rescaled(x: Tensor, scale: Any = 1.0, offset: Any = 0.0) -> tuple[Spelled, ...]:
    """Return ``scale * x + offset``: Keras keeps these numbers in float32, whatever it computes in."""
    numbers = [*_numbers(scale), *_numbers(offset)]
    if all(float(np.float32(number)) == number for number in numbers):
        return (Spelled("Rescaling", {"scale": scale, "offset": offset}, (x.name,)),)
    scales, offsets = (_spread(value, x) for value in (scale, offset))
    if min(abs(number) for number in scales) == 0:
        raise NotSpelledError("multiplies by zero")
    signs = [math.copysign(1.0, number) for number in scales]
    means = [-shift / factor for factor, shift in zip(scales, offsets, strict=True)]
    standard = _standardized(x, means, [1 / abs(factor) for factor in scales])
    return standard if min(signs) > 0 else (*standard, Spelled("Rescaling", {"scale": signs, "offset": 0.0}, (None,)))


def _standardized(x: Tensor, means: list[float], deviations: list[float]) -> tuple[Spelled, ...]:
    """Return ``(x - mean) / deviation``, by the layer that keeps such numbers in the model's own dtype."""
    variances = [deviation**2 for deviation in deviations]
    if min(deviations) < _SMALLEST_DEVIATION:
        raise NotSpelledError("multiplies by more than a million")
    return (Spelled("Normalization", {"axis": [-1], "mean": means, "variance": variances}, (x.name,)),)


def _spread(value: Any, x: Tensor) -> list[float]:
    """Return a constant as one number per channel."""
    channels = x.shape[-1]
    if channels is None:
        raise NotSpelledError("has a constant beside an open number of channels")
    return value if isinstance(value, list) else [value] * channels


def _constant(value: Any, x: Tensor) -> Any:
    """Return a constant as `Rescaling` takes it: a number, or one per channel."""
    numbers = list(_numbers(value))
    if any(not isinstance(number, (int, float)) or isinstance(number, bool) or not math.isfinite(number)
           for number in numbers):  # fmt: skip
        raise NotSpelledError("has a constant that is no finite number")
    if len(numbers) == 1:
        return float(numbers[0])
    inner = value
    while isinstance(inner, list) and len(inner) == 1:
        inner = inner[0]
    flat = isinstance(inner, list) and not any(isinstance(number, list) and len(number) > 1 for number in inner)
    if not flat or len(numbers) != x.shape[-1] or isinstance(inner[0], list):
        raise NotSpelledError(f"has a constant of {len(numbers)} numbers, which is neither one nor one per channel")
    return [float(number) for number in numbers]


def _numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    else:
        yield value


def _each(value: Any, function: Callable[[float], float]) -> Any:
    return [function(number) for number in value] if isinstance(value, list) else function(value)


def _operands(arguments: Arguments) -> tuple[Any, Any]:
    names = ("x1", "x2") if "x1" in arguments else ("value", "bias") if "bias" in arguments else ("x", "y")
    if any(name not in arguments for name in names):
        raise NotSpelledError("has fewer than two operands")
    left, right = (arguments[name] for name in names)
    if isinstance(left, Tensor) and isinstance(right, Tensor) and len(left.shape) != len(right.shape):
        raise NotSpelledError(f"joins tensors of {len(left.shape)} and {len(right.shape)} axes")
    return left, right


def _merged(class_name: str, left: Tensor, right: Tensor) -> tuple[Spelled, ...]:
    return (Spelled(class_name, {}, (left.name, right.name)),)


def _add(arguments: Arguments) -> tuple[Spelled, ...]:
    left, right = _operands(arguments)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _merged("Add", left, right)
    x, constant = (left, right) if isinstance(left, Tensor) else (right, left)
    return _rescaled(x, offset=_constant(constant, x))


def _subtract(arguments: Arguments) -> tuple[Spelled, ...]:
    left, right = _operands(arguments)
    if not isinstance(left, Tensor):
        return _rescaled(right, scale=-1.0, offset=_constant(left, right))
    if isinstance(right, Tensor):
        return _merged("Subtract", left, right)
    return _rescaled(left, offset=_each(_constant(right, left), lambda number: -number))


def _multiply(arguments: Arguments) -> tuple[Spelled, ...]:
    left, right = _operands(arguments)
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _merged("Multiply", left, right)
    x, constant = (left, right) if isinstance(left, Tensor) else (right, left)
    return _rescaled(x, scale=_constant(constant, x))


def _divide(arguments: Arguments) -> tuple[Spelled, ...]:
    left, right = _operands(arguments)
    if not isinstance(left, Tensor) or isinstance(right, Tensor):
        raise NotSpelledError("divides by values of the model, which no layer of Keras does")
    constant = _constant(right, left)
    if 0.0 in (constant if isinstance(constant, list) else [constant]):
        raise NotSpelledError("divides by zero")
    divisors = _spread(constant, left)
    scales = [1.0 / divisor for divisor in divisors]
    if min(divisors) < 0 or all(float(np.float32(scale)) == scale for scale in scales):
        return _rescaled(left, scale=_each(constant, lambda number: 1.0 / number))
    return _standardized(left, [0.0] * len(divisors), divisors)


def _negative(arguments: Arguments) -> tuple[Spelled, ...]:
    return _rescaled(_first(arguments), scale=-1.0)


def _square(arguments: Arguments) -> tuple[Spelled, ...]:
    x = _first(arguments)
    return _merged("Multiply", x, x)


def _power(arguments: Arguments) -> tuple[Spelled, ...]:
    x, exponent = _operands(arguments)
    if not isinstance(x, Tensor) or exponent != 2:
        raise NotSpelledError(f"raises to the power {exponent if not isinstance(exponent, Tensor) else 'of a tensor'}")
    return _merged("Multiply", x, x)


def _pairwise(class_name: str) -> Spelling:
    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        left, right = _operands(arguments)
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            return _merged(class_name, left, right)
        x, constant = (left, right) if isinstance(left, Tensor) else (right, left)
        if class_name == "Maximum" and constant == 0:
            return (Spelled("Activation", {"activation": "relu"}, (x.name,)),)
        raise NotSpelledError(f"compares with the constant {constant!r}, which no layer of Keras does")

    return spelling


# --- functions of one tensor -----------------------------------------------------------------------------------------


def _first(arguments: Arguments) -> Tensor:
    for value in arguments.values():
        if isinstance(value, Tensor):
            return value
    raise NotSpelledError("reads no tensor")


def _only(arguments: Arguments, *known: str) -> None:
    """Refuse settings besides those known, unless they are not set."""
    for name, value in arguments.items():
        if name not in known and value is not None and not isinstance(value, Tensor):
            raise NotSpelledError(f"is called with {name}={value!r}")


def _activation(name: str) -> Spelling:
    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        _only(arguments)
        return (Spelled("Activation", {"activation": name}, (_first(arguments).name,)),)

    return spelling


def _gelu(arguments: Arguments) -> tuple[Spelled, ...]:
    if arguments.get("approximate"):
        raise NotSpelledError("is the approximate form of gelu")
    return (Spelled("Activation", {"activation": "gelu"}, (_first(arguments).name,)),)


def _leaky_relu(arguments: Arguments) -> tuple[Spelled, ...]:
    slope = arguments.get("alpha", arguments.get("negative_slope", 0.2))
    return (Spelled("LeakyReLU", {"alpha": slope}, (_first(arguments).name,)),)


def _relu6(arguments: Arguments) -> tuple[Spelled, ...]:
    return (Spelled("ReLU", {"max_value": 6.0}, (_first(arguments).name,)),)


def _clip(arguments: Arguments) -> tuple[Spelled, ...]:
    low = arguments.get("clip_value_min", arguments.get("x_min"))
    high = arguments.get("clip_value_max", arguments.get("x_max"))
    if low != 0 or not isinstance(high, (int, float)):
        raise NotSpelledError(f"cuts to [{low}, {high}], and only [0, a number] is a layer of Keras")
    return (Spelled("ReLU", {"max_value": float(high)}, (_first(arguments).name,)),)


def _relu(arguments: Arguments) -> tuple[Spelled, ...]:
    """`tf.nn.relu`, or `keras.activations.relu` with its settings."""
    settings = {"negative_slope": arguments.get("alpha"), "max_value": arguments.get("max_value"),
                "threshold": arguments.get("threshold")}  # fmt: skip
    told = {name: float(value) for name, value in settings.items() if value is not None}
    x = _first(arguments)
    if not any(value for name, value in told.items() if name != "max_value") and "max_value" not in told:
        return (Spelled("Activation", {"activation": "relu"}, (x.name,)),)
    return (Spelled("ReLU", told, (x.name,)),)


def _softmax(arguments: Arguments) -> tuple[Spelled, ...]:
    axis = arguments.get("axis")
    return (Spelled("Softmax", {"axis": -1 if axis is None else axis}, (_first(arguments).name,)),)


def _same(arguments: Arguments) -> tuple[Spelled, ...]:
    return (Spelled("Activation", {"activation": "linear"}, (_first(arguments).name,)),)


def _cast(arguments: Arguments) -> tuple[Spelled, ...]:
    if "float" not in str(arguments.get("dtype")):
        raise NotSpelledError(f"casts to {arguments.get('dtype')!r}")
    return _same(arguments)


# --- shapes ----------------------------------------------------------------------------------------------------------


def _axis(axis: Any, rank: int) -> int:
    """Return an axis counted from the batch axis 0."""
    if type(axis) is not int or not -rank - 1 <= axis <= rank:
        raise NotSpelledError(f"is called with axis={axis!r}")
    place: int = axis % (rank + 1)
    if place == 0:
        raise NotSpelledError("works along the batch axis")
    return place


def _concatenate(arguments: Arguments) -> tuple[Spelled, ...]:
    tensors = arguments.get("values", arguments.get("xs"))
    if not isinstance(tensors, list) or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise NotSpelledError("joins something else than tensors")
    axis = _axis(arguments.get("axis", 0), len(tensors[0].shape))
    return (Spelled("Concatenate", {"axis": axis}, tuple(tensor.name for tensor in tensors)),)


def _reshape(arguments: Arguments) -> tuple[Spelled, ...]:
    x, shape = _first(arguments), arguments.get("shape", arguments.get("newshape"))
    whole = isinstance(shape, list) and len(shape) > 1 and all(type(size) is int for size in shape)
    if not isinstance(shape, list) or not whole or shape[0] != -1:
        raise NotSpelledError(f"reshapes to {shape!r}, and only [-1, sizes...] keeps the batch")
    return (Spelled("Reshape", {"target_shape": shape[1:]}, (x.name,)),)


def _sized(x: Tensor, shape: Sequence[int | None]) -> tuple[Spelled, ...]:
    if any(size is None for size in shape) or not shape:
        raise NotSpelledError("changes a shape of open or no sizes")
    return (Spelled("Reshape", {"target_shape": list(shape)}, (x.name,)),)


def _expand_dims(arguments: Arguments) -> tuple[Spelled, ...]:
    x, axis = _first(arguments), arguments.get("axis")
    if type(axis) is not int:
        raise NotSpelledError(f"is called with axis={axis!r}")
    place = axis + len(x.shape) + 2 if axis < 0 else axis
    if not 1 <= place <= len(x.shape) + 1:
        raise NotSpelledError(f"is called with axis={axis!r}")
    return _sized(x, [*x.shape[: place - 1], 1, *x.shape[place - 1 :]])


def _squeeze(arguments: Arguments) -> tuple[Spelled, ...]:
    x, axes = _first(arguments), arguments.get("axis")
    axes = axes if isinstance(axes, list) else [axes]
    gone = {_axis(axis, len(x.shape)) for axis in axes}
    if any(x.shape[axis - 1] != 1 for axis in gone):
        raise NotSpelledError(f"takes the axes {axes} off the shape {x.shape}")
    return _sized(x, [size for axis, size in enumerate(x.shape, start=1) if axis not in gone])


def _transpose(arguments: Arguments) -> tuple[Spelled, ...]:
    x, order = _first(arguments), arguments.get("perm", arguments.get("axes"))
    if not (isinstance(order, list) and order[:1] == [0] and sorted(order) == list(range(len(x.shape) + 1))):
        raise NotSpelledError(f"transposes to {order!r}, which moves the batch axis")
    return (Spelled("Permute", {"dims": order[1:]}, (x.name,)),)


def _flatten(arguments: Arguments) -> tuple[Spelled, ...]:
    return (Spelled("Flatten", {}, (_first(arguments).name,)),)


def _reduced(class_name: str) -> Spelling:
    """Reduce all axes but the last."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        x = _first(arguments)
        axes = arguments.get("axis")
        axes = axes if isinstance(axes, list) else [axes]
        rank = len(x.shape)
        taken = sorted(_axis(axis, rank) for axis in axes if axis is not None)
        if taken != list(range(1, rank)) or rank not in (2, 3, 4):
            raise NotSpelledError(f"reduces the axes {arguments.get('axis')!r} of {rank + 1}, and not all but the last")
        keep = {"keepdims": True} if arguments.get("keepdims") else {}
        pooled = Spelled(f"Global{class_name}Pooling{rank - 1}D", keep, (x.name,))
        if class_name != "Sum":
            return (pooled,)
        if None in x.shape[:-1]:
            raise NotSpelledError("adds up a number of values that is open")
        count = math.prod(size for size in x.shape[:-1] if size is not None)
        mean = Spelled(f"GlobalAveragePooling{rank - 1}D", keep, (x.name,))
        return mean, Spelled("Rescaling", {"scale": float(count), "offset": 0.0}, (None,))

    return spelling


def _slice(arguments: Arguments) -> tuple[Spelled, ...]:
    """`x[:, a:b, c:d]`: what leaves margins off."""
    x, spec = _first(arguments), arguments.get("slice_spec", arguments.get("key"))
    if not isinstance(spec, list) or len(spec) > len(x.shape) + 1:
        raise NotSpelledError(f"takes the part {spec!r}")
    margins = [_margin(part, size) for part, size in zip(spec, (None, *x.shape), strict=False)]
    margins += [(0, 0)] * (len(x.shape) + 1 - len(margins))
    rank = len(x.shape)
    if margins[0] != (0, 0) or margins[-1] != (0, 0) or rank not in (2, 3, 4):
        raise NotSpelledError("takes a part of the batch, of the channels, or of features")
    cropping: Any = [list(pair) for pair in margins[1:-1]]
    return (Spelled(f"Cropping{rank - 1}D", {"cropping": cropping[0] if rank == 2 else cropping}, (x.name,)),)


def _margin(part: Any, size: int | None) -> tuple[int, int]:
    config = part.get("config", part) if isinstance(part, Mapping) else None
    if not isinstance(config, Mapping) or config.get("step") not in (None, 1):
        raise NotSpelledError(f"takes the part {part!r}")
    start, stop = config.get("start") or 0, config.get("stop")
    if type(start) is not int or (stop is not None and type(stop) is not int):
        raise NotSpelledError(f"takes the part {part!r}")
    if start >= 0 and stop is None:
        return start, 0
    if start >= 0 and stop is not None and stop < 0:
        return start, -stop
    if size is None:
        raise NotSpelledError("counts from the other end of an open size")
    first = start if start >= 0 else max(size + start, 0)
    last = size if stop is None else min(stop, size) if stop >= 0 else size + stop
    return first, size - last


def _pad(arguments: Arguments) -> tuple[Spelled, ...]:
    x, margins = _first(arguments), arguments.get("paddings")
    if str(arguments.get("mode", "CONSTANT")).upper() != "CONSTANT" or arguments.get("constant_values"):
        raise NotSpelledError("pads with something else than zeros")
    rank = len(x.shape)
    pairs = (
        isinstance(margins, list)
        and len(margins) == rank + 1
        and all(isinstance(pair, list) and len(pair) == 2 for pair in margins)
    )
    if not isinstance(margins, list) or not pairs or margins[0] != [0, 0] or margins[-1] != [0, 0] or rank < 2:
        raise NotSpelledError(f"pads {margins!r}, and not the places alone")
    padding: Any = margins[1:-1]
    return (Spelled(f"ZeroPadding{rank - 1}D", {"padding": padding[0] if rank == 2 else padding}, (x.name,)),)


_TWO, _X = ("x", "y"), ("x", "name")
_OF_TENSORFLOW: dict[str, tuple[tuple[str, ...], Spelling]] = {
    "add": (_TWO, _add), "subtract": (_TWO, _subtract), "multiply": (_TWO, _multiply), "truediv": (_TWO, _divide),
    "divide": (_TWO, _divide), "pow": (_TWO, _power), "maximum": (_TWO, _pairwise("Maximum")),
    "minimum": (_TWO, _pairwise("Minimum")), "negative": (_X, _negative), "square": (_X, _square),
    "exp": (_X, _activation("exponential")), "tanh": (_X, _activation("tanh")),
    "sigmoid": (_X, _activation("sigmoid")), "softplus": (("features",), _activation("softplus")),
    "reduce_mean": (("input_tensor", "axis", "keepdims"), _reduced("Average")),
    "reduce_max": (("input_tensor", "axis", "keepdims"), _reduced("Max")),
    "reduce_sum": (("input_tensor", "axis", "keepdims"), _reduced("Sum")),
}  # fmt: skip
"""Functions of `tf.math`, some of which `tf` has too."""
_OF_NN: dict[str, tuple[tuple[str, ...], Spelling]] = {
    "relu": (("features",), _relu), "relu6": (("features",), _relu6),
    "leaky_relu": (("features", "alpha"), _leaky_relu),
    "elu": (("features",), _activation("elu")), "selu": (("features",), _activation("selu")),
    "gelu": (("features", "approximate"), _gelu), "silu": (("features",), _activation("swish")),
    "swish": (("features",), _activation("swish")), "sigmoid": (_X, _activation("sigmoid")),
    "tanh": (_X, _activation("tanh")), "softplus": (("features",), _activation("softplus")),
    "softsign": (("features",), _activation("softsign")), "softmax": (("logits", "axis"), _softmax),
    "bias_add": (("value", "bias"), _add),
}  # fmt: skip
_OF_SHAPES: dict[str, tuple[tuple[str, ...], Spelling]] = {
    "concat": (("values", "axis"), _concatenate), "reshape": (("tensor", "shape"), _reshape),
    "expand_dims": (("input", "axis"), _expand_dims), "squeeze": (("input", "axis"), _squeeze),
    "transpose": (("a", "perm"), _transpose), "identity": (("input",), _same), "cast": (("x", "dtype"), _cast),
    "clip_by_value": (("t", "clip_value_min", "clip_value_max"), _clip),
    "pad": (("tensor", "paddings", "mode", "constant_values"), _pad),
}  # fmt: skip
_OPERATORS: dict[str, tuple[tuple[str, ...], Spelling]] = {
    "add": (_TWO, _add), "radd": (_TWO, _add), "sub": (_TWO, _subtract), "mul": (_TWO, _multiply),
    "rmul": (_TWO, _multiply), "truediv": (_TWO, _divide), "neg": (_X, _negative), "pow": (_TWO, _power),
    "getitem": (("tensor", "slice_spec"), _slice),
}  # fmt: skip
_KERAS_3: dict[str, tuple[tuple[str, ...], Spelling]] = {
    "Add": (("x1", "x2"), _add), "Subtract": (("x1", "x2"), _subtract), "Multiply": (("x1", "x2"), _multiply),
    "TrueDivide": (("x1", "x2"), _divide), "Divide": (("x1", "x2"), _divide), "Power": (("x1", "x2"), _power),
    "Maximum": (("x1", "x2"), _pairwise("Maximum")), "Minimum": (("x1", "x2"), _pairwise("Minimum")),
    "Negative": (_X, _negative), "Square": (_X, _square), "Exp": (_X, _activation("exponential")),
    "Tanh": (_X, _activation("tanh")), "Sigmoid": (_X, _activation("sigmoid")), "Relu": (_X, _relu),
    "Relu6": (_X, _relu6), "LeakyRelu": (("x", "negative_slope"), _leaky_relu), "Elu": (_X, _activation("elu")),
    "Silu": (_X, _activation("swish")), "Softmax": (("x", "axis"), _softmax),
    "Mean": (("x", "axis", "keepdims"), _reduced("Average")), "Max": (("x", "axis", "keepdims"), _reduced("Max")),
    "Sum": (("x", "axis", "keepdims"), _reduced("Sum")), "Concatenate": (("xs", "axis"), _concatenate),
    "Reshape": (("x", "newshape"), _reshape), "ExpandDims": (("x", "axis"), _expand_dims),
    "Squeeze": (("x", "axis"), _squeeze), "Transpose": (("x", "axes"), _transpose),
    "Clip": (("x", "x_min", "x_max"), _clip), "GetItem": (("x", "key"), _slice),
}  # fmt: skip

_FUNCTIONS: dict[str, tuple[tuple[str, ...], Spelling]] = {
    **{f"math.{name}": row for name, row in _OF_TENSORFLOW.items()},
    **_OF_TENSORFLOW,
    **{f"nn.{name}": row for name, row in _OF_NN.items()},
    **{f"keras.activations.{name}": row for name, row in _OF_NN.items()},
    **_OF_SHAPES,
    **{f"__operators__.{name}": row for name, row in _OPERATORS.items()},
    **{f"ops.{name}": row for name, row in _KERAS_3.items()},
    "keras.backend.flatten": (_X, _flatten),
}
