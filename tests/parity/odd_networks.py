"""Small networks on which a right port was once called wrong, each written as a Keras file, with one input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from parity import keras
from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras.network import Network, NetworkLayer, read_network, write_network
from tests.parity.keras.keras_files import KerasModel, functional, input_layer, layer

Written = tuple[ModelSource, Input]
LEAKY = {"class_name": "LeakyReLU", "config": {"name": "leaky_re_lu", "trainable": True, "alpha": 0.1}}
"""What Keras 2.12 writes for `activation=LeakyReLU(0.1)`, up to the dtype."""
BLOCKS = 4
"""How many times `mobile_network` filters and mixes channels."""


class Maker:
    """Makes layers with seeded weights, each read by the next."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers = [NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, *shape]}, ())]
        self.shape = shape

    def values(self, *shape: int, fan_in: int) -> np.ndarray:
        return (self.rng.normal(size=shape) * math.sqrt(2 / fan_in)).astype(np.float32)

    def add(self, class_name: str, weights: dict[str, np.ndarray] | None = None, **config: Any) -> None:
        before = self.layers[-1].name
        name = f"{class_name.lower()}_{len(self.layers)}"
        self.layers.append(NetworkLayer(name, class_name, config, (before,), weights or {}))

    def convolution(self, channels: int, filters: int, *size: int, bias: bool = True, **config: Any) -> None:
        weights = {"kernel": self.values(*size, channels, filters, fan_in=math.prod(size) * channels)}
        if bias:
            weights["bias"] = self.values(filters, fan_in=8)
        settings = {"strides": [1] * len(size), "padding": "same", "activation": "relu"} | config
        kind = f"Conv{len(size)}D"
        self.add(kind, weights, filters=filters, kernel_size=list(size), use_bias=bias, **settings)

    def depthwise(self, channels: int, padding: str) -> None:
        weights = {"depthwise_kernel": self.values(3, 3, channels, 1, fan_in=9)}
        self.add(
            "DepthwiseConv2D", weights, kernel_size=[3, 3], strides=[1, 1], padding=padding, depth_multiplier=1,
            activation="linear", use_bias=False,
        )  # fmt: skip

    def dense(self, features: int, units: int, bias: np.ndarray | None = None) -> None:
        bias = self.values(units, fan_in=8) if bias is None else bias
        weights = {"kernel": self.values(features, units, fan_in=features), "bias": bias.astype(np.float32)}
        self.add("Dense", weights, units=units, activation="linear", use_bias=True)

    def normalization(self, channels: int) -> None:
        weights = {
            "gamma": self.rng.uniform(0.5, 1.5, channels).astype(np.float32),
            "beta": self.values(channels, fan_in=8),
            "moving_mean": self.values(channels, fan_in=8),
            "moving_variance": self.rng.uniform(0.3, 2.0, channels).astype(np.float32),
        }
        self.add("BatchNormalization", weights, axis=[-1], epsilon=1e-3, center=True, scale=True)

    def written(self, path: Path) -> Written:
        """Write the network, and return it with an input of standard normal numbers."""
        write_network(Network(tuple(self.layers)), path)
        return with_input(path, self.rng.normal(size=self.shape))


def with_input(path: Path, values: np.ndarray) -> Written:
    """Return a file that is written as a model of the user's, with one input."""
    x = values.astype(np.float32)
    source = ModelSource(path.stem, path, None, file_sha256(path), "none", "", "made for a test", own=True)
    return source, Input("x", x, array_sha256(x), None, None)


def image_on_its_side(path: Path) -> Written:
    """A network of images of 7 x 5, where SIGN-XAI's Grad-CAM is transposed."""
    make = Maker(7, 5, 3)
    make.convolution(3, 4, 3, 3)
    make.convolution(4, 4, 3, 3)
    make.add("Flatten")
    make.dense(7 * 5 * 4, 3)
    return make.written(path)


def nested(path: Path) -> tuple[Written, Written]:
    """The usual form of transfer learning, and the same layers in one model, with the same weights and input."""
    make = Maker(8, 8, 3)
    make.convolution(3, 4, 3, 3, padding="valid")
    make.convolution(4, 4, 3, 3, padding="valid")
    make.add("Flatten")
    make.dense(4 * 4 * 4, 3)
    flat = make.written(path.with_name("flat.h5"))
    first, second, flatten, dense = make.layers[1:]
    entries = [layer(one.class_name, one.name, [reads], **one.config) for one, reads in
               ((first, "inner"), (second, first.name), (flatten, "base"), (dense, flatten.name))]  # fmt: skip
    entries[2]["inbound_nodes"][0][0][1] = 1  # Keras counts a model inside a model from 1: it is called once alone
    base = functional(input_layer(8, 8, 3, name="inner", inbound=[]), *entries[:2], start=("inner",), name="base")
    inner = base | {"name": "base", "inbound_nodes": [[["x", 0, 0, {}]]]}
    outer = functional(input_layer(8, 8, 3, inbound=[]), inner, *entries[2:], name="nested")
    KerasModel(outer, {}).write(path)
    with h5py.File(path, "r+") as file:
        root = file["model_weights"]
        root.attrs["layer_names"] = [b"x", b"base", flatten.name.encode(), dense.name.encode()]
        for name, kept in (("x", ()), ("base", (first, second)), (flatten.name, ()), (dense.name, (dense,))):
            _store(root.create_group(name), kept)
    return with_input(path, flat[1].array), flat


def _store(group: h5py.Group, layers: Sequence[NetworkLayer]) -> None:
    tensors = {f"{one.name}/{key}:0": values for one in layers for key, values in one.weights.items()}
    group.attrs["weight_names"] = np.array([name.encode() for name in tensors], dtype="S")
    for name, values in tensors.items():
        group[name] = values


def strided_shortcut(path: Path) -> Written:
    """62 x 62 x 8 into a 1 x 1 convolution with stride 2, of whose gradient TensorFlow aborts with oneDNN."""
    make = Maker(62, 62, 8)
    make.convolution(8, 16, 1, 1, bias=False, strides=[2, 2], activation="linear")
    make.add("GlobalAveragePooling2D")
    make.dense(16, 3)
    return make.written(path)


def negative_logit(path: Path) -> Written:
    """A network of one output, which is negative."""
    make = Maker(6, 5, 2)
    make.convolution(2, 3, 3, 3)
    make.add("Flatten")
    make.dense(6 * 5 * 3, 1, bias=np.array([-50.0]))
    return make.written(path)


def linear(path: Path) -> Written:
    """A network whose gradient is the same everywhere."""
    make = Maker(6, 2)
    make.add("Flatten")
    make.dense(12, 2, bias=np.zeros(2))
    return make.written(path)


def affine(path: Path) -> Written:
    """A network of two layers and no activation, whose gradient is the same everywhere but for rounding."""
    make = Maker(6, 2)
    make.normalization(2)
    make.convolution(2, 3, 3, activation="linear")
    make.add("Flatten")
    make.dense(18, 2)
    return make.written(path)


def normalized_series(path: Path) -> Written:
    """Conv1D and BatchNormalization, of which iNNvestigate cannot build a copy."""
    make = Maker(16, 2)
    make.convolution(2, 4, 3, activation="linear")
    make.normalization(4)
    make.add("Activation", activation="relu")
    make.add("Flatten")
    make.dense(64, 3)
    return make.written(path)


def leaky_attribute(path: Path) -> Written:
    """A convolution whose activation is a LeakyReLU object."""
    make = Maker(6, 5, 2)
    make.convolution(2, 3, 3, 3, activation=LEAKY)
    make.add("Flatten")
    make.dense(90, 3)
    return make.written(path)


def mobile_network(path: Path) -> Written:
    """Depthwise and pointwise convolutions, each normalized by what it gives for a picture of little contrast.

    The first normalization takes a large mean off, so float32 has few digits left behind it.
    """
    make, channels = Maker(10, 10, 3), 3
    for block in range(BLOCKS):
        make.depthwise(channels, padding="same" if block else "valid")
        _normalized(make, channels)
        make.convolution(channels, 8, 1, 1, bias=False, activation="linear")
        channels = 8
        _normalized(make, channels)
    make.add("GlobalAveragePooling2D")
    make.dense(channels, 5)
    source, x = make.written(path)
    return _calibrated(source, 400 + x.array)


def _normalized(make: Maker, channels: int) -> None:
    make.normalization(channels)
    make.add("Activation", activation="relu")


def _calibrated(source: ModelSource, x: np.ndarray) -> Written:
    """Give every normalization the statistics of what arrives there, from the first to the last."""
    description = keras.load(source.path).description
    network = read_network(source.path, None, description)
    for one in network.layers:
        if one.class_name != "BatchNormalization":
            continue
        module = keras.load(source.path, dtype=torch.float64)
        arriving = _arriving(module, one.name, x)
        mean, variance = arriving.mean(dim=(0, 2, 3)).numpy(), arriving.var(dim=(0, 2, 3), unbiased=False).numpy()
        statistics = {"moving_mean": mean.astype(np.float32), "moving_variance": variance.astype(np.float32)}
        network = network.with_layer(replace(network[one.name], weights={**network[one.name].weights, **statistics}))
        write_network(network, source.path)
    return with_input(source.path, x)


def _arriving(module: keras.KerasModule, name: str, x: np.ndarray) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    handle = module.get_submodule(name).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        module(module.to_torch(x[None]))
    handle.remove()
    return seen[0]


NETWORKS: dict[str, Callable[[Path], Written]] = {
    function.__name__: function
    for function in (
        image_on_its_side, strided_shortcut, negative_logit, linear, affine, normalized_series, leaky_attribute,
        mobile_network,
    )
}  # fmt: skip
