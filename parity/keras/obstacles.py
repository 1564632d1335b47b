"""What keeps a model from being converted, all of it at once: Keras' own layers apart from the user's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from parity.keras.errors import ConversionError
from parity.keras.functions.table import OPERATION_CLASSES, function_of, is_known, is_operation
from parity.keras.graph import Node
from parity.keras.handlers.activations import unsupported_functions, why_unsupported
from parity.keras.handlers.table import HANDLERS
from parity.keras.handlers.wrappers import layer_inside, model_inside
from parity.keras.substitutes import SPECTRAL, SUBSTITUTES

_NAMED = 4
# Keras' own classes that the table may lack; a class that is neither here nor there is the user's.
_OF_KERAS = frozenset({
    "AbstractRNNCell", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "AutoContrast", "CategoryEncoding",
    "ContrastLimitedAdaptiveHistogramEqualization", "CuDNNGRU", "CuDNNLSTM", "DenseFeatures", "Discretization",
    "FlaxLayer", "GRUCell", "HashedCrossing",
    "Hashing", "IntegerLookup", "JaxLayer", "LSTMCell", "Lambda", "MaxNumBoundingBoxes", "MelSpectrogram", "Pipeline",
    "RandomFourierFeatures", "ReversibleEmbedding", "STFTSpectrogram", "SimpleRNNCell",
    "StackedRNNCells", "StringLookup", "TFSMLayer", "TensorFlowOpLayer", "TextVectorization",
    "TorchModuleWrapper", "Wrapper",
})  # fmt: skip

_CODE = ("Lambda",)
_UNKNOWN_OPERATION = (
    "is a bare operation ({}), which is not in the table of those that are converted. Use layers of Keras instead, and "
    "save the model again."
)


def refuse_obstacles(nodes: Sequence[Node], file: Path) -> None:
    """Raise one error for everything in a model that has no handler, or does nothing.

    Raises
    ------
    ConversionError
        With one line for each kind of obstacle, and the layers that it is about.
    """
    obstacles: dict[str, list[Node]] = {}
    tokens = any("int" in str(node.config.get("dtype")) for node in nodes if node.class_name == "InputLayer")
    for node in nodes:
        for problem in _problems(node, tokens=tokens):
            obstacles.setdefault(problem, []).append(node)
        for inner in layers_inside(node, file):
            for problem in _problems(inner, inside=True):
                obstacles.setdefault(problem, []).append(inner)
    lines = [f"{_layers(group)} {problem}" for problem, group in obstacles.items()]
    if len(lines) == 1:
        raise ConversionError(f"{file}: {lines[0]}")
    if lines:
        listed = "\n".join(f"- {line}" for line in lines)
        raise ConversionError(f"{file}: {len(lines)} things cannot be converted:\n{listed}")


def layers_inside(node: Node, file: Path) -> Iterator[Node]:
    """Yield the layer, or the layers of the model, that a layer holds, named as if that were a model."""
    if node.class_name not in ("TimeDistributed", *SPECTRAL):
        return
    graph = model_inside(node.config, file)
    if graph is None and isinstance(node.config.get("layer"), Mapping):
        class_name, config = layer_inside(node.config)
        yield Node(f"{node.name}/{config.get('name')}", node.keras_name, class_name, config, node.inbound)
    for inner in graph.nodes if graph else ():
        yield replace(inner, name=f"{node.name}/{inner.name}")


def _problems(node: Node, inside: bool = False, tokens: bool = False) -> Iterator[str]:
    kind = node.class_name
    if kind in _CODE:
        yield ("holds Python code, which is never run. Replace it by layers of Keras's own and save the model again.")
    elif is_operation(kind):
        if not is_known(node):
            yield _UNKNOWN_OPERATION.format(function_of(node))
    elif _is_function_of_keras_3(node):
        yield _UNKNOWN_OPERATION.format(f"ops.{kind}")
    elif kind in SPECTRAL and not inside:
        yield from _problems_of_spectral(node, tokens)
    elif kind in SUBSTITUTES and inside:
        yield f"is Keras' own {kind}, which is not supported inside of another layer. Replace it."
    elif kind not in HANDLERS and kind not in SUBSTITUTES:
        whose = (
            f"is Keras' own {kind}, which is not supported" if kind in _OF_KERAS
            else f"is of the class {kind}, which is none of Keras' own: a class of yours is never run"
        )  # fmt: skip
        supported = sorted({*HANDLERS, *SUBSTITUTES} - {*OPERATION_CLASSES})
        yield f"{whose}. Replace it; supported are {', '.join(supported)}."
    else:
        for name in unsupported_functions(node.config):
            yield f"{why_unsupported(name)}."
        if _is_quantized(node):
            yield "is quantised, which is not supported. Save the model before it is quantised."
        for key, value in node.call.settings.items():
            if value not in (SUBSTITUTES.get(kind) or HANDLERS[kind]).settings.get(key, ()):
                yield f"is called with {key}={value!r}, which is not supported. Call the layer without it."


def _problems_of_spectral(node: Node, tokens: bool) -> Iterator[str]:
    kind, config = layer_inside(node.config)
    if kind == "Embedding" and tokens:
        yield "casts vectors to the whole numbers that the tokens are. Use the Embedding alone, or an Input of floats."
    elif kind in HANDLERS and not HANDLERS[kind].variables(config):
        yield f"holds a layer of the class {kind}, which has no kernel to normalise. Use that layer alone."
    elif not isinstance(node.config.get("layer"), Mapping):
        yield "holds no layer. Save the model again."


def _is_function_of_keras_3(node: Node) -> bool:
    """Return whether an entry of an `.h5` of Keras 3, which names no module, is a function that has no row here.

    It says neither its dtype nor whether it is trainable, as every layer does, one of the user's own too.
    """
    known = node.class_name in HANDLERS or node.class_name in SUBSTITUTES or node.class_name in _OF_KERAS
    told = "trainable" in node.config or node.config.get("dtype") is not None
    return node.call.tells_masks and not known and not told


def _is_quantized(node: Node) -> bool:
    """Return whether Keras 3 stores a layer's weights as whole numbers."""
    dtype = node.config.get("dtype")
    return isinstance(dtype, Mapping) and "Quantized" in str(dtype.get("class_name"))


def _layers(nodes: Sequence[Node]) -> str:
    named = ", ".join(f"{node.name!r} ({node.class_name})" for node in nodes[:_NAMED])
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return f"{'layer' if len(nodes) == 1 else 'layers'} {named}{more}{'' if len(nodes) == 1 else ': each'}"
