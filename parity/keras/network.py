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
import numpy.typing as npt

from parity.keras.build import architecture_of, variables_of
from parity.keras.description import ModelDescription, Shape
from parity.keras.graph import parse_architecture
from parity.keras.handlers.activations import is_softmax
from parity.keras.hdf5 import open_keras
from parity.keras.weights import assign

Tensors = Mapping[str, npt.NDArray[np.floating[Any]]]


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
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str, ...]
    weights: Tensors = field(default_factory=dict)
    shape: Shape | None = None

    def configured(self, **changes: Any) -> NetworkLayer:
        """Return the layer with other settings."""
        return replace(self, config={**self.config, **changes})


@dataclass(frozen=True, eq=False)
class Network:
    """A model of one input and one output, which is its last layer's; every layer comes after those it reads."""

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
    """Return a converted model as a network without weights, nested models flattened, a softmax at the end off."""
    layers: list[NetworkLayer] = []
    names: dict[str, str] = {}
    softmax = _softmax_of(description)
    for layer in description.layers:
        name = layer.name.replace("/", "_")
        while name in names.values():
            name += "_"
        names[layer.name] = name
        class_name, config = layer.class_name, {**layer.config, "name": name}
        if layer.name == softmax:
            if class_name == "Softmax":
                class_name, config = "Activation", {"name": name}
            config["activation"] = "linear"
        if class_name == "InputLayer":
            config = {"name": name, "batch_input_shape": [None, *description.input_shape]}
        inbound = tuple(names[producer] for producer in layer.inbound)
        layers.append(NetworkLayer(name, class_name, config, inbound, {}, layer.output_shape))
    return Network(tuple(layers))


def read_network(path: Path, architecture: str | None, description: ModelDescription) -> Network:
    """Return the network of a converted model with the weights of its file.

    Raises
    ------
    parity.keras.ConversionError
        As `parity.keras.load` for what it cannot read.
    """
    bare = network_of(description)
    with open_keras(path) as file:
        graph = parse_architecture(architecture_of(file, architecture, None), path)
        stored = assign(file, graph.model, lambda node: variables_of(node, path))
        layers = []
        for layer, node in zip(bare.layers, graph.nodes, strict=True):
            tensors = stored.get(node.name, {})
            weights = {one.name: tensors[one.name].read() for one in variables_of(node, path) if one.name in tensors}
            layers.append(replace(layer, weights=weights))
    return Network(tuple(layers))


def _softmax_of(description: ModelDescription) -> str | None:
    """Return the name of the layer whose softmax the converter took off."""
    if not description.removed_softmax:
        return None
    layers = {layer.name: layer for layer in description.layers}
    layer = description.layers[-1]
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
    ordered = keras_order(network)
    entries: list[dict[str, Any]] = [
        {
            "class_name": layer.class_name,
            "name": layer.name,
            "config": dict(layer.config) | {"name": layer.name},
            "inbound_nodes": [[[name, 0, 0, {}] for name in layer.inbound]] if layer.inbound else [],
        }
        for layer in ordered
    ]
    config = {
        "name": "network",
        "layers": entries,
        "input_layers": [[layer.name, 0, 0] for layer in network if not layer.inbound],
        "output_layers": [[network.output.name, 0, 0]],
    }
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
            stack += reversed(by_name[name].inbound)
    depth = dict.fromkeys(met, 0)
    for layer in reversed(network.layers):
        for producer in layer.inbound:
            if layer.name in depth:
                depth[producer] = max(depth[producer], depth[layer.name] + 1)
    return [by_name[name] for name in sorted(met, key=lambda name: (-depth[name], met[name]))]
