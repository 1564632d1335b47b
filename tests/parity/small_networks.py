"""Small networks for tests: layers as plain data, written as Keras would save them, described or as a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from parity import keras
from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras import ModelDescription
from parity.keras.network import write_network
from parity.run.cases import Plan
from tests.fuzz.networks import write
from tests.parity.judged import ROWS

Layer = dict[str, Any]


def layer(kind: str, name: str, *inbound: str, **config: object) -> Layer:
    """Return a layer that reads others; the input is called "x"."""
    return {"class": kind, "name": name, "from": list(inbound), "config": config}


def dense(name: str, *inbound: str, units: int = 3, activation: Any = "linear") -> Layer:
    return layer("Dense", name, *inbound, units=units, activation=activation, use_bias=True)


def conv(name: str, before: str, filters: int = 4, activation: str = "relu") -> Layer:
    return layer("Conv2D", name, before, filters=filters, kernel_size=[2, 2], strides=[1, 1], padding="same",
                 activation=activation, use_bias=True)  # fmt: skip


def normalization(name: str, before: str, center: bool = True) -> Layer:
    return layer("BatchNormalization", name, before, epsilon=2.0**-10, scale=True, center=center)


def flatten(before: str, name: str = "flat") -> Layer:
    return layer("Flatten", name, before)


def case(shape: list[int], *layers: Layer, seed: int = 1) -> dict[str, Any]:
    """Return a case of the fuzzer's form, without methods."""
    return {"input": shape, "layers": list(layers), "sequential": False, "exact": False, "seed": seed, "methods": []}


def written(folder: Path, shape: list[int], *layers: Layer, seed: int = 1) -> tuple[ModelSource, Input]:
    """Write a network and return it with an input."""
    return write(case(shape, *layers, seed=seed), folder / f"net_{len(list(folder.iterdir()))}.h5")


def written_row(name: str, folder: Path) -> tuple[ModelSource, Input]:
    """Write one of the networks that are judged layer by layer, and return it with an input."""
    row, rng = ROWS[name], np.random.default_rng(3)
    path = folder / f"{name}.h5"
    write_network(row.network(rng), path)
    x = rng.normal(size=row.shape).astype(np.float32)
    x = x if row.sample is None else row.sample(x)
    source = ModelSource(name, path, None, file_sha256(path), "none", "", "a network around one layer")
    return source, Input("x", x, array_sha256(x), None, None)


def described(folder: Path, shape: list[int], *layers: Layer) -> ModelDescription:
    """Return what the converter says of a network."""
    return keras.load(written(folder, shape, *layers)[0].path).description


def plan(source: ModelSource, x: Input, *methods: str, dtypes: tuple[str, ...] = ("float64", "float32")) -> Plan:
    """Return a plan of methods in the lanes named."""
    lanes = [frozenset(methods if lane in dtypes else ()) for lane in ("float64", "float32")]
    return Plan(source, (x,), methods, *lanes)
