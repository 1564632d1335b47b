"""From a case to a Keras `.h5` and its input, with h5py alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras.network import Network, NetworkLayer, write_network
from tests.fuzz.architectures import Case
from tests.fuzz.shapes import KERNELS, Shape, output_shape
from tests.parity.keras.keras_files import KerasModel, layer, sequential

Tensors = dict[str, np.ndarray]


def write(case: Case, path: Path) -> tuple[ModelSource, Input]:
    """Write the network of a case as Keras would save it, and return it with its input."""
    rng = np.random.default_rng(case["seed"])
    shapes: dict[str, Shape] = {"x": tuple(case["input"])}
    weights: dict[str, Tensors] = {}
    for one in case["layers"]:
        inputs = [shapes[name] for name in one["from"]]
        shapes[one["name"]] = output_shape(one["class"], one["config"], inputs)
        weights[one["name"]] = _weights(one, inputs[0], rng, case["exact"])
    first = NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, *case["input"]]}, ())
    network = Network((first, *(
        NetworkLayer(one["name"], one["class"], one["config"], tuple(one["from"]), weights[one["name"]])
        for one in case["layers"]
    )))  # fmt: skip
    if case["sequential"]:
        _write_sequential(network, path)
    else:
        write_network(network, path)
    source = ModelSource(path.stem, path, None, file_sha256(path), "none", "", "a case of the fuzzer")
    array = _input(tuple(case["input"]), rng, case["exact"])
    return source, Input("x", array, array_sha256(array), None, None)


def _write_sequential(network: Network, path: Path) -> None:
    entries = [layer(one.class_name, one.name, **one.config) for one in network]
    KerasModel(sequential(*entries), {one.name: dict(one.weights) for one in network.layers[1:]}).write(path)


def _weights(one: dict[str, Any], shape: Shape, rng: np.random.Generator, exact: bool) -> Tensors:
    kind, config = one["class"], one["config"]
    if kind == "BatchNormalization":
        return _normalization(config, shape[-1], rng, exact)
    if kind not in KERNELS:
        return {}
    kernel = tuple(config.get("kernel_size", ()))
    multiplier = config.get("depth_multiplier", 1)
    made: dict[str, tuple[int, ...]]
    match kind:
        case "DepthwiseConv2D":
            made, filters = {"depthwise_kernel": (*kernel, shape[-1], multiplier)}, shape[-1] * multiplier
        case "SeparableConv1D" | "SeparableConv2D":
            wide, filters = shape[-1] * multiplier, config["filters"]
            made = {"depthwise_kernel": (*kernel, shape[-1], multiplier),
                    "pointwise_kernel": (*(1,) * len(kernel), wide, filters)}  # fmt: skip
        case "Dense":
            made, filters = {"kernel": (shape[-1], config["units"])}, config["units"]
        case _:
            made, filters = {"kernel": (*kernel, shape[-1], config["filters"])}, config["filters"]
    tensors = {name: _kernel(size, rng, exact) for name, size in made.items()}
    if config["use_bias"]:
        tensors["bias"] = _kernel((filters,), rng, exact, zeros=0.1)
    return tensors


def _kernel(size: tuple[int, ...], rng: np.random.Generator, exact: bool, zeros: float = 0.15) -> np.ndarray:
    """Return values of both signs and some exact zeros, as float32."""
    if exact:
        values = rng.integers(1, 5, size) * rng.choice([-0.25, 0.25], size)
    else:
        values = rng.normal(size=size) / math.sqrt(max(math.prod(size[:-1]), 1))
    values[rng.random(size) < zeros] = 0
    return values.astype(np.float32)


def _normalization(config: dict[str, Any], channels: int, rng: np.random.Generator, exact: bool) -> Tensors:
    tensors: Tensors = {}
    if config["scale"]:
        tensors["gamma"] = rng.choice([-0.5, 0.5, 1.0, 2.0], channels) if exact else rng.normal(1, 0.3, channels)
    if config["center"]:
        tensors["beta"] = rng.integers(-4, 5, channels) / 4 if exact else rng.normal(size=channels)
    tensors["moving_mean"] = rng.integers(-4, 5, channels) / 4 if exact else rng.normal(size=channels)
    # Where the variance plus epsilon is a power of 4, its root is exact.
    exact_variance = rng.choice([0.25, 1.0, 4.0], channels) - config["epsilon"]
    tensors["moving_variance"] = exact_variance if exact else rng.uniform(0.3, 2.0, channels)
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def _input(shape: Shape, rng: np.random.Generator, exact: bool) -> np.ndarray:
    """Return numbers of both signs with exact zeros; in exact cases a flat area too, where windows tie."""
    values = rng.integers(-4, 5, shape) / 4 if exact else rng.normal(size=shape)
    values[rng.random(shape) < 0.2] = 0
    if exact and len(shape) > 1:
        values[: shape[0] // 2] = 0.5 * (rng.random() < 0.5)
    return values.astype(np.float32)
