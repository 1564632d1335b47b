"""Bare operations that change nothing where they stand, so that what they read can be read in their place."""

from __future__ import annotations

from dataclasses import replace

from parity.keras.calls import Call
from parity.keras.functions.deciding import WHOLE
from parity.keras.functions.table import cast_dtype, function_of, is_operation
from parity.keras.graph import Graph, Node


def without_what_changes_nothing(node: Node, graph: Graph) -> Node:
    """Return a bare operation, or the identity in place of one that changes nothing for those that read it.

    Parameters
    ----------
    node
        The operation.
    graph
        Its model.
    """
    if not (_is_mean_of_moments(node, graph) or _is_whole_already(node, graph)):
        return node
    config = {"name": node.name, "function": "identity"}
    return replace(node, class_name="TFOpLambda", config=config, call=Call(node.call.arguments[:1]))


def _readers(node: Node, graph: Graph) -> list[Node]:
    """Return the layers that read a node, none if it is the model's output."""
    return [] if node.name == graph.output else [other for other in graph.nodes if node.name in other.inbound]


def _is_whole_already(node: Node, graph: Graph) -> bool:
    """Return whether whole numbers are made of tokens for layers that make them of tokens themselves."""
    dtype = node.config.get("dtype") if node.class_name == "ops.Cast" else cast_dtype(node)
    readers = _readers(node, graph)
    return dtype in WHOLE and bool(readers) and all(reader.class_name == "Embedding" for reader in readers)


def _is_mean_of_moments(node: Node, graph: Graph) -> bool:
    """Return whether this is where `tf.nn.moments` stops the gradient of a mean on its way into the variance.

    The mean of all differences from it is zero, so that no gradient comes that way.
    """
    if not is_operation(node.class_name) or function_of(node) != "stop_gradient":
        return False
    mean = next(other for other in graph.nodes if other.name == node.inbound[0])
    squares = _readers(node, graph)
    return (
        _does(mean, "math.reduce_mean")
        and bool(squares)
        and all(_makes_a_variance(square, node, mean, graph) for square in squares)
    )


def _makes_a_variance(square: Node, stopped: Node, mean: Node, graph: Graph) -> bool:
    """Return whether squares of differences from a mean are read by nothing but means over the same axes."""
    variances, axes = _readers(square, graph), mean.call.keywords.get("axis")
    return (
        _does(square, "math.squared_difference")
        and square.inbound == (mean.inbound[0], stopped.name)
        and bool(variances)
        and all(_does(variance, "math.reduce_mean") for variance in variances)
        and all(variance.call.keywords.get("axis") == axes for variance in variances)
    )


def _does(node: Node, function: str) -> bool:
    return is_operation(node.class_name) and function_of(node) == function
