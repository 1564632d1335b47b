"""A `MultiHeadAttention` spelled as layers that both references can call: one `Attention` for each head.

All of it is layers without a kernel to both references (`TimeDistributed` is one, whatever is inside), so LRP does to
the whole what it does to the one layer: it takes the derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.keras.handlers.attention import roles
from parity.keras.network import NetworkLayer

Floats = npt.NDArray[np.floating[Any]]


def heads_apart(
    layer: NetworkLayer, channels: Mapping[str, int], free_name: Callable[[str], str]
) -> list[NetworkLayer]:
    """Return layers that compute what a `MultiHeadAttention` does; the last one has its name.

    Parameters
    ----------
    layer
        The layer, with its weights or without.
    channels
        How many channels each layer has that it reads, by name.
    free_name
        Makes a name that no layer has yet.
    """
    reads = dict(zip(roles(layer.keywords, len(layer.inbound)), layer.inbound, strict=True))
    reads.setdefault("key", reads["value"])
    heads, size = int(layer.config["num_heads"]), int(layer.config["key_dim"])
    assert layer.shape is not None
    made = layer.shape[-1]
    assert made is not None
    # SIGN-XAI hands relevance on, undone, where a layer keeps the shape. Columns of zeros keep any from doing so.
    matched = _width(size, lambda width: width not in (channels[reads["query"]], channels[reads["key"]]))
    given = int(layer.config.get("value_dim") or size)
    mixed = _width(given, lambda width: width != channels[reads["value"]] and heads * width != made)
    causal = bool(layer.settings.get("use_causal_mask"))
    widths = {"query": matched, "key": matched, "value": mixed}
    layers: list[NetworkLayer] = []
    for head in range(heads):
        names = {}
        for role in ("query", "value", "key"):
            names[role] = free_name(f"{layer.name}_{role}_{head}")
            weights = _of_head(layer, role, head, widths[role])
            layers.append(_projection(names[role], reads[role], widths[role], weights))
        config = {"use_scale": True, "score_mode": "dot", "dropout": 0.0, "causal": causal}
        scale = {"scale": np.asarray(1 / math.sqrt(size))} if layer.weights else {}
        name = free_name(f"{layer.name}_head_{head}")
        layers.append(NetworkLayer(name, "Attention", config, tuple(names.values()), scale))
    last = [one.name for one in layers if one.class_name == "Attention"]
    if heads > 1:
        joined = free_name(f"{layer.name}_heads")
        layers.append(NetworkLayer(joined, "Concatenate", {"axis": -1}, tuple(last)))
        last = [joined]
    output = _projection(layer.name, last[0], made, _of_output(layer, mixed))
    return [*layers, replace(output, shape=layer.shape)]


def _width(size: int, fits: Callable[[int], bool]) -> int:
    """Return the smallest width from a size on that fits."""
    while not fits(size):
        size += 1
    return size


def _projection(name: str, reads: str, units: int, weights: Mapping[str, Floats]) -> NetworkLayer:
    """Return a Dense layer of every step."""
    config = {"name": f"{name}_step", "units": units, "activation": "linear", "use_bias": True}
    inside = {"class_name": "Dense", "config": config}
    return NetworkLayer(name, "TimeDistributed", {"layer": inside}, (reads,), weights)


def _of_head(layer: NetworkLayer, role: str, head: int, width: int) -> dict[str, Floats]:
    """Return kernel and bias of a head's projection, with zeros up to a width."""
    if not layer.weights:
        return {}
    kernel = layer.weights[f"{role}_kernel"][:, head]
    bias = layer.weights[f"{role}_bias"][head] if f"{role}_bias" in layer.weights else np.zeros(kernel.shape[-1])
    missing = width - kernel.shape[-1]
    return {"kernel": np.pad(kernel, [(0, 0), (0, missing)]), "bias": np.pad(bias, (0, missing))}


def _of_output(layer: NetworkLayer, width: int) -> dict[str, Floats]:
    """Return kernel and bias of the projection of all heads side by side, each of a width."""
    if not layer.weights:
        return {}
    kernel = layer.weights["output_kernel"]
    wider = np.pad(kernel, [(0, 0), (0, width - kernel.shape[1]), (0, 0)])
    bias = layer.weights.get("output_bias", np.zeros(kernel.shape[-1]))
    return {"kernel": wider.reshape(-1, kernel.shape[-1]), "bias": bias}
