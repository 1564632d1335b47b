"""What is known of a whole model before its layers are converted: where its last softmax is, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence

from parity.keras.cudnn import MAY_HOLD_WEIGHTS_OF_GPUS
from parity.keras.functions.table import is_operation, is_softmax_operation
from parity.keras.graph import Graph, Model
from parity.keras.handlers.activations import is_identity, is_softmax
from parity.keras.handlers.attention import SCORES
from parity.keras.obstacles import layers_inside
from parity.keras.stored import Stored
from parity.keras.substitutes import SUBSTITUTES

OF_KERAS_3 = "a Keras 3 file as one of Keras 2"
"""How the network of a file of Keras 3 is spelled."""


def last_softmax(graph: Graph) -> str | None:
    """Return the name of the layer whose softmax is the last thing the model does, if it is."""
    nodes = {node.name: node for node in graph.nodes}
    node = nodes[graph.output]
    while not (is_softmax(node.class_name, node.config) or is_softmax_operation(node)):
        # Nothing else is looked through: the references take a softmax before a dropout layer for part of the network.
        if not is_identity(node.class_name, node.config) or not node.inbound:
            return None
        node = nodes[node.inbound[0]]
    return node.name


def spelled_otherwise(stored: Stored, several_places: bool) -> Sequence[str]:
    """Return how a network is spelled otherwise than its file does, for a reference that could not read that."""
    graph, file = stored.graph, stored.file
    there = {node.keras_name for node in graph.nodes}
    reasons = {
        "models inside of models taken apart": any(isinstance(member, Model) for member in graph.model.members),
        "a copy of a layer for each call": any(node.weights_of for node in graph.nodes),
        "layers for GPUs as plain ones": any(
            tensor.change is not None
            for node in graph.nodes
            if node.class_name in MAY_HOLD_WEIGHTS_OF_GPUS
            for tensor in stored.tensors.get(node.name, {}).values()
        ),
        "layers as others that compute the same": any(
            node.class_name in SUBSTITUTES and node.keras_name in there for node in graph.model.nodes()
        ),
        "operations as layers": any(
            is_operation(layer.class_name) for node in graph.nodes for layer in (node, *layers_inside(node, file.path))
        ),
        "causal masks as settings of the layers": any(
            node.call.settings.get("use_causal_mask") is True for node in graph.nodes
        ),
        "attention without its scores": any(node.call.settings.get(SCORES) is True for node in graph.nodes),
        f"the output {graph.output!r} alone": len(graph.outputs) > 1,
        "places and classes of the output in one row": several_places,
        OF_KERAS_3: stored.keras_major > 2 or file.keras_3_layout,
        "sizes of the input that the file leaves open": graph.sized,
        "weights and architecture in one file": file.by_position is not None,
        "the architecture of another file": stored.described_elsewhere,
    }
    return [reason for reason, applies in reasons.items() if applies]
