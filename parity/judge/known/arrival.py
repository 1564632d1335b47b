"""The order in which SIGN-XAI's layers get their inputs, and networks in which that is the model's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

from parity.judge.known.conditions import masked
from parity.judge.known.rewrite import NoEquivalentError, linear, shape_of
from parity.keras.network import Network, NetworkLayer, keras_order

ORDERED = ("Concatenate", "Subtract", "Dot", "Maximum", "Minimum", "Custom>CustomScaleLayer", "Attention",
           "AdditiveAttention")  # fmt: skip
"""Layers to which the order of their inputs matters; of equal values, the first is the largest and the smallest."""


def in_order_of_arrival(network: Network, _target: int) -> Network:
    """Return a network in which the inputs of each layer of `ORDERED` arrive in the order of the model.

    Ways of one length do that where one layer feeds them all. They do not where an input still lacks something while
    another has all it needs: a layer that has its inputs runs at once, however long its way. There all inputs are put
    into one row, and the layer reads parts of the row.

    Raises
    ------
    NoEquivalentError
        If a row takes a size that is open, or a mask along, or if no row arrives in order either.
    """
    network = Network(_as_keras_orders(network))
    for _ in range(len(network.layers)):
        late = arrival_order(network.layers)
        if not late:
            return network
        name, arrived = next(iter(late.items()))
        longer = _as_keras_orders(_by_ways_of_one_length(network, name))
        network = Network(longer) if name not in arrival_order(longer) else _by_one_row(network, name, arrived)
    raise NoEquivalentError("layers get their inputs in another order")


def _by_ways_of_one_length(network: Network, name: str) -> Network:
    depths = _depths(network)
    longest = max(depths[producer] for producer in network[name].inbound)
    for producer in dict.fromkeys(network[name].inbound):
        chain: list[NetworkLayer] = []
        for _ in range(longest - depths[producer] + 1):
            taken = Network((*network.layers, *chain))
            chain.append(linear(taken, f"{producer}_arrives"))
        network = network.inserted(producer, *chain, consumers=[name])
    return network


def _by_one_row(network: Network, name: str, arrived: tuple[str, ...]) -> Network:
    """Return the network in which a layer reads its inputs as parts of one row, which none of them leaves early.

    The row takes them in the order in which they arrive; as the parts are told apart by place, any order is right.
    """
    if not masked(network).isdisjoint(network[name].inbound):
        raise NoEquivalentError(f"the layer {name!r} reads a mask, and its inputs arrive in another order")
    order = list(dict.fromkeys(arrived))
    for _ in range(len(order) + 1):
        lying, row, parts = _through_a_row(network, network[name], order)
        changed = replace(network[name], inbound=tuple(parts[producer][-1].name for producer in network[name].inbound))
        moving = (*lying.values(), row, *(layer for part in parts.values() for layer in part))
        place = network.layers.index(network[name])
        layers = (*network.layers[:place], *moving, changed, *network.layers[place + 1 :])
        ordered = _as_keras_orders(Network(layers))
        late = arrival_order(ordered)
        if row.name not in late and name not in late:
            return Network(ordered)
        # Where Keras has a choice about the order of layers, it depends on the order of the row.
        order.sort(key=lambda producer: late.get(row.name, row.inbound).index(lying[producer].name))
    raise NoEquivalentError(f"the inputs of {name!r} arrive in another order whatever is put before them")


def _through_a_row(
    network: Network, layer: NetworkLayer, order: Sequence[str]
) -> tuple[dict[str, NetworkLayer], NetworkLayer, dict[str, tuple[NetworkLayer, NetworkLayer]]]:
    """Return the layers that lay each input in a row, the row of all, and those that take each input out again."""
    shapes = {producer: _known_shape(network, producer) for producer in order}
    sizes = {producer: prod(shape) for producer, shape in shapes.items()}
    whole = sum(sizes.values())
    row_name = network.free_name(f"{layer.name}_row")

    def moving(stem: str, kind: str, read: str, shape: tuple[int, ...], **config: Any) -> NetworkLayer:
        return NetworkLayer(network.free_name(f"{row_name}_{stem}"), kind, config, (read,), {}, shape)

    lying, parts, start = {}, {}, 0
    for place, producer in enumerate(order):
        size, shape = sizes[producer], shapes[producer]
        lying[producer] = moving(f"takes_{place}", "Reshape", producer, (size, 1), target_shape=[size, 1])
        around = [start, whole - start - size]
        part = moving(f"part_{place}", "Cropping1D", row_name, (size, 1), cropping=around)
        parts[producer] = (part, moving(f"gives_{place}", "Reshape", part.name, shape, target_shape=list(shape)))
        start += size
    inbound = tuple(layer.name for layer in lying.values())
    return lying, NetworkLayer(row_name, "Concatenate", {"axis": 1}, inbound, {}, (whole, 1)), parts


def _known_shape(network: Network, name: str) -> tuple[int, ...]:
    shape = shape_of(network, name)
    if shape is None or None in shape:
        raise NoEquivalentError(f"the size of the layer {name!r} is open, and no other way makes it wait for others")
    return tuple(size for size in shape if size is not None)


def _as_keras_orders(network: Network) -> tuple[NetworkLayer, ...]:
    """Return the layers as Keras keeps them, but the inputs first and in the order in which the model takes them."""
    inputs = [layer for layer in network.layers if not layer.inbound]
    return (*inputs, *(layer for layer in keras_order(network) if layer.inbound))


def _depths(network: Network) -> dict[str, int]:
    """Return how many layers the longest way from an input to each layer has."""
    depths: dict[str, int] = {}
    for layer in network.layers:  # each comes after those it reads
        depths[layer.name] = max((1 + depths[producer] for producer in layer.inbound), default=0)
    return depths


def arrival_order(layers: Sequence[NetworkLayer]) -> dict[str, tuple[str, ...]]:
    """Return the layers that SIGN-XAI feeds in another order than the model's where it matters, with that order.

    It hands each layer's output to the layers that read it, one after another, each of which runs as soon as its
    last input is there; a layer takes its inputs in the order in which they arrive.

    Parameters
    ----------
    layers
        In the order in which Keras keeps them.
    """
    arrived: dict[str, list[str]] = {layer.name: [] for layer in layers}
    readers: dict[str, list[NetworkLayer]] = {layer.name: [] for layer in layers}
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
