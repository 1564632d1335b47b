"""A network cut behind its input layer, so that each part can be explained by a reference that is right there.

The relevance above the cut comes from the upper part, whose input is what the input layer makes of the sample. The
lower part is the input layer with a readout: one Dense unit whose weights share its value out exactly as that relevance
lies, because the z rule gives unit j the relevance ``a_j v_j``. What the input rule makes of it is the map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.known.conditions import input_layers
from parity.keras import ModelDescription
from parity.keras.network import Network, NetworkLayer, network_of

Array = npt.NDArray[Any]


class NoCutError(Exception):
    """The relevance above the cut cannot be handed to the lower part; the text says why."""


def can_be_cut(model: ModelDescription) -> bool:
    """Return whether one layer with weights sees the input, alone and not through padding, and is not the last."""
    seen = input_layers(model)
    if len(seen) != 1 or seen != input_layers(model, through_padding=False) or None in model.input_shape:
        return False
    network = network_of(model)
    chain = _chain(network)
    if chain is None or chain[-1].name == network.output.name:
        return False
    # Values in a row tell one open size of what they were, and no two.
    return chain[-1].shape is not None and chain[-1].shape.count(None) < 2


def above(network: Network) -> Network:
    """Return the part above the input layer; its input is that layer's output."""
    chain = _chain(network)
    assert chain is not None
    last = chain[-1]
    assert last.shape is not None
    start = NetworkLayer(last.name, "InputLayer", {"batch_input_shape": [None, *last.shape]}, (), {}, last.shape)
    gone = {layer.name for layer in chain}
    return Network((start, *(layer for layer in network.layers if layer.name not in gone)))


def below(network: Network, shape: tuple[int, ...]) -> Network:
    """Return the input layer and what is before it, for inputs of a shape, with all values in one row behind it."""
    chain = _chain(network)
    assert chain is not None
    chain[0] = chain[0].configured(batch_input_shape=[None, *shape])
    flat = NetworkLayer("values_of_the_input_layer", "Flatten", {}, (chain[-1].name,))
    return Network((*chain, flat))


def readout(lower: Network, values: Array, relevance: Array) -> Network:
    """Return the lower part with a Dense unit that shares its value out as `relevance` lies over `values`.

    Parameters
    ----------
    lower
        See `below`.
    values, relevance
        The input layer's output for the sample, and the relevance there, each in one row.

    Raises
    ------
    NoCutError
        If a unit has relevance but the value 0: no weight gives it any.
    """
    silent = values == 0
    if np.any(relevance[silent]):
        raise NoCutError("a unit of the input layer whose value is 0 has relevance, which no readout can give it")
    weights = np.divide(relevance, values, out=np.zeros_like(relevance), where=~silent)
    unit = NetworkLayer(
        "readout", "Dense", {"units": 1, "use_bias": False, "activation": "linear"}, (lower.output.name,),
        {"kernel": weights[:, None]},
    )  # fmt: skip
    return Network((*lower.layers, unit))


def _chain(network: Network) -> list[NetworkLayer] | None:
    """Return the layers from the input to the first with weights, if each is read by one layer alone."""
    chain = [network.layers[0]]
    transparent = ("Flatten", "Permute", "Reshape")
    while True:
        readers = network.consumers(chain[-1].name)
        if len(readers) != 1 or len(readers[0].inbound) != 1:
            return None
        chain.append(readers[0])
        if readers[0].class_name not in transparent:
            return chain
