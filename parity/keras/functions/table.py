"""Bare operations between layers, such as `x + y` or `tf.nn.relu(x)`, spelled as layers of Keras: one table by name.

Keras keeps such an operation as a layer of its own (`TFOpLambda` and `SlicingOpLambda` in Keras 2, classes of
`keras.ops` in Keras 3) that holds the function's name. Nothing is looked up by that name but the rows below, and no
code of the file is run. Each row gives layers that compute the same, which both references can read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from parity.keras.calls import Source
from parity.keras.description import Shape
from parity.keras.errors import ConversionError
from parity.keras.functions import arithmetic, elementwise, shapes
from parity.keras.functions.spelling import NotSpelledError, Spelling, Tensor
from parity.keras.graph import Node

OPERATION_CLASSES = ("TFOpLambda", "SlicingOpLambda")

Row = tuple[tuple[str, ...], Spelling]
"""The names of a function's first arguments by place, and how it is spelled."""
_TWO, _X = ("x", "y"), ("x", "name")
_OF_TENSORFLOW: dict[str, Row] = {
    "add": (_TWO, arithmetic.add),
    "subtract": (_TWO, arithmetic.subtract),
    "multiply": (_TWO, arithmetic.multiply),
    "truediv": (_TWO, arithmetic.divide),
    "divide": (_TWO, arithmetic.divide),
    "pow": (_TWO, arithmetic.power),
    "maximum": (_TWO, arithmetic.pairwise("Maximum")),
    "minimum": (_TWO, arithmetic.pairwise("Minimum")),
    "negative": (_X, arithmetic.negative),
    "square": (_X, arithmetic.square),
    "abs": (_X, arithmetic.absolute),
    "exp": (_X, elementwise.activation("exponential")),
    "tanh": (_X, elementwise.activation("tanh")),
    "sigmoid": (_X, elementwise.activation("sigmoid")),
    "softplus": (("features",), elementwise.activation("softplus")),
    "reduce_mean": (("input_tensor", "axis", "keepdims"), shapes.reduced("Average")),
    "reduce_max": (("input_tensor", "axis", "keepdims"), shapes.reduced("Max")),
    "reduce_sum": (("input_tensor", "axis", "keepdims"), shapes.reduced("Sum")),
}
"""Functions of `tf.math`, some of which `tf` has too."""
_OF_NN: dict[str, Row] = {
    "relu": (("features",), elementwise.relu),
    "relu6": (("features",), elementwise.relu6),
    "leaky_relu": (("features", "alpha"), elementwise.leaky_relu),
    "elu": (("features",), elementwise.activation("elu")),
    "selu": (("features",), elementwise.activation("selu")),
    "gelu": (("features", "approximate"), elementwise.gelu),
    "silu": (("features",), elementwise.activation("swish")),
    "swish": (("features",), elementwise.activation("swish")),
    "sigmoid": (_X, elementwise.activation("sigmoid")),
    "tanh": (_X, elementwise.activation("tanh")),
    "softplus": (("features",), elementwise.activation("softplus")),
    "softsign": (("features",), elementwise.activation("softsign")),
    "softmax": (("logits", "axis"), elementwise.softmax),
    "bias_add": (("value", "bias", "data_format"), arithmetic.add_to_channels),
}
_OF_SHAPES: dict[str, Row] = {
    "concat": (("values", "axis"), shapes.concatenate),
    "stack": (("values", "axis"), shapes.stack),
    "reshape": (("tensor", "shape"), shapes.reshape),
    "expand_dims": (("input", "axis"), shapes.expand_dims),
    "squeeze": (("input", "axis"), shapes.squeeze),
    "transpose": (("a", "perm"), shapes.transpose),
    "identity": (("input",), elementwise.same),
    "cast": (("x", "dtype"), elementwise.cast),
    "clip_by_value": (("t", "clip_value_min", "clip_value_max"), arithmetic.clip),
    "pad": (("tensor", "paddings", "mode", "constant_values"), shapes.pad),
}
_OF_MATRICES: dict[str, Row] = {
    "matmul": (("a", "b", "transpose_a", "transpose_b"), arithmetic.matmul),
    "linalg.matmul": (("a", "b", "transpose_a", "transpose_b"), arithmetic.matmul),
}
_OPERATORS: dict[str, Row] = {
    "matmul": (_TWO, arithmetic.matmul),
    "add": (_TWO, arithmetic.add),
    "radd": (_TWO, arithmetic.add),
    "sub": (_TWO, arithmetic.subtract),
    "mul": (_TWO, arithmetic.multiply),
    "rmul": (_TWO, arithmetic.multiply),
    "truediv": (_TWO, arithmetic.divide),
    "neg": (_X, arithmetic.negative),
    "pow": (_TWO, arithmetic.power),
    "getitem": (("tensor", "slice_spec"), shapes.part),
}
_KERAS_3: dict[str, Row] = {
    "Add": (("x1", "x2"), arithmetic.add),
    "Subtract": (("x1", "x2"), arithmetic.subtract),
    "Multiply": (("x1", "x2"), arithmetic.multiply),
    "TrueDivide": (("x1", "x2"), arithmetic.divide),
    "Divide": (("x1", "x2"), arithmetic.divide),
    "Power": (("x1", "x2"), arithmetic.power),
    "Maximum": (("x1", "x2"), arithmetic.pairwise("Maximum")),
    "Minimum": (("x1", "x2"), arithmetic.pairwise("Minimum")),
    "Negative": (_X, arithmetic.negative),
    "Square": (_X, arithmetic.square),
    "Absolute": (_X, arithmetic.absolute),
    "Abs": (_X, arithmetic.absolute),
    "Matmul": (("x1", "x2"), arithmetic.matmul),
    "Exp": (_X, elementwise.activation("exponential")),
    "Tanh": (_X, elementwise.activation("tanh")),
    "Sigmoid": (_X, elementwise.activation("sigmoid")),
    "Relu": (_X, elementwise.relu),
    "Relu6": (_X, elementwise.relu6),
    "LeakyRelu": (("x", "negative_slope"), elementwise.leaky_relu),
    "Elu": (_X, elementwise.activation("elu")),
    "Silu": (_X, elementwise.activation("swish")),
    "Softmax": (("x", "axis"), elementwise.softmax),
    "Mean": (("x", "axis", "keepdims"), shapes.reduced("Average")),
    "Max": (("x", "axis", "keepdims"), shapes.reduced("Max")),
    "Sum": (("x", "axis", "keepdims"), shapes.reduced("Sum")),
    "Concatenate": (("xs", "axis"), shapes.concatenate),
    "Stack": (("x", "axis"), shapes.stack),
    "Reshape": (("x", "newshape"), shapes.reshape),
    "ExpandDims": (("x", "axis"), shapes.expand_dims),
    "Squeeze": (("x", "axis"), shapes.squeeze),
    "Transpose": (("x", "axes"), shapes.transpose),
    "Clip": (("x", "x_min", "x_max"), arithmetic.clip),
    "GetItem": (("x", "key"), shapes.part),
}

_FUNCTIONS: dict[str, Row] = {
    **{f"math.{name}": row for name, row in _OF_TENSORFLOW.items()},
    **_OF_TENSORFLOW,
    **{f"nn.{name}": row for name, row in _OF_NN.items()},
    **{f"keras.activations.{name}": row for name, row in _OF_NN.items()},
    **_OF_SHAPES,
    **_OF_MATRICES,
    **{f"__operators__.{name}": row for name, row in _OPERATORS.items()},
    **{f"ops.{name}": row for name, row in _KERAS_3.items()},
    "keras.backend.flatten": (_X, shapes.flatten),
}


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
        name_here = node.name if number == len(layers) else f"{node.name}_part_{number}"
        inbound = tuple(nodes[producer].name if isinstance(producer, int) else producer for producer in layer.inbound)
        nodes.append(Node(name_here, node.keras_name, layer.class_name, {"name": name_here, **layer.config}, inbound))
    return tuple(nodes)


def _name_of(producer: str | int | None, spelled: Sequence[Node]) -> str:
    """Return the name of what a spelled layer reads."""
    return producer if isinstance(producer, str) else spelled[-1 if producer is None else producer].name


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
