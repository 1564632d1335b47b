"""Layers of several results, such as `tf.split` or an LSTM that returns its states: each is a node of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from parity.keras.calls import Call, Source
from parity.keras.functions.table import has_several_results
from parity.keras.graph import Node

STATE = "state"
"""The setting of a recurrent layer that stands for one of its states: the number of that result."""
_STATES = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1, "ConvLSTM1D": 2, "ConvLSTM2D": 2, "ConvLSTM3D": 2}
"""How many states the cells of a recurrent layer have; the first is what they put out."""
_LAST_STEP = {"return_sequences": False, "zero_output_for_mask": False}
"""What makes a layer put out its state: the last step that counts, which steps that do not count repeat."""
_WAYS = ("layer", "backward_layer")


def are_several(class_name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a layer gives several results."""
    return has_several_results(class_name, config) or _states_of(class_name, config) > 0


def _states_of(class_name: str, config: Mapping[str, Any]) -> int:
    """Return how many states a layer returns, each way."""
    if class_name == "Bidirectional":
        inner = config.get("layer")
        settings = inner.get("config") if isinstance(inner, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(settings, Mapping):
            return 0
        return _states_of(str(inner.get("class_name")), settings)
    return _STATES.get(class_name, 0) if config.get("return_state") is True else 0


def result_of(node: Node, result: int, first: Node | None) -> tuple[Node, ...]:
    """Return the nodes that make one result: the first has the weights, the last is the result.

    Parameters
    ----------
    node
        The layer, under the name of the result.
    result
        Its number.
    first
        The node with the weights of the first of the results that are read, where that is another one.

    Raises
    ------
    ValueError
        If the layer has no such result; the text says so.
    """
    states = _states_of(node.class_name, node.config)
    if not states:
        return (replace(node, result=result),)
    if node.class_name == "Bidirectional" and node.config.get("merge_mode", "concat") is None:
        raise ValueError("states are read beside the two outputs that merge_mode=None makes. Use another merge_mode")
    count = states * (2 if node.class_name == "Bidirectional" else 1)
    if result > count:
        raise ValueError(f"result {result} is read, and it has {count} besides its first")
    node = replace(node, weights_of=(first.weights_of or first.name) if first else "")
    # What a cell keeps to itself is no other layer's only result. Nor is its output where it starts with other states
    # than zeros: of a sequence whose steps are all masked that is zeros, and the state is what it started with.
    if result and ((result - 1) % states or len(node.inbound) > 1):
        return (replace(node, config=_keeping(node.config) | {STATE: result}),)
    if node.class_name == "Bidirectional":
        return _of_two_ways(node, (result - 1) // states if result else None)
    return (replace(node, config=_told(node.config, bool(result))),)


def _told(config: Mapping[str, Any], state: bool) -> Mapping[str, Any]:
    """Return the settings of a recurrent layer that puts out its steps, or its state, and nothing besides."""
    return {**config, **(_LAST_STEP if state else {}), "return_state": False}


def _each_way(
    config: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the layers of a `Bidirectional` with other settings; none of another layer."""
    return {
        key: {**inner, "config": change(inner["config"])}
        for key in _WAYS
        if isinstance(inner := config.get(key), Mapping)
    }


def _keeping(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recurrent layer, one way or both ways, that returns its states."""
    ways = _each_way(config, _keeping)
    return {**config, **ways} if ways else {**config, **_LAST_STEP, "return_state": True}


def _of_two_ways(node: Node, way: int | None) -> tuple[Node, ...]:
    """Return a `Bidirectional` without states, or the state of one way: half of what both put out in the end."""
    state = way is not None
    ways = _each_way(node.config, lambda config: _told(config, state))
    config = {**node.config, **ways}
    if way is None:
        return (replace(node, config=config),)
    units = ways["layer"]["config"].get("units")
    both = replace(node, name=f"{node.name}_both_ways", config={**config, "merge_mode": "concat"})
    half = {"start": way * units, "stop": (way + 1) * units, "step": None}
    told = {"slice_spec": [{"start": None, "stop": None, "step": None}, half]}
    call = Call((Source(both.name, 0, 0),), told)
    operation = {"name": node.name, "function": "__operators__.getitem"}
    return both, Node(node.name, node.keras_name, "SlicingOpLambda", operation, (both.name,), call)
