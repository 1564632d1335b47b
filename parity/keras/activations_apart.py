"""Activations that Keras 2.12 has otherwise or not at all: each becomes a bare operation behind its layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from parity.keras.calls import Call, Source
from parity.keras.errors import ConversionError
from parity.keras.functions.of_keras_3 import ACTIVATIONS
from parity.keras.gates import function_without_equivalent
from parity.keras.graph import Graph, Node
from parity.keras.handlers.activations import activation_at_the_end
from parity.keras.handlers.table import HANDLERS
from parity.keras.handlers.wrappers import layer_inside, model_inside

_OF_KERAS_2 = ("mish",)  # from 2.13 on


def activations_apart(graph: Graph, keras_3: bool, fail: Callable[[str], ConversionError]) -> Graph:
    """Return a graph in which no layer has an activation of `ACTIVATIONS`; those are nodes of their own.

    Raises
    ------
    ConversionError
        If it is where no node can stand: on a sequence with a mask, which operations end and activations do not, in a
        cell of a recurrent layer, or in a model that runs at every step.
    """
    operations = ACTIVATIONS if keras_3 else {name: ACTIVATIONS[name] for name in _OF_KERAS_2}
    names = {node.name for node in graph.nodes}
    masked: set[str] = set()
    behind: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        if _has_a_mask(node, masked):
            masked.add(node.name)
        node = replace(node, inbound=tuple(behind.get(name, name) for name in node.inbound))
        _refuse_inside(node, operations, fail)
        activation = _last_activation(node)
        operation = operations.get(activation or "")
        if operation is None:
            nodes.append(node)
            continue
        if node.name in masked:
            raise fail(
                f"layer {node.name!r} has the activation {activation!r}, which is not supported on a sequence with a "
                "mask (of Masking, or Embedding with mask_zero=True). Use another activation, or no masks"
            )
        if node.class_name == "Activation":
            nodes.append(_operation(node, node.name, operation, node.inbound[0]))
            continue
        nodes.append(_linear(node))
        name = f"{node.name}_activation"
        while name in names:
            name += "_"
        names.add(name)
        behind[node.name] = name
        nodes.append(_operation(node, name, operation, node.name))
    output = behind.get(graph.output, graph.output)
    return replace(graph, nodes=tuple(nodes), output=output, chosen="" if output == graph.output else graph.output)


def _last_activation(node: Node) -> str | None:
    """Return the name of the activation at a layer's end, or at that of the layer that it runs at every step."""
    if node.class_name == "TimeDistributed":
        return activation_at_the_end(*layer_inside(node.config))
    return activation_at_the_end(node.class_name, node.config)


def _linear(node: Node) -> Node:
    """Return a layer without that activation."""
    if node.class_name != "TimeDistributed":
        return replace(node, config={**node.config, "activation": "linear"})
    _, config = layer_inside(node.config)
    inner = {**node.config["layer"], "config": {**config, "activation": "linear"}}
    return replace(node, config={**node.config, "layer": inner})


def _refuse_inside(node: Node, operations: Mapping[str, str], fail: Callable[[str], ConversionError]) -> None:
    name = function_without_equivalent(node.class_name, node.config, operations)
    if name is not None:
        raise fail(
            f"layer {node.name!r} has {name!r} in its cell, which Keras 2.12, and so every reference, has not, or "
            "computes otherwise. Use 'tanh' or 'sigmoid'"
        )
    inside = model_inside(node.config, Path(node.class_name)) if node.class_name == "TimeDistributed" else None
    for inner in inside.nodes if inside else ():
        _refuse_inside(inner, operations, fail)
        name = _last_activation(inner)
        if name in operations:
            raise fail(
                f"layer {inner.name!r}, inside of {node.name!r}, has the activation {name!r}, which is not supported "
                "in a model that runs at every step. Use another activation"
            )


def _operation(node: Node, name: str, operation: str, reads: str) -> Node:
    return Node(name, node.keras_name, operation, {"name": name}, (reads,), Call((Source(reads, 0, 0),)))


def _has_a_mask(node: Node, masked: Collection[str]) -> bool:
    """Return whether a mask may go with a layer's result, where those are known that one goes with before it."""
    if node.class_name == "Masking" or node.config.get("mask_zero"):
        return True
    if node.ends_masks:
        return False
    attends = "Attention" in node.class_name  # what attention gives has the mask of its query
    if not any(name in masked for name in (node.inbound[:1] if attends else node.inbound)):
        return False
    handler = HANDLERS.get(node.class_name)
    if attends or handler is None:
        return attends
    if handler.mask != "reads":
        return handler.mask == "passes"
    settings = layer_inside(node.config)[1] if node.class_name == "Bidirectional" else node.config
    return bool(settings.get("return_sequences"))
