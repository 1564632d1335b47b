"""From a Keras file to a torch module: reads the file, walks the graph, calls the handlers, wires the results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.hashing import file_sha256
from parity.keras.architectures import architecture_for, known_architecture
from parity.keras.description import LayerDescription, ModelDescription
from parity.keras.errors import ConversionError
from parity.keras.graph import Graph, Node, parse_architecture
from parity.keras.handlers.activations import is_identity, is_softmax
from parity.keras.handlers.layer import DTYPES, Layer, Value, Variable
from parity.keras.handlers.layouts import shown, starts_channels_first, turned_back, works_channels_first
from parity.keras.handlers.masks import mask_behind
from parity.keras.handlers.table import HANDLERS, Handler
from parity.keras.hdf5 import KerasFile, open_keras, read_json_config
from parity.keras.module import KerasModule, Step
from parity.keras.modules.moving import FeatureOrder, Rearrange
from parity.keras.weights import assign

# Far above any classifier's activations; a damaged size must not exhaust the memory.
_LARGEST_OUTPUT = 1 << 27


def load(
    path: str | Path,
    *,
    architecture: str | None = None,
    config: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    inbound: Mapping[str, tuple[str, ...]] | None = None,
) -> KerasModule:
    """Convert a Keras model to torch, without TensorFlow and without running anything from the file.

    Parameters
    ----------
    path
        A `.h5` with or without architecture, a `.weights.h5`, or a `.keras` file.
    architecture
        `"vgg16"` or `"vgg19"`: used when the file holds weights only.
    config
        A JSON file made by `model.to_json()`, for a file that holds weights only. If neither is given, such a file
        beside the weights is used: `name.json` for `name.h5` or `name.weights.h5`.
    dtype
        `torch.float32` or `torch.float64`.
    inbound
        Layers that are given the outputs of other layers than the file says, by name. For experiments: with it a
        wrong network can be built on purpose.

    Returns
    -------
    KerasModule
        In eval mode, parameters without gradient, returning logits: a final softmax is taken off, and
        `description.removed_softmax` says so.

    Raises
    ------
    ConversionError
        If the file cannot be read, is not from Keras, or holds a layer, a configuration or weights that cannot be
        converted exactly. The message names the file and the layer.
    """
    path = Path(path)
    if dtype not in DTYPES:
        raise ConversionError(f"dtype is {dtype}, expected torch.float32 or torch.float64.")
    if architecture is not None:
        known_architecture(architecture)
    with open_keras(path) as file:
        description = architecture_of(file, architecture, None if config is None else Path(config))
        graph = parse_architecture(description, path)
        for node in graph.nodes:
            _handler(node, path)
        stored = assign(file, graph.model, lambda node: variables_of(node, path))
        if inbound:
            nodes = tuple(replace(node, inbound=inbound.get(node.name, node.inbound)) for node in graph.nodes)
            graph = replace(graph, nodes=nodes)
        builder = _Builder(file, graph, dtype, _last_softmax(graph), _keras_major(file, description))
        for node in graph.nodes:
            builder.add(node, stored.get(node.name, {}))
        return builder.finish(file_sha256(path))


def architecture_of(file: KerasFile, architecture: str | None, config: Path | None) -> Mapping[str, Any]:
    """Return the architecture of a file, as stored in it, in a JSON file of its own, or by a known name.

    Raises
    ------
    ConversionError
        If there is none, or more than one.
    """
    if file.config is not None:
        if config is not None:
            raise ConversionError(
                f"{file.path} holds its own architecture, and {config} is a second one. Leave out config=."
            )
        return file.config
    if config is not None and architecture is not None:
        raise ConversionError(f"{file.path}: both architecture={architecture!r} and config={config} given. Pass one.")
    if config is not None:
        return read_json_config(config)
    if architecture is not None:
        return architecture_for(architecture, file)
    beside = _configs_beside(file.path)
    for candidate in beside:
        if candidate.is_file():
            return read_json_config(candidate)
    raise ConversionError(
        f"{file.path} holds weights but no architecture. Pass architecture='vgg16' or 'vgg19', or put the JSON that "
        f"model.to_json() returns into {beside[-1].name!r} beside it (or pass it as config=)."
    )


def _configs_beside(path: Path) -> list[Path]:
    stem = path.name.removesuffix(path.suffix)
    names = dict.fromkeys([f"{stem}.json", f"{stem.removesuffix('.weights')}.json"])
    return [path.with_name(name) for name in names]


def _handler(node: Node, file: Path) -> Handler:
    if node.class_name in HANDLERS:
        return HANDLERS[node.class_name]
    where = f"{file}: layer {node.name!r} ({node.class_name})"
    if node.class_name == "Lambda":
        raise ConversionError(
            f"{where} holds Python code, which is never run. Replace it by layers of Keras's own and save the "
            "model again."
        )
    if node.class_name in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
        raise ConversionError(
            f"{where} is a bare TensorFlow operation ({node.config.get('function', node.keras_name)}), which is not "
            "supported. Use a Keras layer instead, for example Add() for '+', and save the model again."
        )
    raise ConversionError(
        f"{where} is not one of the layers that can be converted, or it is a class of your own, which is never run. "
        f"Replace it; supported are {', '.join(sorted(HANDLERS))}."
    )


def variables_of(node: Node, file: Path) -> tuple[Variable, ...]:
    """Return the Keras variables of a layer, in Keras' order.

    Raises
    ------
    ConversionError
        If there is no such layer here.
    """
    return _handler(node, file).variables(node.config)


def _last_softmax(graph: Graph) -> str | None:
    """Return the name of the layer whose softmax is the last thing the model does, if it is."""
    nodes = {node.name: node for node in graph.nodes}
    node = nodes[graph.output]
    while not is_softmax(node.class_name, node.config):
        # Nothing else is looked through: the references take a softmax before a dropout layer for part of the network.
        if not is_identity(node.class_name, node.config) or not node.inbound:
            return None
        node = nodes[node.inbound[0]]
    return node.name


@dataclass
class _Builder:
    file: KerasFile
    graph: Graph
    dtype: torch.dtype
    last_softmax: str | None
    keras_major: int
    values: dict[str, Value] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    modules: list[tuple[str, nn.Module]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    layers: list[LayerDescription] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)  # by layer: the module that gives its output

    def add(self, node: Node, stored: Mapping[str, Any]) -> None:
        """Convert one layer and wire it."""
        handler = _handler(node, self.file.path)
        if not node.inbound:
            value = Value(self.graph.input_shape, channels_first=starts_channels_first(self.graph))
            self.values[node.name], self.positions[node.name] = value, 0
            self._describe(node, stored, None)
            return
        inputs = [(self.values[name], self.positions[name]) for name in node.inbound]
        if self._needs_keras_order(handler, [value for value, _ in inputs]):
            inputs = [self._in_keras_order(node.inbound[i], *pair) for i, pair in enumerate(inputs)]
        first = works_channels_first(handler.layout, node, [value for value, _ in inputs])
        inputs = [self._in_layout(node.inbound[i], first, *pair) for i, pair in enumerate(inputs)]
        values = tuple(value for value, _ in inputs)
        layer = Layer(
            *(shown(handler.layout, node, values) if first else (node, values)),
            stored,
            self.dtype,
            self.keras_major,
            self.file.path,
            drop_softmax=node.name == self.last_softmax,
            channels_first=first,
        )
        built = handler.build(layer)
        unused = set(stored) - layer.used
        if unused:
            raise layer.fail(f"the tensors {sorted(unused)} in the file are left over")
        own = None
        position = tuple(position for _, position in inputs)
        for suffix, module in built.modules:
            name = self._add_module(node.name + suffix, module, position)
            own = name if suffix == "" else own
            self.ends[node.name] = name
            position = (len(self.steps),)
        if len(position) > 1:
            raise layer.fail(f"it reads {len(position)} tensors, expected one")
        value = replace(turned_back(built.value) if first else built.value, masked=mask_behind(layer))
        self.values[node.name], self.positions[node.name] = value, position[0]
        self._describe(node, stored, own)

    def finish(self, sha256: str) -> KerasModule:
        """Return the module after checking that it yields logits and that every parameter has its values."""
        output, position = self.values[self.graph.output], self.positions[self.graph.output]
        if len(output.shape) != 1 or output.shape[0] is None:
            raise ConversionError(
                f"{self.file.path}: the model's output, layer {self.graph.output!r}, has the shape {output.shape} "
                "besides the batch; expected one axis of classes. "
                "Save keras.Model(input, logits) with a classifier on top."
            )
        if output.order is not None:
            output, position = self._in_keras_order(self.graph.output, output, position)
        description = ModelDescription(
            self.graph.name,
            tuple(self.layers),
            self.graph.input_shape,
            self.last_softmax is not None,
            sha256,
            starts_channels_first(self.graph),
        )
        ends = {
            name: self.ends[one.name]
            for one in self.layers
            if one.name in self.ends
            for name in (one.module, one.name)
            if name is not None
        }
        module = KerasModule(description, self.modules, self.steps, position, ends | self.ends)
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_meta:
                raise ConversionError(f"{self.file.path}: the parameter {name!r} was never filled.")
        module.to(self.dtype)
        return module.eval().requires_grad_(False)

    def _needs_keras_order(self, handler: Handler, values: list[Value]) -> bool:
        orders = [value.order for value in values]
        if handler.order == "any" or all(order is None for order in orders):
            return False
        if handler.order == "same":
            first = orders[0]
            return any(a is None or first is None or not np.array_equal(a, first) for a in orders)
        return True

    def _in_keras_order(self, name: str, value: Value, position: int) -> tuple[Value, int]:
        if value.order is None:
            return value, position
        index = torch.from_numpy(np.argsort(value.order))
        self._add_module(f"{name}_order", FeatureOrder(index), (position,))
        return Value(value.shape, masked=value.masked), len(self.steps)

    def _in_layout(self, name: str, channels_first: bool, value: Value, position: int) -> tuple[Value, int]:
        """Return a value with its axes in torch as the layer that reads it needs them."""
        if value.channels_first == channels_first or len(value.shape) < 2:
            return value, position
        rank = len(value.shape)
        order = [0, *range(2, rank + 1), 1] if channels_first else [0, rank, *range(1, rank)]
        self._add_module(f"{name}_layout", Rearrange(order, None, None), (position,))
        return replace(value, channels_first=channels_first), len(self.steps)

    def _add_module(self, name: str, module: nn.Module, inputs: tuple[int, ...]) -> str:
        """Register a module under a free name that torch accepts, and its one call."""
        name = name.replace(".", "_")
        taken = {used for used, _ in self.modules}
        while name in taken or hasattr(nn.Module, name) or hasattr(KerasModule, name) or name in _RESERVED:
            name += "_"
        self.modules.append((name, module))
        self.steps.append(Step(name, inputs))
        return name

    def _describe(self, node: Node, stored: Mapping[str, Any], module: str | None) -> None:
        parameters = sum(int(np.prod(tensor.shape)) for tensor in stored.values())
        shape = self.values[node.name].shape
        if (size := math.prod(n for n in shape if n is not None)) > _LARGEST_OUTPUT:
            raise ConversionError(
                f"{self.file.path}: layer {node.name!r} ({node.class_name}): its output {shape} has {size} numbers per "
                "sample. Check its configuration and the input shape."
            )
        self.layers.append(
            LayerDescription(node.name, node.class_name, node.config, node.inbound, shape, parameters, module)
        )


# Attributes that nn.Module and KerasModule set on the instance.
_RESERVED = frozenset(vars(nn.Module())) | {"description", "layer_outputs", "_steps", "_output", "_done", "_dtype_of"}


def _keras_major(file: KerasFile, architecture: Mapping[str, Any]) -> int:
    """Return the major version of the Keras that wrote the model: as stated, else as the layout tells."""
    version = file.keras_version or str(architecture.get("keras_version", ""))
    digits = version.split(".")[0]
    if digits.isdecimal() and len(digits) < 4:
        return int(digits)
    return 3 if file.keras_3_layout else 2
