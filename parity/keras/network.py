"""A Keras model as data that can be edited and written again: layers, their configurations and their weights.

What is read here is what `parity.keras.load` converts, nested models flattened; what is written is a Keras 2 `.h5` that
TensorFlow 2.12 reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from parity.keras.augmentations import UNKNOWN_TO_KERAS_2
from parity.keras.description import LayerDescription, ModelDescription, Shape
from parity.keras.functions.table import is_operation
from parity.keras.gates import Tensors, weights_for_keras_2
from parity.keras.handlers.activations import is_softmax
from parity.keras.handlers.attention import SCORES, roles
from parity.keras.handlers.recurrent import RECURRENT
from parity.keras.handlers.table import HANDLERS
from parity.keras.keras_2 import keras_2_config
from parity.keras.results import STATE
from parity.keras.stored import KERAS_3, open_model


@dataclass(frozen=True, eq=False)
class NetworkLayer:
    """One layer.

    Attributes
    ----------
    name, class_name
        As Keras calls them; names hold no "/".
    config
        The layer's configuration.
    inbound
        Names of the layers it reads, in order; empty for the input.
    weights
        Keras variable name -> values, in Keras' order.
    shape
        Of its output, without the batch axis; None where it is not known.
    keywords
        The name of the argument that each inbound tensor is passed as, None where it stands by place; empty where all
        do.
    settings
        What the call is told besides tensors.
    result
        The number of the result that it stands for, where the layer gives several.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str, ...]
    weights: Tensors = field(default_factory=dict)
    shape: Shape | None = None
    keywords: tuple[str | None, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    result: int = 0

    def configured(self, **changes: Any) -> NetworkLayer:
        """Return the layer with other settings."""
        return replace(self, config={**self.config, **changes})


@dataclass(frozen=True, eq=False)
class Network:
    """A model of one output, which is its last layer's; every layer comes after those it reads, the inputs first."""

    layers: tuple[NetworkLayer, ...]

    def __iter__(self) -> Iterator[NetworkLayer]:
        return iter(self.layers)

    def __getitem__(self, name: str) -> NetworkLayer:
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def output(self) -> NetworkLayer:
        """The layer that makes the output."""
        return self.layers[-1]

    def consumers(self, name: str) -> tuple[NetworkLayer, ...]:
        """Return the layers that read a layer, once per time they read it."""
        return tuple(layer for layer in self.layers for producer in layer.inbound if producer == name)

    def free_name(self, stem: str) -> str:
        """Return a name that no layer has."""
        taken = {layer.name for layer in self.layers}
        number, name = 1, stem
        while name in taken:
            number, name = number + 1, f"{stem}_{number}"
        return name

    def with_layer(self, layer: NetworkLayer) -> Network:
        """Return the network with a layer in place of the one of the same name."""
        return Network(tuple(layer if other.name == layer.name else other for other in self.layers))

    def inserted(self, name: str, *layers: NetworkLayer, consumers: Sequence[str] | None = None) -> Network:
        """Return the network with a chain of layers behind the layer `name`.

        Parameters
        ----------
        name
            The layer behind which they go; each of them reads the one before.
        *layers
            The chain; their `inbound` is set here.
        consumers
            Names of the layers that read the chain's end from now on; None for all that read `name`.
        """
        previous, chain = name, []
        for layer in layers:
            chain.append(replace(layer, inbound=(previous,)))
            previous = layer.name
        changed: list[NetworkLayer] = []
        for layer in self.layers:
            moves = consumers is None or layer.name in consumers
            inbound = tuple(previous if moves and producer == name else producer for producer in layer.inbound)
            changed.append(replace(layer, inbound=inbound))
            if layer.name == name:
                changed += chain
        return Network(tuple(changed))


def network_of(description: ModelDescription) -> Network:
    """Return a converted model as a network without weights.

    Nested models are taken apart, a softmax at the end is off, and an output of several axes is flattened.
    """
    network = _layers_of(description)
    if len(network.output.shape or ()) > 1:
        flat = NetworkLayer(network.free_name("row"), "Flatten", {}, (), {}, (description.classes,))
        network = network.inserted(network.output.name, flat)
    return network


def _layers_of(description: ModelDescription) -> Network:
    layers: list[NetworkLayer] = []
    names = _names(description)
    softmax, shapes = softmax_of(description), dict(description.inputs)
    described = {layer.name: layer for layer in description.layers}
    inputs = [described[name] for name in shapes if name in described]
    for layer in [*inputs, *(layer for layer in description.layers if layer.name not in shapes)]:
        name = names[layer.name]
        class_name, config = layer.class_name, keras_2_config(layer.class_name, layer.config) | {"name": name}
        if layer.name == softmax:
            class_name, config = _without_softmax(class_name, config)
        if layer.name in shapes:
            config = {"name": name, "batch_input_shape": [None, *shapes[layer.name]]}
        inbound, keywords = tuple(names[producer] for producer in layer.inbound), layer.keywords
        if class_name == "MultiHeadAttention":
            config |= _shapes_read(layer, described)
            takes = roles(keywords, len(inbound))
            keywords = tuple(None if role == "query" else role for role in takes)  # Keras 2 takes one tensor by place
        elif class_name in RECURRENT:
            keywords = ()  # Keras 2 takes initial states by place
        elif layer.settings.get("use_causal_mask"):
            config["causal"] = True
        elif class_name in UNKNOWN_TO_KERAS_2:
            class_name, config = "Activation", {"name": name, "activation": "linear"}
        elif layer.inside is not None:
            inner = _functional(layer.inside.name, _layers_of(layer.inside))
            config["layer"] = {"class_name": "Functional", "config": inner}
        settings = {key: value for key, value in layer.settings.items() if key != SCORES}
        result = layer.config.get(STATE, 0)
        layers.append(
            NetworkLayer(name, class_name, config, inbound, {}, layer.output_shape, keywords, settings, result)
        )
    return Network(tuple(layers))


def _without_softmax(class_name: str, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a layer that ends in a softmax, or runs one that does at every step, without it."""
    if class_name == "TimeDistributed":
        kind, inner = _without_softmax(config["layer"]["class_name"], config["layer"]["config"])
        return class_name, {**config, "layer": {"class_name": kind, "config": inner}}
    if class_name == "Softmax":
        return "Activation", {"name": config["name"], "activation": "linear"}
    return class_name, {**config, "activation": "linear"}


def _weights_inside(description: ModelDescription) -> list[tuple[bool, str]]:
    """Return the weights of a model that runs at every step, layer by layer in Keras' order.

    Each is told by whether training changes it, and by its name among the variables of the layer that runs the model.
    """
    layers = {name: layer for layer, name in zip(description.layers, names_of(description), strict=True)}
    weights: list[tuple[bool, str]] = []
    for written in keras_order(_layers_of(description)):
        layer = layers.get(written.name)
        if layer is None:
            continue
        if layer.inside is not None:
            inside = _weights_inside(layer.inside)
        else:
            variables = HANDLERS[layer.class_name].variables(layer.config)
            inside = [(variable.trainable, variable.name) for variable in variables]
        weights += [(trainable, f"{layer.weights_of or layer.name}/{name}") for trainable, name in inside]
    return weights


def _shapes_read(layer: LayerDescription, described: Mapping[str, LayerDescription]) -> dict[str, Any]:
    """Return what Keras 2 keeps of an attention's inputs in its settings; Keras 3 does not."""
    read = dict(zip(roles(layer.keywords, len(layer.inbound)), layer.inbound, strict=True))
    read.setdefault("key", read["value"])
    return {f"{role}_shape": [None, *described[name].output_shape] for role, name in read.items()}


def names_of(description: ModelDescription) -> tuple[str, ...]:
    """Return what the layers of a model are called in its network, in their order."""
    return tuple(_names(description).values())


def _names(description: ModelDescription) -> dict[str, str]:
    """Return names that Keras takes, which hold no "/"."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for layer in description.layers:
        name = layer.name.replace("/", "_")
        while name in taken:
            name += "_"
        taken.add(name)
        names[layer.name] = name
    return names


def read_network(
    path: Path, architecture: str | None, description: ModelDescription, config: Path | None = None
) -> Network:
    """Return the network of a converted model with the weights of its file.

    Raises
    ------
    parity.keras.ConversionError
        As `parity.keras.load` for what it cannot read.
    """
    bare, names = network_of(description), _names(description)
    weights: dict[str, Tensors] = {}
    values: Tensors
    output = description.chosen or description.output or None
    with open_model(path, architecture, config, output, dict(description.inputs)) as stored:
        for layer in description.layers:
            tensors = stored.tensors.get(layer.name, {})
            variables = HANDLERS[layer.class_name].variables(layer.config)
            values = {
                name: tensors[name].read() for name in (variable.name for variable in variables) if name in tensors
            }
            if stored.keras_major >= KERAS_3:
                values = weights_for_keras_2(layer.class_name, layer.config, values)
            if layer.inside is not None:
                inside = _weights_inside(layer.inside)
                ordered = [name for trained in (True, False) for trainable, name in inside if trainable is trained]
                # Numbered, because a layer that is called twice stands twice.
                values = {f"{number}/{name}": values[name] for number, name in enumerate(ordered)}
            weights[names[layer.name]] = values
    return Network(tuple(replace(layer, weights=weights.get(layer.name, {})) for layer in bare.layers))


def softmax_of(description: ModelDescription) -> str | None:
    """Return the name of the layer whose softmax the converter took off."""
    if not description.removed_softmax:
        return None
    layers = {layer.name: layer for layer in description.layers}
    layer = description.output_layer
    while not is_softmax(layer.class_name, layer.config):
        layer = layers[layer.inbound[0]]
    return layer.name


def write_network(network: Network, path: Path) -> None:
    """Write a network as Keras 2 would save the model.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    ordered, config = keras_order(network), _functional("network", network)
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.12.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = np.array([layer.name.encode() for layer in ordered])
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.12.0"
        for layer in ordered:
            group = root.create_group(layer.name)
            names = [f"{layer.name}/{variable}:0" for variable in layer.weights]
            group.attrs["weight_names"] = np.array([name.encode() for name in names], dtype="S")
            for name, values in zip(names, layer.weights.values(), strict=True):
                group[name] = values


def _functional(name: str, network: Network) -> dict[str, Any]:
    """Return a network as the configuration of a Functional model."""
    results = {layer.name: layer.result for layer in network}
    entries: list[dict[str, Any]] = [
        {
            "class_name": layer.class_name,
            "name": layer.name,
            "config": dict(layer.config) | {"name": layer.name},
            "inbound_nodes": [_call_of(layer, results)] if layer.inbound else [],
        }
        for layer in keras_order(network)
    ]
    return {
        "name": name,
        "layers": entries,
        "input_layers": [[layer.name, 0, 0] for layer in network if not layer.inbound],
        "output_layers": [[network.output.name, 0, network.output.result]],
    }


def _call_of(layer: NetworkLayer, results: Mapping[str, int]) -> list[Any]:
    """Return the call of a layer in Keras 2's form: tensors by place, each with all that stands by name."""
    names = layer.keywords or (None,) * len(layer.inbound)
    told = dict(layer.settings)
    read = list(zip(layer.inbound, names, strict=True))
    told |= {name: [producer, 0, results[producer]] for producer, name in read if name is not None}
    call = [[producer, 0, results[producer], told] for producer, name in read if name is None]
    alone = is_operation(layer.class_name) and len(call) == 1  # a list would be its first argument
    return call[0] if alone else call


def keras_order(network: Network) -> list[NetworkLayer]:
    """Return the layers in the order in which Keras keeps those of a graph, and so their weights in a file.

    That is by depth from the output; layers of one depth in the order in which a walk from the output meets them.
    """
    met: dict[str, int] = {}
    stack = [network.output.name]
    by_name = {layer.name: layer for layer in network}
    while stack:
        name = stack.pop()
        if name not in met:
            met[name] = len(met)
            stack += reversed(_as_keras_walks(by_name[name]))
    depth = dict.fromkeys(met, 0)
    for layer in reversed(network.layers):
        for producer in layer.inbound:
            if layer.name in depth:
                depth[producer] = max(depth[producer], depth[layer.name] + 1)
    return [by_name[name] for name in sorted(met, key=lambda name: (-depth[name], met[name]))]


def _as_keras_walks(layer: NetworkLayer) -> list[str]:
    """Return what a layer reads in the order in which Keras walks: by place, then those by name in their names' order.

    A file keeps a layer's `value` before its `key`; TensorFlow sorts the names when it takes arguments apart.
    """
    names = layer.keywords or (None,) * len(layer.inbound)
    named = sorted((name, producer) for producer, name in zip(layer.inbound, names, strict=True) if name is not None)
    by_place = [producer for producer, name in zip(layer.inbound, names, strict=True) if name is None]
    return [*by_place, *(producer for _, producer in named)]
