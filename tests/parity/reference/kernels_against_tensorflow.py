"""How far the functions that the worker adds are from TensorFlow's own, in float32. Runs in the reference interpreter.

Prints one line per case: its name, and the largest difference of the values and of the gradients, over the largest.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

from parity.reference.worker import missing_kernels

SIZES = {"even": ((2, 2, 2), (2, 2, 2)), "uneven": ((3, 2, 1), (1, 2, 2)), "overlapping": ((2, 3, 3), (3, 1, 2))}


def with_gradient(function: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    point = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(point)
        values = function(point)
        weights = tf.reshape(tf.range(tf.size(values)), values.shape)
        total = tf.reduce_sum(values * tf.cast(weights, values.dtype))
    return values.numpy(), tape.gradient(total, point).numpy()


def compare(name: str, native: Any, ours: Any, x: np.ndarray) -> None:
    pairs = zip(with_gradient(native, x), with_gradient(ours, x.astype(np.float64)), strict=True)
    distances = [float(np.abs(one - other).max() / np.abs(one).max()) for one, other in pairs]
    sys.stdout.write(" ".join([name.replace(" ", "_"), *map(repr, distances)]) + "\n")


def main() -> None:
    rng = np.random.default_rng(0)
    volumes = np.round(rng.normal(size=(2, 5, 6, 4, 2))).astype(np.float32)  # many maxima are equal
    for padding in ("SAME", "VALID"):
        for size, (window, stride) in SIZES.items():
            settings = {"ksize": (1, *window, 1), "strides": (1, *stride, 1), "padding": padding}
            for native, ours in missing_kernels.POOLINGS.items():

                def call(x: Any, function: Any = native, settings: Any = settings) -> Any:
                    return function(x, **settings)

                def call_ours(x: Any, function: Any = ours, settings: Any = settings) -> Any:
                    return function(x, **settings)

                compare(f"{native.__name__} {padding} {size}", call, call_ours, volumes)
    images = rng.normal(size=(2, 4, 3, 2)).astype(np.float32)
    for factors in ((2, 2), (4, 1), (3, 5)):
        size = (4 * factors[0], 3 * factors[1])
        native = lambda x, size=size: tf.image.resize(x, size)  # noqa: E731
        ours = lambda x, factors=factors: missing_kernels.resize_bilinear(x, factors)  # noqa: E731
        compare(f"bilinear {factors[0]} {factors[1]}", native, ours, images)
    # Channels first has kernels in float32; those of pooling are right within a graph only.
    first = {"data_format": "channels_first"}
    moved = rng.normal(size=(2, 3, 7, 6)).astype(np.float32)
    for layer in (
        tf.keras.layers.Conv2D(4, 3, strides=2, padding="same", **first),
        tf.keras.layers.SeparableConv2D(4, 3, **first),
        tf.keras.layers.AveragePooling2D(2, padding="same", **first),
    ):
        layer.build(moved.shape)
        call = missing_kernels.with_channels_last(type(layer).call)
        native_call = type(layer).call

        def ours_first(x: Any, layer: Any = layer, call: Any = call) -> Any:
            return call(layer, tf.cast(x, tf.float32))

        def native_first(x: Any, layer: Any = layer, native_call: Any = native_call) -> Any:
            return native_call(layer, x)

        compare(f"{type(layer).__name__} channels first", tf.function(native_first), ours_first, moved)


if __name__ == "__main__":
    main()
