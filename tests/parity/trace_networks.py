"""Three networks of more than ten layers each, on which single layers are broken: a VGG, a residual net, a series."""

from __future__ import annotations

from pathlib import Path

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from tests.parity.small_networks import Layer, dense, flatten, layer, normalization, written


def conv(name: str, before: str, filters: int, size: int = 3, activation: str = "relu", axes: int = 2) -> Layer:
    return layer(f"Conv{axes}D", name, before, filters=filters, kernel_size=[size] * axes, strides=[1] * axes,
                 padding="same", activation=activation, use_bias=True)  # fmt: skip


def pool(name: str, before: str, axes: int = 2) -> Layer:
    return layer(f"MaxPooling{axes}D", name, before, pool_size=[2] * axes, strides=[2] * axes, padding="valid")


def relu(name: str, before: str) -> Layer:
    return layer("Activation", name, before, activation="relu")


def add(name: str, *before: str) -> Layer:
    return layer("Add", name, *before)


VGG = (
    conv("c1", "x", 4), conv("c2", "c1", 4, 2), pool("p1", "c2"), conv("c3", "p1", 5), conv("c4", "c3", 5, 2),
    pool("p2", "c4"), conv("c5", "p2", 6), conv("c6", "c5", 6, 2), conv("c7", "c6", 6, 2),
    layer("AveragePooling2D", "p3", "c7", pool_size=[2, 2], strides=[1, 1], padding="valid"), flatten("p3"),
    dense("d1", "flat", units=8, activation="relu"), dense("d2", "d1", units=6, activation="relu"),
    dense("out", "d2", units=4),
)  # fmt: skip
RESIDUAL = (
    conv("c0", "x", 4, 2), conv("c1", "c0", 4), conv("a1", "c1", 4, 2, "linear"), relu("a1r", "a1"),
    conv("a2", "a1r", 4, 3, "linear"), add("s1", "c1", "a2"),
    relu("s1r", "s1"), conv("b1", "s1r", 5), conv("b2", "b1", 5, 2, "linear"),
    normalization("n", "b2"), conv("b0", "s1r", 5, 2, "linear"), add("s2", "n", "b0"), relu("s2r", "s2"),
    conv("e1", "s2r", 5, 2), conv("e2", "e1", 5, 3, "linear"), add("s3", "s2r", "e2"),
    layer("GlobalAveragePooling2D", "gap", "s3"), dense("d1", "gap", units=6, activation="relu"),
    dense("out", "d1", units=4),
)  # fmt: skip
SERIES = (
    conv("c1", "x", 4, 3, axes=1), conv("c2", "c1", 4, 2, axes=1), pool("p1", "c2", 1), conv("c3", "p1", 5, 3, axes=1),
    conv("c4", "c3", 5, 2, axes=1), pool("p2", "c4", 1), conv("c5", "p2", 5, 2, axes=1), conv("c6", "c5", 5, 3, axes=1),
    conv("c7", "c6", 5, 2, axes=1), flatten("c7"), dense("d1", "flat", units=8, activation="relu"),
    dense("d2", "d1", units=6, activation="relu"), dense("out", "d2", units=4),
)  # fmt: skip

NETWORKS: dict[str, tuple[list[int], tuple[Layer, ...]]] = {
    "vgg": ([12, 12, 2], VGG),
    "residual": ([8, 8, 2], RESIDUAL),
    "series": ([24, 2], SERIES),
}
"""Shape of the input and layers, by name."""


def network(name: str, folder: Path) -> tuple[ModelSource, Input]:
    """Write a network as a Keras file, and return it with an input."""
    shape, layers = NETWORKS[name]
    return written(folder, shape, *layers, seed=12)
