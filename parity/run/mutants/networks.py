"""Small networks for mutants whose fault, or whose known difference, shows on none of the shipped models.

Each is written as a Keras file into a folder when a mutant is tried on it; weights and input come from the name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras.network import Network, NetworkLayer, write_network
from parity.run.mutants import odd_inputs
from parity.run.mutants.maker import Maker, input_layer, plain

Array = npt.NDArray[Any]


def _cancelling(make: Maker) -> Network:
    """Two units whose products add up to exactly zero, so that the bias alone turns them on."""
    first = make.dense("first", "x", 4, 3, "relu")
    kernel = np.array([[0.5, 0.25, 0.5], [-0.5, 0.25, 0.5], [0.25, -0.5, 0.25], [-0.25, 0.5, 0.5]], np.float32)
    first = NetworkLayer(
        first.name, "Dense", first.config, first.inbound, {"kernel": kernel, "bias": np.ones(3, np.float32)}
    )
    return Network((input_layer(4), first, make.dense("out", "first", 3, 2)))


def _colour(make: Maker) -> Network:
    return Network((
        input_layer(8, 8, 3),
        make.convolution("first", "x", 3, 4, (3, 3)),
        plain("pool", "MaxPooling2D", "first", pool_size=[2, 2], strides=[2, 2], padding="valid"),
        plain("flat", "Flatten", "pool"),
        make.dense("out", "flat", 64, 3),
    ))  # fmt: skip


def _concatenate(make: Maker) -> Network:
    return Network((
        input_layer(6),
        make.dense("first", "x", 6, 6, "relu"),
        plain("both", "Concatenate", "x", "first", axis=-1),
        make.dense("out", "both", 12, 3),
    ))  # fmt: skip


def _read_twice(make: Maker) -> Network:
    return Network((
        input_layer(6),
        make.dense("first", "x", 6, 5, "relu"),
        plain("both", "Concatenate", "first", "first", axis=-1),
        make.dense("out", "both", 10, 3),
    ))  # fmt: skip


def _branched_input(make: Maker) -> Network:
    return Network((
        input_layer(7),
        make.dense("first", "x", 7, 5, "relu"),
        make.dense("left", "first", 5, 4, "relu"),
        make.dense("right", "first", 5, 4, "relu"),
        plain("both", "Concatenate", "left", "right", axis=-1),
        make.dense("out", "both", 8, 3),
    ))  # fmt: skip


def _not_square(make: Maker) -> Network:
    return Network((
        input_layer(9, 6, 3),
        make.convolution("first", "x", 3, 4, (3, 3)),
        make.convolution("second", "first", 4, 4, (3, 3)),
        plain("flat", "Flatten", "second"),
        make.dense("out", "flat", 216, 3),
    ))  # fmt: skip


def _single_layer(make: Maker) -> Network:
    return Network((input_layer(4, 3, 2), plain("flat", "Flatten", "x"), make.dense("out", "flat", 24, 3)))


def _permuted(make: Maker) -> Network:
    return Network((
        input_layer(4, 6, 4),
        make.convolution("first", "x", 4, 4, (2, 3)),
        plain("turned", "Permute", "first", dims=[3, 2, 1]),
        make.convolution("second", "turned", 4, 3, (2, 2)),
        plain("flat", "Flatten", "second"),
        make.dense("out", "flat", 72, 3),
    ))  # fmt: skip


def _open_length(make: Maker) -> Network:
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, None, 3]}, ()),
        plain("padded", "ZeroPadding1D", "x", padding=[2, 1]),
        make.convolution("first", "padded", 3, 5, (3,)),
        plain("mean", "GlobalAveragePooling1D", "first"),
        make.dense("out", "mean", 5, 3),
    ))  # fmt: skip


def _activation_at_the_end(make: Maker, activation: str = "sigmoid") -> Network:
    return Network((
        input_layer(5, 5, 2),
        make.convolution("first", "x", 2, 3, (2, 2)),
        plain("flat", "Flatten", "first"),
        make.dense("dense", "flat", 75, 3),
        plain("out", "Activation", "dense", activation=activation),
    ))  # fmt: skip


def _relu_at_the_end(make: Maker) -> Network:
    return Network((
        input_layer(5, 5, 2),
        make.convolution("first", "x", 2, 3, (2, 2)),
        plain("flat", "Flatten", "first"),
        make.dense("out", "flat", 75, 3, "relu"),
    ))  # fmt: skip


def _without_offset(make: Maker) -> Network:
    return Network((
        input_layer(5, 5, 2),
        make.convolution("first", "x", 2, 4, (3, 3), "linear"),
        make.normalization("norm", "first", 4, center=False),
        plain("relu", "Activation", "norm", activation="relu"),
        plain("flat", "Flatten", "relu"),
        make.dense("out", "flat", 100, 3),
    ))  # fmt: skip


def _normalization_at_the_end(make: Maker) -> Network:
    return Network((
        input_layer(5, 5, 2),
        make.convolution("first", "x", 2, 3, (3, 3)),
        plain("flat", "Flatten", "first"),
        make.dense("dense", "flat", 75, 3),
        make.normalization("out", "dense", 3),
    ))  # fmt: skip


def _behind_padding(make: Maker) -> Network:
    return Network((
        input_layer(5, 5, 2),
        plain("padded", "ZeroPadding2D", "x", padding=[[1, 1], [1, 1]]),
        make.convolution("first", "padded", 2, 3, (3, 3)),
        plain("flat", "Flatten", "first"),
        make.dense("out", "flat", 147, 3),
    ))  # fmt: skip


def _leaky(make: Maker) -> Network:
    return Network((
        input_layer(5, 4),
        make.convolution("first", "x", 4, 4, (2,), "linear"),
        plain("leak", "LeakyReLU", "first", alpha=0.25),
        plain("flat", "Flatten", "leak"),
        make.dense("hidden", "flat", 20, 6, "relu"),
        make.dense("out", "hidden", 6, 3),
    ))  # fmt: skip


def _bounded(make: Maker) -> Network:
    return Network((
        input_layer(5, 4),
        make.convolution("first", "x", 4, 4, (2,), "linear"),
        plain("bound", "ReLU", "first", max_value=0.5, negative_slope=0.1, threshold=0.0),
        plain("flat", "Flatten", "bound"),
        make.dense("out", "flat", 20, 3),
    ))  # fmt: skip


def _ties_at_the_baseline(make: Maker) -> Network:
    """Windows that are equal where the image is zero, and not zero themselves, so that their last digits decide."""
    return Network((
        input_layer(4, 6, 3),
        make.normalization("first_norm", "x", 3),
        plain("cropped", "Cropping2D", "first_norm", cropping=[[2, 0], [2, 1]]),
        make.normalization("second_norm", "cropped", 3, center=False),
        make.convolution("first", "second_norm", 3, 3, (2, 2), "elu"),
        plain("pool", "GlobalMaxPooling2D", "first"),
        make.dense("out", "pool", 3, 2),
    ))  # fmt: skip


def _augmented(make: Maker) -> Network:
    return Network((
        input_layer(6, 5, 3),
        plain("flip", "RandomFlip", "x", mode="horizontal", seed=None),
        make.convolution("first", "flip", 3, 4, (2, 2)),
        plain("flat", "Flatten", "first"),
        make.dense("out", "flat", 120, 3),
    ))  # fmt: skip


def _resized(make: Maker) -> Network:
    return Network((
        input_layer(4, 5, 2),
        plain("large", "Resizing", "x", height=6, width=7, interpolation="bilinear"),
        make.convolution("left", "large", 2, 3, (2, 2)),
        make.convolution("right", "large", 2, 3, (1, 1)),
        plain("sum", "Add", "left", "right"),
        plain("flat", "Flatten", "sum"),
        make.dense("out", "flat", 126, 3),
    ))  # fmt: skip


def _unit_length(make: Maker) -> Network:
    return Network((
        input_layer(6, 5, 3),
        make.convolution("first", "x", 3, 4, (2, 2)),
        plain("unit", "UnitNormalization", "first", axis=[3]),
        plain("flat", "Flatten", "unit"),
        make.dense("out", "flat", 120, 3),
    ))  # fmt: skip


_OPEN = 8
"""How many places inputs have where a network leaves that open."""
NETWORKS: dict[str, Callable[[Maker], Network]] = {
    "cancelling": _cancelling,
    "colour": _colour,
    "concatenate": _concatenate,
    "read_twice": _read_twice,
    "branched_input": _branched_input,
    "not_square": _not_square,
    "single_layer": _single_layer,
    "permuted": _permuted,
    "open_length": _open_length,
    "sigmoid_at_the_end": _activation_at_the_end,
    "relu_at_the_end": _relu_at_the_end,
    "norm_without_offset": _without_offset,
    "norm_at_the_end": _normalization_at_the_end,
    "behind_padding": _behind_padding,
    "leaky": _leaky,
    "bounded": _bounded,
    "ties_at_the_baseline": _ties_at_the_baseline,
    "augmented": _augmented,
    "resized": _resized,
    "unit_length": _unit_length,
    **odd_inputs.NETWORKS,
}
"""The networks by name, besides `NESTED`."""
NESTED = "nested"
"""A network inside a network, which is written in another way."""
NAMES = (*NETWORKS, NESTED)
"""The names that `written` knows."""


def written(name: str, folder: Path, inputs: int = 1) -> tuple[ModelSource, tuple[Input, ...]]:
    """Write a network into a folder and return it with inputs.

    Raises
    ------
    KeyError
        If there is no network of that name.
    """
    make, path = Maker(name), folder / f"{name}.h5"
    if name == NESTED:
        shape = _write_nested(make, path)
    else:
        network = NETWORKS[name](make)
        write_network(network, path)
        told = [layer.config["batch_input_shape"][1:] for layer in network if not layer.inbound]
        shapes = [[_OPEN if size is None else size for size in sizes] for sizes in told]
        shape = tuple(shapes[0]) if len(shapes) == 1 else (sum(math.prod(sizes) for sizes in shapes),)
    if name == "cancelling":
        arrays = [np.array([0.5, 0.5, 0.25, 0.25], np.float32) * (1 + number) for number in range(inputs)]
    else:
        sample = odd_inputs.SAMPLES.get(name, np.asarray)
        arrays = [sample(make.rng.normal(size=shape)).astype(np.float32) for _ in range(inputs)]
    source = ModelSource(name, path, None, file_sha256(path), "none", "", "a small network for mutants")
    return source, tuple(
        Input(f"x{number}", array, array_sha256(array), None, None) for number, array in enumerate(arrays)
    )


def _write_nested(make: Maker, path: Path) -> tuple[int, ...]:
    """Write a convolution inside a model of its own, followed by a dense layer."""
    first, inner = make.convolution("first", "x", 2, 3, (2, 2)), make.convolution("inside", "inner_x", 3, 3, (2, 2))
    last = make.dense("out", "flat", 75, 3)

    def entry(layer: NetworkLayer, reads: str | None) -> dict[str, Any]:
        # Keras counts a model's own making as its first call, so its call in the outer model is number 1.
        nodes = [[[reads, int(reads == "block"), 0, {}]]] if reads else []
        config = {**layer.config, "name": layer.name}
        return {"class_name": layer.class_name, "name": layer.name, "config": config, "inbound_nodes": nodes}

    inner_input = NetworkLayer("inner_x", "InputLayer", {"batch_input_shape": [None, 5, 5, 3]}, ())
    block = {
        "name": "block", "layers": [entry(inner_input, None), entry(inner, "inner_x")],
        "input_layers": [["inner_x", 0, 0]], "output_layers": [["inside", 0, 0]],
    }  # fmt: skip
    config = {
        "name": "nested",
        "layers": [
            entry(input_layer(5, 5, 2), None),
            entry(first, "x"),
            {"class_name": "Functional", "name": "block", "config": block, "inbound_nodes": [[["first", 0, 0, {}]]]},
            entry(plain("flat", "Flatten"), "block"),
            entry(last, "flat"),
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["out", 0, 0]],
    }
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.12.0", "tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        root = file.create_group("model_weights")
        names = ["x", "first", "block", "flat", "out"]
        root.attrs["layer_names"] = np.array([name.encode() for name in names])
        root.attrs["keras_version"], root.attrs["backend"] = b"2.12.0", b"tensorflow"
        for name, layer in zip(names, (None, first, inner, None, last), strict=True):
            group = root.create_group(name)
            tensors = {} if layer is None else layer.weights
            weights = {f"{layer and layer.name}/{key}:0": values for key, values in tensors.items()}
            group.attrs["weight_names"] = np.array([key.encode() for key in weights], dtype="S")
            for key, values in weights.items():
                group[key] = values
    return 5, 5, 2
