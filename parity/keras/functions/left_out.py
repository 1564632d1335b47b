"""Bare operations that change nothing where they stand, so that what they read can be read in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parity.keras.calls import Call
from parity.keras.functions.deciding import WHOLE
from parity.keras.functions.table import cast_dtype, function_of, is_operation
from parity.keras.graph import Node


def without_what_changes_nothing(node: Node, nodes: Sequence[Node]) -> Node:
    """Return a bare operation, or the identity in place of one that changes nothing for those that read it.

    Parameters
    ----------
    node
        The operation.
    nodes
        The layers of its model.
    """
    if not (_is_mean_of_moments(node, nodes) or _is_whole_already(node, nodes)):
        return node
    config = {"name": node.name, "function": "identity"}
    return replace(node, class_name="TFOpLambda", config=config, call=Call(node.call.arguments[:1]))


def _readers(node: Node, nodes: Sequence[Node]) -> list[Node]:
    return [other for other in nodes if node.name in other.inbound]


def _is_whole_already(node: Node, nodes: Sequence[Node]) -> bool:
    """Return whether whole numbers are made of tokens for layers that make them of tokens themselves."""
    dtype = node.config.get("dtype") if node.class_name == "ops.Cast" else cast_dtype(node)
    readers = _readers(node, nodes)
    return dtype in WHOLE and bool(readers) and all(reader.class_name == "Embedding" for reader in readers)


def _is_mean_of_moments(node: Node, nodes: Sequence[Node]) -> bool:
    """Return whether this is where `tf.nn.moments` stops the gradient of a mean on its way into the variance.

    The mean of all differences from it is zero, so that no gradient comes that way.
    """
    if not is_operation(node.class_name) or function_of(node) != "stop_gradient":
        return False
    mean = next(other for other in nodes if other.name == node.inbound[0])
    squares = _readers(node, nodes)
    variances = [reader for square in squares for reader in _readers(square, nodes)]
    return (
        _does(mean, "math.reduce_mean")
        and all(_does(square, "math.squared_difference") for square in squares)
        and all(square.inbound == (mean.inbound[0], node.name) for square in squares)
        and all(_does(variance, "math.reduce_mean") for variance in variances)
        and all(variance.call.keywords.get("axis") == mean.call.keywords.get("axis") for variance in variances)
    )


def _does(node: Node, function: str) -> bool:
    return is_operation(node.class_name) and function_of(node) == function
