"""What a Keras file holds, read once for all that is made of it: the flattened architecture and its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.keras.activations_apart import activations_apart
from parity.keras.architectures import architecture_for, known_architecture
from parity.keras.cudnn import plain_tensors
from parity.keras.errors import ConversionError
from parity.keras.functions.table import is_operation
from parity.keras.graph import Graph, Node
from parity.keras.handlers.layer import Variable
from parity.keras.handlers.table import HANDLERS
from parity.keras.hdf5 import KerasFile, open_keras, read_json_config
from parity.keras.input_shape import InputShape, of_shape
from parity.keras.keras_1 import refuse_keras_1
from parity.keras.obstacles import refuse_obstacles
from parity.keras.parse import parse_architecture
from parity.keras.substitutes import SUBSTITUTES, substituted
from parity.keras.weights import Assigned, assign

KERAS_3 = 3
"""The major version from which files and some functions are otherwise."""


@dataclass(frozen=True)
class Stored:
    """An opened file.

    Attributes
    ----------
    file
        The file; tensors can be read until it is closed.
    graph
        The model's layers.
    tensors
        Their weights, by node and variable; further calls of a layer have those of the first.
    keras_major
        Major version of the Keras that wrote the model.
    described_elsewhere
        Whether the architecture is in a file that only this converter finds: neither in the weights' file, nor in a
        JSON file of its name, nor a known one.
    """

    file: KerasFile
    graph: Graph
    tensors: Assigned
    keras_major: int
    described_elsewhere: bool


@contextmanager
def open_model(
    path: Path,
    architecture: str | None = None,
    config: Path | None = None,
    output: str | None = None,
    input_shape: InputShape | None = None,
) -> Iterator[Stored]:
    """Open a model; see `parity.keras.load` for the arguments.

    Raises
    ------
    ConversionError
        If the file cannot be read or is not from Keras, if it holds what cannot be converted (all of it is named), or
        if the weights are not those of the architecture.
    """

    def fail(problem: str) -> ConversionError:
        return ConversionError(f"{path}: {problem}.")

    if architecture is not None:
        known_architecture(architecture)
    with open_keras(path) as file:
        described, elsewhere = _architecture_of(file, architecture, config)
        version = str(described.get("keras_version") or (file.keras_version if file.config is not None else ""))
        refuse_keras_1(described, version, path)
        graph = of_shape(parse_architecture(described, path, output), input_shape, fail)
        keras_major = _keras_major(file, described)
        refuse_obstacles(graph.nodes, path)
        needed = {node.weights_of or node.name for node in graph.nodes}
        assigned = assign(file, graph.model, variables_of, needed)
        tensors = {name: plain_tensors(stored) for name, stored in assigned.items()}
        graph, tensors = substituted(graph, tensors, fail)
        graph = activations_apart(graph, keras_major >= KERAS_3, fail)
        shared = {node.name: tensors.get(node.weights_of, {}) for node in graph.nodes if node.weights_of}
        yield Stored(file, graph, tensors | shared, keras_major, elsewhere)


def variables_of(node: Node) -> tuple[Variable, ...]:
    """Return the Keras variables of a layer, in Keras' order; a bare operation has none.

    Raises
    ------
    ConversionError
        If the layer is none that is converted.
    """
    if is_operation(node.class_name):
        return ()
    if node.class_name in SUBSTITUTES:
        return SUBSTITUTES[node.class_name].variables(node.config)
    if node.class_name not in HANDLERS:
        raise ConversionError(
            f"layer {node.name!r} ({node.class_name}) lies in a nested model whose weights cannot be told apart "
            "without it. Save keras.Model(inputs, output) for the one output."
        )
    return HANDLERS[node.class_name].variables(node.config)


def _architecture_of(file: KerasFile, architecture: str | None, config: Path | None) -> tuple[Mapping[str, Any], bool]:
    """Return the architecture of a file, as stored in it, in a JSON file of its own, or by a known name.

    Also returns whether it is described elsewhere, see `Stored`.
    """
    if file.config is not None:
        if config is not None:
            raise ConversionError(
                f"{file.path} holds its own architecture, and {config} is a second one. Leave out config=."
            )
        return file.config, False
    if config is not None and architecture is not None:
        raise ConversionError(f"{file.path}: both architecture={architecture!r} and config={config} given. Pass one.")
    if config is not None:
        return read_json_config(config), True
    if architecture is not None:
        return architecture_for(architecture, file), False
    beside = _configs_beside(file.path)
    for candidate in beside:
        if candidate.is_file():
            return read_json_config(candidate), candidate != file.path.with_suffix(".json")
    raise ConversionError(
        f"{file.path} holds weights but no architecture. Pass architecture='vgg16' or 'vgg19', or put the JSON that "
        f"model.to_json() returns into {beside[-1].name!r} beside it (or pass it as config=, --config)."
    )


def _configs_beside(path: Path) -> list[Path]:
    stem = path.name.removesuffix(path.suffix)
    names = dict.fromkeys([f"{stem}.json", f"{stem.removesuffix('.weights')}.json"])
    return [path.with_name(name) for name in names]


def _keras_major(file: KerasFile, architecture: Mapping[str, Any]) -> int:
    """Return the major version of the Keras that wrote the model: as stated, else as the layout tells."""
    version = file.keras_version or str(architecture.get("keras_version", ""))
    digits = version.split(".")[0]
    if digits.isdecimal() and len(digits) < 4:
        return int(digits)
    return 3 if file.keras_3_layout else 2
