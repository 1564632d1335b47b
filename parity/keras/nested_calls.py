"""The call of a model inside of a model: which of its inputs gets what, and with which mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parity.keras.calls import Call, Fail, Source, sources_in
from parity.keras.graph import Node


def entered(
    name: str, inner: str, inbound: Sequence[str], call: Call, inputs: Sequence[str], fail: Fail
) -> tuple[tuple[str, ...], tuple[Node, ...]]:
    """Return the nodes that the inputs of a nested model read, and those of them that bring a mask in.

    Parameters
    ----------
    name
        The nested model's Keras name.
    inner
        What the names of the nodes inside begin with.
    inbound
        The nodes that the call reads, as many as `call.sources`.
    call
        The call.
    inputs
        The names of the model's inputs, in their order.
    fail
        Makes errors.

    Raises
    ------
    ConversionError
        If the call passes what is not supported.
    """
    for key, value in call.settings.items():
        raise fail(
            f"the call of the nested model {name!r} passes {key}={value!r}, which is not supported. Call the model "
            "without it."
        )
    nodes = dict(zip(call.sources, inbound, strict=True)) if call.sources else {}
    tensors = _in_order(name, call, inputs, fail)
    if not nodes or (tensors == list(call.sources) and "mask" not in call.keywords):
        return tuple(inbound), ()
    masks = _masks(call.keywords.get("mask"), len(tensors), inputs)
    if masks is None:
        raise fail(
            f"the nested model {name!r} is called with other masks than one for each input. Leave them to Keras."
        )
    read: list[str] = []
    bringing: list[Node] = []
    for place, (source, mask) in enumerate(zip(tensors, masks, strict=True), start=1):
        if mask is None:
            read.append(nodes[source])
            continue
        node = Node(
            f"{inner}masked_{place}", name, "Activation", {"name": f"masked_{place}", "activation": "linear"},
            (nodes[source], nodes[mask]), Call((source,), {"mask": mask}, tells_masks=True),
        )  # fmt: skip
        bringing.append(node)
        read.append(node.name)
    return tuple(read), tuple(bringing)


def input_names(config: Any) -> tuple[str, ...]:
    """Return the names of the inputs that a call may tell them by: the keys of a model made of a dict, else layers'."""
    layers = config.get("input_layers") if isinstance(config, Mapping) else None
    if isinstance(layers, Mapping):
        return tuple(sorted(layers))  # so Keras 3 numbers them
    if not isinstance(layers, list):
        return ()
    ends = [layers] if layers and isinstance(layers[0], str) else layers
    return tuple(str(end[0]) for end in ends if isinstance(end, list) and end)


def _masks(told: Any, count: int, inputs: Sequence[str]) -> list[Source | None] | None:
    """Return the mask of each input, or None if what is told is something else."""
    if isinstance(told, Mapping):
        # Keras takes them in the order of the names, whatever the order of the inputs.
        told = [told[key] for key in inputs] if sorted(told) == list(inputs) else told
    if not any(sources_in(told)):
        return [None] * count
    masks: Any = [told] if isinstance(told, Source) else told
    if not isinstance(masks, list) or len(masks) != count:
        return None
    return masks if all(mask is None or isinstance(mask, Source) for mask in masks) else None


def _in_order(name: str, call: Call, inputs: Sequence[str], fail: Fail) -> list[Source]:
    """Return the tensors that a call passes besides masks, in the order of the model's inputs."""
    by_name = call.arguments[0] if len(call.arguments) == 1 else None
    if not isinstance(by_name, Mapping):
        return [source for source, keyword in zip(call.sources, call.names, strict=True) if keyword != "mask"]
    if not inputs:
        raise fail(f"the nested model {name!r} is called with a dict, and takes one tensor. Call it with the tensor.")
    if set(by_name) != set(inputs) or not all(isinstance(source, Source) for source in by_name.values()):
        raise fail(
            f"the nested model {name!r} is called with a dict of {', '.join(map(repr, by_name))}, expected its inputs "
            f"{', '.join(map(repr, inputs))}. Call the model with a tensor for each of them."
        )
    return [by_name[key] for key in inputs]
