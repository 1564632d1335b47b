"""Layers of several results, such as `tf.split` or an LSTM that returns its states: each is a node of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from parity.keras.functions.table import has_several_results
from parity.keras.graph import Node

_WITH_STATE = ("LSTM", "GRU", "SimpleRNN")
_STATES_READ = 2


def are_several(class_name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a layer gives several results."""
    return has_several_results(class_name, config) or _returns_state(class_name, config)


def _returns_state(class_name: str, config: Mapping[str, Any]) -> bool:
    return class_name in _WITH_STATE and config.get("return_state") is True


def result_of(node: Node, result: int, first: Node | None) -> Node:
    """Return the node of one result.

    Parameters
    ----------
    node
        The layer, under the name of the result.
    result
        Its number.
    first
        The node of the first of the results that are read, where that is another one: it has the weights.

    Raises
    ------
    ValueError
        If no layer gives that result alone; the text says why.
    """
    if not _returns_state(node.class_name, node.config):
        return replace(node, result=result)
    if result >= _STATES_READ:
        raise ValueError("the cell's state of an LSTM is read, which no other layer of Keras gives. Read its output")
    # The state is what the last step that counts put out, which is repeated unless steps that do not count give zeros.
    last = {"return_sequences": False, "zero_output_for_mask": False} if result else {}
    weights_of = (first.weights_of or first.name) if first else ""
    return replace(node, config={**node.config, **last, "return_state": False}, weights_of=weights_of)
