"""Keras files made with h5py alone: small models as plain data, to be written whole or spoilt."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Tensors = dict[str, np.ndarray]


def layer(class_name: str, name: str, inbound: Any = None, **config: Any) -> dict[str, Any]:
    """Return a layer's entry in an architecture; `inbound` names its producers in a Functional model."""
    entry: dict[str, Any] = {"class_name": class_name, "config": {"name": name, **config}}
    if inbound is not None:
        names = [inbound] if isinstance(inbound, str) else inbound
        entry |= {"name": name, "inbound_nodes": [[[n, 0, 0, {}] for n in names]] if names else []}
    return entry


def sequential(*layers: dict[str, Any], name: str = "tiny") -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": name, "layers": list(layers)}}


def functional(*layers: dict[str, Any], start: Any = ("x",), end: Any = None, name: str = "tiny") -> dict[str, Any]:
    end = (layers[-1]["config"]["name"],) if end is None else end
    ends = {"input_layers": [[n, 0, 0] for n in start], "output_layers": [[n, 0, 0] for n in end]}
    return {"class_name": "Functional", "config": {"name": name, "layers": list(layers), **ends}}


def input_layer(*shape: int | None, name: str = "x", inbound: Any = None) -> dict[str, Any]:
    return layer("InputLayer", name, inbound, batch_input_shape=[None, *shape])


@dataclass
class KerasModel:
    """A model as data: change it as you like, then write it.

    Attributes
    ----------
    architecture
        Goes into `model_config`.
    weights
        Layer name -> variable name -> values.
    """

    architecture: Any
    weights: dict[str, Tensors] = field(default_factory=dict)

    @property
    def layers(self) -> list[dict[str, Any]]:
        return self.architecture["config"]["layers"]

    def write(self, path: Path) -> Path:
        """Write the layout of `model.save("model.h5")`."""
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps(self.architecture)
            write_by_name(file.create_group("model_weights"), self.weights)
        return path

    def write_weights(self, path: Path) -> Path:
        """Write the layout of `model.save_weights("weights.h5")`."""
        with h5py.File(path, "w") as file:
            write_by_name(file, self.weights)
        return path


def write_by_name(root: h5py.Group, weights: dict[str, Tensors]) -> None:
    root.attrs["layer_names"] = [name.encode() for name in weights]
    root.attrs["backend"] = b"tensorflow"
    root.attrs["keras_version"] = b"2.12.0"
    for name, tensors in weights.items():
        group = root.create_group(name)
        group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in tensors]
        for key, values in tensors.items():
            group[f"{name}/{key}:0"] = values


def tiny() -> KerasModel:
    """Return a model with H != W and two channels: convolution, flatten, dense with softmax."""
    rng = np.random.default_rng(3)
    architecture = sequential(
        input_layer(5, 4, 2),
        layer("Conv2D", "conv", filters=3, kernel_size=[2, 2], activation="relu"),
        layer("Flatten", "flatten"),
        layer("Dense", "dense", units=4, activation="softmax"),
    )
    weights = {
        "conv": {"kernel": rng.normal(size=(2, 2, 2, 3)), "bias": rng.normal(size=3)},
        "flatten": {},
        "dense": {"kernel": rng.normal(size=(4 * 3 * 3, 4)), "bias": rng.normal(size=4)},
    }
    return KerasModel(architecture, weights)


def tiny_branches() -> KerasModel:
    """Return a Functional model with two branches, added."""
    rng = np.random.default_rng(4)
    architecture = functional(
        input_layer(5, 4, 2, inbound=[]),
        layer("Conv2D", "left", "x", filters=3, kernel_size=[3, 3], padding="same"),
        layer("Conv2D", "right", "x", filters=3, kernel_size=[3, 3], padding="same"),
        layer("Add", "add", ["left", "right"]),
        layer("GlobalAveragePooling2D", "mean", "add"),
        layer("Dense", "dense", "mean", units=4),
    )
    conv = {"kernel": rng.normal(size=(3, 3, 2, 3)), "bias": rng.normal(size=3)}
    dense = {"kernel": rng.normal(size=(3, 4)), "bias": rng.normal(size=4)}
    return KerasModel(architecture, {"left": conv, "right": {k: 2 * v for k, v in conv.items()}, "dense": dense})


def tiny_logits(model: KerasModel, x: np.ndarray) -> np.ndarray:
    """Compute `tiny` in NumPy, channels last, for a batch `(N, 5, 4, 2)`."""
    conv, dense = model.weights["conv"], model.weights["dense"]
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), axis=(1, 2))  # (N, 4, 3, C, 2, 2)
    maps = np.einsum("nhwcij,ijcf->nhwf", windows, conv["kernel"]) + conv["bias"]
    return np.maximum(maps, 0).reshape(len(x), -1) @ dense["kernel"] + dense["bias"]
