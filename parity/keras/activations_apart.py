"""Activations that Keras 2.12 has otherwise or not at all: each becomes a bare operation behind its layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from parity.keras.calls import Call, Source
from parity.keras.errors import ConversionError
from parity.keras.graph import Graph, Node
from parity.keras.handlers.activations import activation_at_the_end

OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "mish": "ops.Mish",
        "hard_sigmoid": "ops.HardSigmoid",
        "hard_silu": "ops.HardSilu",
        "hard_swish": "ops.HardSilu",
        "hard_tanh": "ops.HardTanh",
        "log_sigmoid": "ops.LogSigmoid",
        "celu": "ops.Celu",
        "tanh_shrink": "ops.TanhShrink",
    }
)
"""By the name of an activation in Keras 3, the operation that computes it."""
_OF_KERAS_2 = ("mish",)  # from 2.13 on


def activations_apart(graph: Graph, keras_3: bool, fail: Callable[[str], ConversionError]) -> Graph:
    """Return a graph in which no layer has an activation of `OPERATIONS`; those are nodes of their own.

    Raises
    ------
    ConversionError
        If the model has masks, which operations end and activations do not.
    """
    operations = OPERATIONS if keras_3 else {name: OPERATIONS[name] for name in _OF_KERAS_2}
    names = {node.name for node in graph.nodes}
    behind: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inbound=tuple(behind.get(name, name) for name in node.inbound))
        operation = operations.get(activation_at_the_end(node.class_name, node.config) or "")
        if operation is None:
            nodes.append(node)
            continue
        if any(_makes_a_mask(other) for other in graph.nodes):
            raise fail(
                f"layer {node.name!r} has the activation {node.config['activation']!r}, which is not supported beside "
                "masks (of Masking, or Embedding with mask_zero=True). Use another activation, or no masks"
            )
        if node.class_name == "Activation":
            nodes.append(_operation(node, node.name, operation, node.inbound[0]))
            continue
        nodes.append(replace(node, config={**node.config, "activation": "linear"}))
        name = f"{node.name}_activation"
        while name in names:
            name += "_"
        names.add(name)
        behind[node.name] = name
        nodes.append(_operation(node, name, operation, node.name))
    output = behind.get(graph.output, graph.output)
    return replace(graph, nodes=tuple(nodes), output=output, chosen="" if output == graph.output else graph.output)


def _operation(node: Node, name: str, operation: str, reads: str) -> Node:
    return Node(name, node.keras_name, operation, {"name": name}, (reads,), Call((Source(reads, 0, 0),)))


def _makes_a_mask(node: Node) -> bool:
    return (
        node.class_name == "Masking"
        or bool(node.config.get("mask_zero"))
        or "mask"
        in (
            *node.call.settings,
            *node.keywords,
        )
    )
