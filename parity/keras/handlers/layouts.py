"""Layers with the channels first: what their handlers are shown, and what comes of their results.

A Keras tensor `(C, H, W)` lies in torch as it is, and not with its last axis in front, where `Value.channels_first`
says so. Handlers know channels-last shapes only: they are shown the same layer with the channels last, and the shape of
their result is turned back. Where a layer has no channels of its own to say (Reshape, Permute, Dense, Softmax, ...),
the tensor is first brought to where Keras's last axis lies in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from parity.keras.description import Shape
from parity.keras.graph import Graph, Node
from parity.keras.handlers.layer import Value
from parity.keras.modules.pointwise import SOFTMAX

Layout = Literal["data_format", "axis", "any", "last"]
"""How a layer says where its channels are: by `data_format`, by the one axis it works on, not at all because it works
on each value alone, or not at all because it works on Keras's last axis."""
_BY_CHANNEL = ("softmax", "log_softmax", "log_softmax_v2", SOFTMAX)


def starts_channels_first(graph: Graph) -> bool:
    """Return whether the model's input has its channels first: what the first layer that has a say says."""
    said = (node.config.get("data_format") for node in graph.nodes if node.class_name != "Flatten")
    first = next((data_format for data_format in said if data_format is not None), None)
    return first == "channels_first" and any(len(shape) > 1 for _, shape in graph.inputs)


def works_channels_first(layout: Layout, node: Node, values: Sequence[Value]) -> bool:
    """Return whether a layer is to be given tensors with the channels first."""
    activation = node.config.get("activation") or node.config.get("function")
    if layout == "last" or any(len(value.shape) < 2 for value in values):
        return False
    if layout == "data_format":
        return node.config.get("data_format") == "channels_first"
    if not all(value.channels_first for value in values):
        return False
    axis = node.config.get("axis")
    one_axis = not isinstance(axis, list) or len(axis) == 1
    return one_axis if layout == "axis" else activation not in _BY_CHANNEL


def shown(layout: Layout, node: Node, values: Sequence[Value]) -> tuple[Node, tuple[Value, ...]]:
    """Return a layer with the channels first, and what it reads, as the same layer with the channels last."""
    config = dict(node.config)
    if layout == "data_format":
        config["data_format"] = "channels_last"
    elif layout == "axis":
        config["axis"] = _axis_of(config.get("axis", -1), len(values[0].shape))
    turned = tuple(replace(value, shape=(*value.shape[1:], value.shape[0]), channels_first=False) for value in values)
    return replace(node, config=config), turned


def turned_back(value: Value) -> Value:
    """Return the result of a layer that was shown with the channels last."""
    shape: Shape = value.shape
    if len(shape) < 2:
        return value
    return replace(value, shape=(shape[-1], *shape[:-1]), channels_first=True)


def _axis_of(axis: object, rank: int) -> object:
    """Return an axis of `(N, C, *space)` as one of `(N, *space, C)`; what is no axis is left to the handler."""
    if isinstance(axis, list):
        return [_axis_of(part, rank) for part in axis]
    if type(axis) is not int:
        return axis
    counted = axis if axis >= 0 else axis + rank + 1
    if not 1 <= counted <= rank:
        return axis
    return rank if counted == 1 else counted - 1
