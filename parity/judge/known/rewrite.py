"""What a rewrite is: one way to spell a network differently, with the same function of the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from parity.keras.description import Shape
from parity.keras.network import Network, NetworkLayer

Array = npt.NDArray[Any]


class NoEquivalentError(Exception):
    """A network has no equivalent of this kind; the text says why."""


@dataclass(frozen=True)
class Rewrite:
    """One way to spell a network differently.

    Attributes
    ----------
    says
        What it changes, in words that end a sentence.
    network
        Takes a network and the explained class, and returns the equivalent network. Also works on a network without
        weights, to tell whether there is an equivalent.
    inputs
        Turns an input of the model into one of the equivalent network (Keras layout, no batch axis).
    one_class
        Whether the explained class is the equivalent network's only one.
    sized
        Whether the equivalent network takes inputs of the one size that is explained.
    """

    says: str
    network: Callable[[Network, int], Network]
    inputs: Callable[[Array], Array] = lambda x: x
    one_class: bool = False
    sized: bool = False


def linear(network: Network, stem: str) -> NetworkLayer:
    """Return a layer that does nothing, under a name that no layer of the network has."""
    return NetworkLayer(network.free_name(stem), "Activation", {"activation": "linear"}, ())


def shape_of(network: Network, name: str) -> Shape | None:
    """Return the shape of a layer, also of one from `linear`; None where it is not known."""
    layer = network[name]
    while layer.shape is None and layer.class_name == "Activation":
        layer = network[layer.inbound[0]]
    return layer.shape
