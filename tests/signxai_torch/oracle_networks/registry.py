"""What a network for the oracle is, and where they are kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import dense, layer

Rng = np.random.Generator
Shapes = tuple[tuple[int, ...], ...]
GRADIENTS = ("gradient",)
"""Neither reference has a rule for recurrent layers."""
NO_TOKEN_GRADIENT = ("gradient", "deep_taylor")


@dataclass(frozen=True)
class Case:
    """A network to be explained.

    Attributes
    ----------
    build
        Makes it from a random generator.
    shapes
        Of each input, Keras layout.
    sample
        Makes an input of normal random numbers.
    only, without
        The methods, if not all.
    twice
        Pairs of layers of the network that are one layer in the model, called twice.
    targets
        What is explained of each of the three samples.
    """

    build: Callable[[Rng], Network]
    shapes: Shapes
    sample: Callable[[np.ndarray], np.ndarray] = np.asarray
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    twice: Mapping[str, str] | None = None
    targets: tuple[Any, ...] = (0, 1, 2)


NETWORKS: dict[str, Case] = {}


def case(*shapes: tuple[int, ...], **settings: Any) -> Callable[[Callable[[Rng], Network]], Callable[[Rng], Network]]:
    """Keep a function from a random generator to a network under its name."""

    def keep(build: Callable[[Rng], Network]) -> Callable[[Rng], Network]:
        NETWORKS[build.__name__] = Case(build, shapes, **settings)
        return build

    return keep


def end(rng: Rng, features: int) -> tuple[NetworkLayer, ...]:
    return layer("Flatten", "f"), dense(rng, "d", features, 8, activation="relu"), dense(rng, "out", 8, 3)


def read(name: str, *shape: int) -> NetworkLayer:
    return NetworkLayer(name, "InputLayer", {"batch_input_shape": [None, *shape]}, ())


# Deep Taylor counts branches twice in the only reference that has it.
NO_BRANCHES = {"without": ("deep_taylor",)}


def call_twice(path: Path, twice: Mapping[str, str]) -> None:
    """Make further calls of one layer of what a written file has as layers of their own with the same weights.

    Parameters
    ----------
    path
        An `.h5` file as `parity.keras.network.write_network` writes it.
    twice
        From the name of the layer that becomes the second call to that of the layer that is called.
    """
    with h5py.File(path, "r+") as file:
        model = json.loads(file.attrs["model_config"])
        layers = {one["name"]: one for one in model["config"]["layers"]}
        for one in layers.values():
            for call in one["inbound_nodes"]:
                for tensor in call:
                    if tensor[0] in twice:
                        tensor[:2] = [twice[tensor[0]], 1]
        for again, name in twice.items():
            layers[name]["inbound_nodes"] += layers.pop(again)["inbound_nodes"]
            del file[f"model_weights/{again}"]
        model["config"]["layers"] = list(layers.values())
        file.attrs["model_config"] = json.dumps(model)
        kept = [name for name in file["model_weights"].attrs["layer_names"] if name.decode() not in twice]
        file["model_weights"].attrs["layer_names"] = np.array(kept)
