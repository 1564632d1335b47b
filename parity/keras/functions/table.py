"""Bare operations between layers, such as `x + y` or `tf.nn.relu(x)`, spelled as layers of Keras: one table by name.

Keras keeps such an operation as a layer of its own (`TFOpLambda` and `SlicingOpLambda` in Keras 2, classes of
`keras.ops` in Keras 3) that holds the function's name. Nothing is looked up by that name but the rows below, and no
code of the file is run. Each row gives layers that compute the same, which both references can read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parity.keras.calls import Source
from parity.keras.errors import ConversionError
from parity.keras.functions import (
    arithmetic,
    deciding,
    elementwise,
    images,
    of_keras_3,
    parts,
    pointwise,
    products,
    reducing,
    shapes,
    sizes,
    statistics,
)
from parity.keras.functions.gelu import gelu
from parity.keras.functions.sizes import Sizes
from parity.keras.functions.spelling import (
    COPY,
    COPY_SETTINGS,
    RESULT,
    NotSpelledError,
    OpenSizeError,
    Spelling,
    Tensor,
    shown,
)
from parity.keras.graph import Node
from parity.keras.input_shape import HOW_TO_TELL
from parity.keras.masks import MASK_CLASSES
from parity.keras.modules.pointwise import POINTWISE

OPERATION_CLASSES = ("TFOpLambda", "SlicingOpLambda")

_OTHERWISE_IN_TENSORFLOW_1 = "image."
_SOFTMAX = ("nn.softmax", "keras.activations.softmax", "ops.Softmax")

Row = tuple[tuple[str, ...], Spelling]
"""The names of a function's first arguments by place, and how it is spelled."""
_TWO, _X = ("x", "y"), ("x", "name")
_OF_TENSORFLOW: dict[str, Row] = {
    "add": (_TWO, arithmetic.add),
    "subtract": (_TWO, arithmetic.subtract),
    "multiply": (_TWO, arithmetic.multiply),
    "truediv": (_TWO, pointwise.divide),
    "divide": (_TWO, pointwise.divide),
    "pow": (_TWO, pointwise.power),
    "maximum": (_TWO, arithmetic.pairwise("Maximum")),
    "minimum": (_TWO, arithmetic.pairwise("Minimum")),
    "negative": (_X, arithmetic.negative),
    "square": (_X, arithmetic.square),
    "abs": (_X, arithmetic.absolute),
    "exp": (_X, elementwise.activation("exponential")),
    "tanh": (_X, elementwise.activation("tanh")),
    "sigmoid": (_X, elementwise.activation("sigmoid")),
    "softplus": (("features",), elementwise.activation("softplus")),
    "reduce_mean": (("input_tensor", "axis", "keepdims"), reducing.reduced("Average")),
    "reduce_max": (("input_tensor", "axis", "keepdims"), reducing.reduced("Max")),
    "reduce_sum": (("input_tensor", "axis", "keepdims"), reducing.reduced("Sum")),
    "reduce_min": (("input_tensor", "axis", "keepdims"), reducing.reduced("Min")),
    "squared_difference": (_TWO, arithmetic.squared_difference),
    "divide_no_nan": (_TWO, arithmetic.divide),
    "add_n": (("inputs",), arithmetic.add_all),
    "l2_normalize": (("x", "axis", "epsilon"), arithmetic.unit_length),
    "reduce_logsumexp": (("input_tensor", "axis", "keepdims"), statistics.logsumexp),
    "greater": (_TWO, deciding.greater),
    "less": (_TWO, deciding.less),
    "greater_equal": (_TWO, deciding.negated(deciding.less)),
    "less_equal": (_TWO, deciding.negated(deciding.greater)),
    "not_equal": (_TWO, deciding.differs),
    "equal": (_TWO, deciding.negated(deciding.differs)),
    "logical_and": (_TWO, arithmetic.multiply),
    "logical_or": (_TWO, arithmetic.pairwise("Maximum")),
    "logical_not": (_X, deciding.opposite),
    "reduce_variance": (("input_tensor", "axis", "keepdims"), statistics.variance),
    "reduce_std": (("input_tensor", "axis", "keepdims"), statistics.deviation),
    **{name.removeprefix("math."): (_X, pointwise.pointwise(name)) for name in POINTWISE if name.startswith("math.")},
}
"""Functions of `tf.math`, some of which `tf` has too."""
_OF_NN: dict[str, Row] = {
    "relu": (("features", "alpha", "max_value", "threshold"), elementwise.relu),
    "relu6": (("features",), elementwise.relu6),
    "leaky_relu": (("features", "alpha"), elementwise.leaky_relu),
    "elu": (("features",), elementwise.activation("elu")),
    "selu": (("features",), elementwise.activation("selu")),
    "gelu": (("features", "approximate"), gelu),
    "silu": (("features",), elementwise.activation("swish")),
    "swish": (("features",), elementwise.activation("swish")),
    "sigmoid": (_X, elementwise.activation("sigmoid")),
    "tanh": (_X, elementwise.activation("tanh")),
    "softplus": (("features",), elementwise.activation("softplus")),
    "softsign": (("features",), elementwise.activation("softsign")),
    "crelu": (("features", "axis"), elementwise.both_signs),
    "softmax": (("logits", "axis"), elementwise.softmax),
    "log_softmax": (("logits", "axis"), elementwise.log_softmax),
    "l2_normalize": (("x", "axis", "epsilon"), arithmetic.unit_length),
    "max_pool": (("input", "ksize", "strides", "padding", "data_format"), reducing.pooled("MaxPooling2D")),
    "avg_pool": (("input", "ksize", "strides", "padding", "data_format"), reducing.pooled("AveragePooling2D")),
    "max_pool2d": (("input", "ksize", "strides", "padding", "data_format"), reducing.pooled("MaxPooling2D")),
    "avg_pool2d": (("input", "ksize", "strides", "padding", "data_format"), reducing.pooled("AveragePooling2D")),
    "depth_to_space": (("input", "block_size", "data_format"), shapes.depth_to_space),
    "space_to_depth": (("input", "block_size", "data_format"), shapes.space_to_depth),
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
    "ensure_shape": (("x", "shape"), elementwise.same),
    "cast": (("x", "dtype"), deciding.cast),
    "stop_gradient": (("input",), pointwise.pointwise("stop_gradient")),
    "where": (("condition", "x", "y"), deciding.where),
    "zeros_like": (("input",), deciding.filled(0.0)),
    "ones_like": (("input",), deciding.filled(1.0)),
    "one_hot": (("indices", "depth", "on_value", "off_value", "axis"), deciding.one_hot),
    "clip_by_value": (("t", "clip_value_min", "clip_value_max"), arithmetic.clip),
    "pad": (("tensor", "paddings", "mode", "constant_values"), shapes.pad),
    "tile": (("input", "multiples"), shapes.tile),
    "repeat": (("input", "repeats", "axis"), shapes.repeat),
    "reverse": (("tensor", "axis"), parts.reverse),
    "roll": (("input", "shift", "axis"), parts.roll),
    "slice": (("input_", "begin", "size"), parts.cut),
    "gather": (("params", "indices", "validate_indices", "axis", "batch_dims"), parts.gather),
    "norm": (("tensor", "ord", "axis", "keepdims"), statistics.norm),
    "linalg.norm": (("tensor", "ord", "axis", "keepdims"), statistics.norm),
    "image.resize": (("images", "size", "method", "preserve_aspect_ratio", "antialias"), images.resize),
    "image.grayscale_to_rgb": (("images",), images.grey_to_colours),
    "image.extract_patches": (("images", "sizes", "strides", "rates", "padding"), images.patches),
    "image.rgb_to_grayscale": (("images",), images.colours_to_grey),
    "image.flip_left_right": (("image",), parts.mirrored(2)),
    "image.flip_up_down": (("image",), parts.mirrored(1)),
}
_OF_SEVERAL_RESULTS: dict[str, Row] = {
    "split": (("value", "num_or_size_splits", "axis"), parts.split),
    "unstack": (("value", "num", "axis"), parts.unstack),
    "ops.Split": (("x", "indices_or_sections", "axis"), parts.split_at),
    "ops.Unstack": (("x", "num", "axis"), parts.unstack),
    "ops.Moments": (("x", "axes", "keepdims", "synchronized"), statistics.moments),
}
_OF_MATRICES: dict[str, Row] = {
    "matmul": (("a", "b", "transpose_a", "transpose_b"), products.matmul),
    "linalg.matmul": (("a", "b", "transpose_a", "transpose_b"), products.matmul),
}
_OF_SIZES: dict[str, tuple[str, ...]] = {"shape": ("input", "out_type")}
"""The names of the first arguments of what no layer does."""
_OPERATORS: dict[str, Row] = {
    "matmul": (_TWO, products.matmul),
    "add": (_TWO, arithmetic.add),
    "radd": (_TWO, arithmetic.add),
    "sub": (_TWO, arithmetic.subtract),
    "mul": (_TWO, arithmetic.multiply),
    "rmul": (_TWO, arithmetic.multiply),
    "truediv": (_TWO, pointwise.divide),
    "neg": (_X, arithmetic.negative),
    "pow": (_TWO, pointwise.power),
    "gt": (_TWO, deciding.greater),
    "lt": (_TWO, deciding.less),
    "ge": (_TWO, deciding.negated(deciding.less)),
    "le": (_TWO, deciding.negated(deciding.greater)),
    "getitem": (("tensor", "slice_spec"), parts.part),
}
_RESIZED = (
    "images", "size", "interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_mode",
    "fill_value", "data_format",
)  # fmt: skip


def _in_keras_3(name: str) -> str:
    """Return what Keras 3 calls a function of `POINTWISE`, such as `Arcsin`."""
    short = name.removeprefix("math.")
    return "".join(part.capitalize() for part in (f"arc{short[1:]}" if short.startswith("a") else short).split("_"))


_KERAS_3: dict[str, Row] = {
    "Add": (("x1", "x2"), arithmetic.add),
    "Subtract": (("x1", "x2"), arithmetic.subtract),
    "Multiply": (("x1", "x2"), arithmetic.multiply),
    "TrueDivide": (("x1", "x2"), pointwise.divide),
    "Divide": (("x1", "x2"), pointwise.divide),
    "Power": (("x1", "x2"), pointwise.power),
    "Maximum": (("x1", "x2"), arithmetic.pairwise("Maximum")),
    "Minimum": (("x1", "x2"), arithmetic.pairwise("Minimum")),
    "Negative": (_X, arithmetic.negative),
    "Square": (_X, arithmetic.square),
    "Absolute": (_X, arithmetic.absolute),
    "Abs": (_X, arithmetic.absolute),
    "Matmul": (("x1", "x2"), products.matmul),
    "Einsum": (("x1", "x2", "subscripts"), products.einsum),
    "Exp": (_X, elementwise.activation("exponential")),
    "Tanh": (_X, elementwise.activation("tanh")),
    "Sigmoid": (_X, elementwise.activation("sigmoid")),
    "Relu": (_X, elementwise.relu),
    "Relu6": (_X, elementwise.relu6),
    "LeakyRelu": (("x", "negative_slope"), elementwise.leaky_relu),
    "Elu": (("x", "alpha"), elementwise.elu),
    "Gelu": (("x", "approximate"), gelu),
    "Selu": (_X, elementwise.activation("selu")),
    "Silu": (_X, elementwise.activation("swish")),
    "Mish": (_X, of_keras_3.mish),
    "HardSigmoid": (_X, of_keras_3.hard_sigmoid),
    "HardSilu": (_X, of_keras_3.hard_silu),
    "HardTanh": (_X, of_keras_3.hard_tanh),
    "LogSigmoid": (_X, of_keras_3.log_sigmoid),
    "Celu": (("x", "alpha"), of_keras_3.celu),
    "TanhShrink": (_X, of_keras_3.tanh_shrink),
    "SoftShrink": (("x", "threshold"), of_keras_3.soft_shrink),
    "HardShrink": (("x", "threshold"), of_keras_3.hard_shrink),
    "Threshold": (("x", "threshold", "default_value"), of_keras_3.threshold),
    "Squareplus": (("x", "b"), of_keras_3.squareplus),
    "SparsePlus": (_X, of_keras_3.sparse_plus),
    "SparseSigmoid": (_X, of_keras_3.sparse_sigmoid),
    "Glu": (("x", "axis"), of_keras_3.glu),
    "Softplus": (_X, elementwise.activation("softplus")),
    "Softsign": (_X, elementwise.activation("softsign")),
    "Softmax": (("x", "axis"), elementwise.along_an_axis(elementwise.softmax)),
    "Mean": (("x", "axis", "keepdims"), reducing.reduced("Average")),
    "Max": (("x", "axis", "keepdims"), reducing.reduced("Max")),
    "Sum": (("x", "axis", "keepdims"), reducing.reduced("Sum")),
    "Min": (("x", "axis", "keepdims"), reducing.reduced("Min")),
    "Var": (("x", "axis", "keepdims"), statistics.variance),
    "Std": (("x", "axis", "keepdims"), statistics.deviation),
    "Norm": (("x", "ord", "axis", "keepdims"), statistics.norm),
    "Logsumexp": (("x", "axis", "keepdims"), statistics.logsumexp),
    "Log2": (_X, pointwise.logarithm(2.0)),
    "Log10": (_X, pointwise.logarithm(10.0)),
    **{_in_keras_3(name): (_X, pointwise.pointwise(name)) for name in POINTWISE},
    "Round": (("x", "decimals"), pointwise.rounded),
    "LogSoftmax": (("x", "axis"), elementwise.along_an_axis(elementwise.log_softmax)),
    "Tile": (("x", "repeats"), shapes.tile),
    "Repeat": (("x", "repeats", "axis"), shapes.repeat),
    "Flip": (("x", "axis"), parts.reverse),
    "Roll": (("x", "shift", "axis"), parts.roll),
    "Take": (("x", "indices", "axis"), parts.gather),
    "Swapaxes": (("x", "axis1", "axis2"), shapes.swap),
    "Moveaxis": (("x", "source", "destination"), shapes.move),
    "Cast": (("x", "dtype"), deciding.cast),
    "Greater": (("x1", "x2"), deciding.greater),
    "Less": (("x1", "x2"), deciding.less),
    "GreaterEqual": (("x1", "x2"), deciding.negated(deciding.less)),
    "LessEqual": (("x1", "x2"), deciding.negated(deciding.greater)),
    "NotEqual": (("x1", "x2"), deciding.differs),
    "Equal": (("x1", "x2"), deciding.negated(deciding.differs)),
    "LogicalAnd": (("x1", "x2"), arithmetic.multiply),
    "LogicalOr": (("x1", "x2"), arithmetic.pairwise("Maximum")),
    "LogicalNot": (_X, deciding.opposite),
    "Where": (("condition", "x1", "x2"), deciding.where),
    "ZerosLike": (_X, deciding.filled(0.0)),
    "OnesLike": (_X, deciding.filled(1.0)),
    "OneHot": (("x", "num_classes", "axis", "dtype", "sparse"), deciding.one_hot),
    "Pad": (("x", "pad_width", "mode", "constant_values"), shapes.pad),
    "MaxPool": (("inputs", "pool_size", "strides", "padding", "data_format"), reducing.pooled("MaxPooling2D")),
    "AveragePool": (("inputs", "pool_size", "strides", "padding", "data_format"), reducing.pooled("AveragePooling2D")),
    "Resize": (_RESIZED, images.resize),
    "ExtractPatches": (("images", "size", "strides", "dilation_rate", "padding", "data_format"), images.patches),
    "RGBToGrayscale": (("images", "data_format"), images.colours_to_grey),
    "Concatenate": (("values", "axis"), shapes.concatenate),
    "Stack": (("values", "axis"), shapes.stack),
    "Reshape": (("x", "newshape"), shapes.reshape),
    "ExpandDims": (("x", "axis"), shapes.expand_dims),
    "Squeeze": (("x", "axis"), shapes.squeeze),
    "Transpose": (("x", "axes"), shapes.transpose),
    "Clip": (("x", "x_min", "x_max"), arithmetic.clip),
    "GetItem": (("x", "key"), parts.part),
}

_FUNCTIONS: dict[str, Row] = {
    **{f"math.{name}": row for name, row in _OF_TENSORFLOW.items()},
    **_OF_TENSORFLOW,
    **{f"nn.{name}": row for name, row in _OF_NN.items()},
    **{f"keras.activations.{name}": row for name, row in _OF_NN.items()},
    **_OF_SHAPES,
    **_OF_SEVERAL_RESULTS,
    **_OF_MATRICES,
    **{f"__operators__.{name}": row for name, row in _OPERATORS.items()},
    **{f"ops.{name}": row for name, row in _KERAS_3.items()},
    "keras.backend.flatten": (_X, shapes.flatten),
    "keras.backend.batch_flatten": (_X, shapes.flatten),
}


def is_operation(class_name: str) -> bool:
    """Return whether a class stands for a bare operation."""
    return class_name in OPERATION_CLASSES or class_name.startswith("ops.")


def function_of(node: Node) -> str:
    """Return the name of the function that a node stands for, such as `math.truediv`."""
    if node.class_name.startswith("ops."):
        return node.class_name
    name = str(node.config.get("function", node.keras_name))
    today = name.removeprefix("compat.v1.")
    return name if today.startswith(_OTHERWISE_IN_TENSORFLOW_1) else today


def cast_dtype(node: Node) -> str | None:
    """Return the dtype that an operation of TensorFlow casts to, None if it does something else."""
    dtype = node.call.keywords.get("dtype") if is_operation(node.class_name) and function_of(node) == "cast" else None
    return dtype if isinstance(dtype, str) else None


def is_softmax_operation(node: Node) -> bool:
    """Return whether a node stands for a bare softmax, such as `tf.nn.softmax(x)`."""
    return is_operation(node.class_name) and function_of(node) in _SOFTMAX


_OF_EVERY_LAYER = ("name", "dtype", "trainable")


def has_several_results(class_name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a class, with its settings, stands for a bare operation of several results."""
    return class_name in _OF_SEVERAL_RESULTS or (
        class_name in OPERATION_CLASSES and config.get("function") in _OF_SEVERAL_RESULTS
    )


def is_named_in_keras_3(class_name: str) -> bool:
    """Return whether `keras.ops` has a function that is converted under the name of a class."""
    return f"ops.{class_name}" in _FUNCTIONS or f"ops.{class_name}" in MASK_CLASSES


def is_known(node: Node) -> bool:
    """Return whether the table has the function of a node."""
    return function_of(node) in _FUNCTIONS or function_of(node) in _OF_SIZES or node.class_name in MASK_CLASSES


Read = Tensor | Sizes
"""What an operation reads: a tensor, or sizes of tensors."""


def measured(node: Node, reads: Sequence[Read]) -> tuple[bool, Sizes]:
    """Return whether a bare operation gives sizes of tensors, which are no layer's work, and which."""
    name = function_of(node)
    parameters = _OF_SIZES.get(name) or _FUNCTIONS.get(name, ((), None))[0]
    try:
        return sizes.measured(name, _named(node, parameters, reads))
    except NotSpelledError:
        return False, None


def spelled(node: Node, reads: Sequence[Read], fail: Callable[[str], ConversionError]) -> tuple[Node, ...]:
    """Return the layers that compute the same as a bare operation; the last has its name.

    Parameters
    ----------
    node
        The operation.
    reads
        What it reads.
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
        layers = spelling(_named(node, parameters, reads))
    except NotSpelledError as problem:
        open_size = isinstance(problem, OpenSizeError)
        advice = HOW_TO_TELL if open_size else "Use layers of Keras instead, and save the model again"
        raise fail(f"the bare operation {name} {problem}. {advice}") from None
    nodes: list[Node] = []
    ordered: list[Node] = []
    for number, layer in enumerate(layers, start=1):
        name_here = node.name if number == len(layers) else f"{node.name}_part_{number}"
        inbound: list[str] = []
        for read in layer.inbound:
            producer = nodes[read].name if isinstance(read, int) else read
            if producer in inbound:  # both references count twice what one layer reads twice
                copy = f"{node.name}_copy_{len(ordered) + 1}"
                ordered.append(Node(copy, node.keras_name, COPY, {"name": copy, **COPY_SETTINGS}, (producer,)))
                inbound.append(copy)
            else:
                inbound.append(producer)
        config = {"name": name_here, **layer.config}
        nodes.append(Node(name_here, node.keras_name, layer.class_name, config, tuple(inbound)))
        ordered.append(nodes[-1])
    return tuple(ordered)


def _named(node: Node, parameters: tuple[str, ...], reads: Sequence[Read]) -> dict[str, Any]:
    """Return the arguments by name, tensors as `Tensor`."""
    tensors = iter(reads)

    def placed(value: Any) -> Any:
        if isinstance(value, Source):
            tensor = next(tensors)
            return list(tensor) if isinstance(tensor, tuple) else tensor
        if isinstance(value, (list, tuple)):
            return [placed(item) for item in value]
        return value

    by_place = node.call.arguments
    joined = by_place[0] if len(by_place) == 1 and isinstance(by_place[0], tuple | list) else ()
    # Keras 2 joins several tensors by place into one list, and writes an array of constants number by number.
    if any(isinstance(value, Source) for value in joined) and len(parameters) > 1 and parameters[0] != "values":
        by_place = tuple(joined)
    arguments = [placed(value) for value in by_place]
    if len(arguments) > len(parameters):
        raise NotSpelledError(f"has {len(arguments)} arguments by place, expected at most {len(parameters)}")
    told = {key: placed(value) for key, value in node.call.keywords.items() if key != "name"}
    # Keras 3 keeps settings there, Keras 2 the function's name alone.
    settings = {} if node.class_name in OPERATION_CLASSES else {
        key: value for key, value in node.config.items()
        if key not in _OF_EVERY_LAYER or (key == "dtype" and key in parameters)
    }  # fmt: skip
    for key, value in [*told.items(), *settings.items()]:
        if key not in parameters and value is not None and value is not False:
            raise NotSpelledError(f"is called with {key}={shown(value)}, which is not supported")
    result = {RESULT: node.result} if has_several_results(node.class_name, node.config) else {}
    return settings | told | dict(zip(parameters, arguments, strict=False)) | result
