"""Makes Keras models of one layer and a head; run by the reference interpreter: make_layers.py FOLDER."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers as L

LAYERS = {
    "dense": ((6,), []),
    "dense_relu": ((6,), [L.Dense(5, activation="relu")]),
    "dense_behind_flatten": ((3, 2, 2), []),
    "conv1d_causal": ((7, 2), [L.Conv1D(3, 3, padding="causal", dilation_rate=2, activation="relu")]),
    "conv2d_same_uneven": ((5, 6, 2), [L.Conv2D(3, (2, 3), strides=2, padding="same", activation="relu")]),
    "conv2d_dilation_no_bias": ((6, 5, 2), [L.Conv2D(3, 2, dilation_rate=(2, 1), use_bias=False, activation="relu")]),
    "conv2d_groups": ((4, 5, 4), [L.Conv2D(4, 3, groups=2, activation="relu")]),
    "separable2d": ((5, 4, 2), [L.SeparableConv2D(3, 2, padding="same", activation="relu")]),
    "average_pool": ((5, 4, 2), [L.Conv2D(3, 2, activation="relu"), L.AveragePooling2D(2, padding="same")]),
    "max_pool": ((6, 5, 2), [L.Conv2D(3, 2, activation="relu"), L.MaxPooling2D(3, strides=2, padding="same")]),
    "global_average": ((5, 4, 2), [L.Conv2D(3, 2, activation="relu"), L.GlobalAveragePooling2D()]),
    "global_max": ((5, 4, 2), [L.Conv2D(3, 2, activation="relu"), L.GlobalMaxPooling2D()]),
}


def build(shape, layers):
    x = inputs = L.Input(shape)
    for layer in layers:
        x = layer(x)
    x = L.Flatten()(x) if len(x.shape) > 2 else x
    return tf.keras.Model(inputs, L.Dense(4, name="head")(x))


if __name__ == "__main__":
    for seed, (name, (shape, layers)) in enumerate(LAYERS.items()):
        model = build(shape, layers)
        random = np.random.RandomState(seed)
        # Multiples of 1/64, so that float32 files hold them exactly.
        model.set_weights([np.round(random.normal(0, 0.5, one.shape) * 64) / 64 for one in model.get_weights()])
        model.save(Path(sys.argv[1]) / f"{name}.h5")
