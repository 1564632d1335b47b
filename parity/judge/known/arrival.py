"""The order in which SIGN-XAI's layers get their inputs, and networks in which that is the model's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parity.judge.known.rewrite import NoEquivalentError, linear
from parity.keras.network import Network, NetworkLayer, keras_order

ORDERED = ("Concatenate", "Subtract", "Dot", "Maximum", "Minimum", "Custom>CustomScaleLayer", "Attention",
           "AdditiveAttention")  # fmt: skip
"""Layers to which the order of their inputs matters; of equal values, the first is the largest and the smallest."""


def in_order_of_arrival(network: Network, _target: int) -> Network:
    """Give each input of a Concatenate a way as long as the longest, so that they arrive in the order of the model."""
    for _ in range(len(network.layers)):
        late = arrival_order(network.layers)
        if not late:
            return network
        name = next(iter(late))
        depths = _depths(network)
        longest = max(depths[producer] for producer in network[name].inbound)
        for producer in dict.fromkeys(network[name].inbound):
            missing = longest - depths[producer] + 1
            chain: list[NetworkLayer] = []
            for _ in range(missing):
                taken = Network((*network.layers, *chain))
                chain.append(linear(taken, f"{producer}_arrives"))
            network = network.inserted(producer, *chain, consumers=[name])
        if name in arrival_order(_as_keras_orders(network)):
            raise NoEquivalentError(f"the inputs of {name!r} arrive in another order whatever is put before them")
        network = Network(_as_keras_orders(network))
    raise NoEquivalentError("the inputs of Concatenate layers arrive in another order")


def _as_keras_orders(network: Network) -> tuple[NetworkLayer, ...]:
    return tuple(keras_order(network))


def _depths(network: Network) -> dict[str, int]:
    """Return how many layers the longest way from an input to each layer has."""
    depths: dict[str, int] = {}
    for layer in network.layers:  # each comes after those it reads
        depths[layer.name] = max((1 + depths[producer] for producer in layer.inbound), default=0)
    return depths


def arrival_order(layers: Sequence[Any]) -> dict[str, tuple[str, ...]]:
    """Return the layers that SIGN-XAI feeds in another order than the model's where it matters, with that order.

    It hands each layer's output to the layers that read it, one after another, each of which runs as soon as its
    last input is there; a layer takes its inputs in the order in which they arrive.

    Parameters
    ----------
    layers
        `LayerDescription` or `NetworkLayer`, in the order in which Keras keeps them.
    """
    arrived: dict[str, list[str]] = {layer.name: [] for layer in layers}
    readers: dict[str, list[Any]] = {layer.name: [] for layer in layers}
    for layer in layers:
        for producer in layer.inbound:
            readers[producer].append(layer)

    # A layer that runs hands on at once, before the one that fed it feeds its next reader. Deep networks have more
    # layers than Python calls may be nested.
    running = [(layer.name, iter(readers[layer.name])) for layer in reversed(layers) if not layer.inbound]
    while running:
        name, left = running[-1]
        reader = next(left, None)
        if reader is None:
            running.pop()
            continue
        arrived[reader.name].append(name)
        if len(arrived[reader.name]) == len(reader.inbound):
            running.append((reader.name, iter(readers[reader.name])))
    return {
        layer.name: tuple(arrived[layer.name])
        for layer in layers
        if layer.class_name in ORDERED and tuple(arrived[layer.name]) != tuple(layer.inbound)
    }
