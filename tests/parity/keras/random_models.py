"""Random Keras architectures: odd sizes, strides, paddings, branches."""

from __future__ import annotations

from typing import Any

import numpy as np


def random_model(keras: Any, seed: int) -> Any:
    """Draw an image or series model of one to eight layers before the classifier."""
    rng = np.random.default_rng([seed, 7])
    if rng.random() < 0.3:
        x = keras.Input((int(rng.integers(15, 30)), int(rng.integers(1, 4))))
        draw = _series_layer
    else:
        x = keras.Input((int(rng.integers(7, 16)), int(rng.integers(7, 16)), int(rng.integers(1, 4))))
        draw = _image_layer
    y = x
    for _ in range(rng.integers(1, 8)):
        y = draw(keras.layers, rng, y)
    y = keras.layers.Dropout(0.2)(keras.layers.Flatten()(y))
    if rng.random() < 0.5:
        y = keras.layers.Dense(6, activation="relu")(y)
    return keras.Model(x, keras.layers.Dense(4, activation="softmax")(y))


def _image_layer(L: Any, rng: np.random.Generator, y: Any) -> Any:
    padding = "valid" if min(y.shape[1:3]) > 4 and rng.random() < 0.5 else "same"
    size = tuple(int(n) for n in rng.integers(1, 5, 2))
    stride = int(rng.integers(1, 3))
    activation = str(rng.choice(["relu", "linear", "tanh", "elu"]))
    filters = int(rng.integers(2, 5))
    kinds = ["conv", "dilated", "depthwise", "separable", "max", "average", "norm", "add", "join", "pad"]
    match str(rng.choice(kinds)):
        case "conv":
            return L.Conv2D(filters, size, stride, padding, activation=activation)(y)
        case "dilated":
            return L.Conv2D(filters, size, padding="same", dilation_rate=2, activation=activation)(y)
        case "depthwise":
            return L.DepthwiseConv2D(size, stride, padding, activation=activation)(y)
        case "separable":
            return L.SeparableConv2D(filters, size, stride, padding, activation=activation)(y)
        case "max":
            return L.MaxPooling2D(size, stride, padding)(y)
        case "average":
            return L.AveragePooling2D(size, stride, padding)(y)
        case "norm":
            return L.BatchNormalization(epsilon=float(rng.uniform(1e-4, 1e-1)))(y)
        case "add":
            return L.Add()([y, L.Conv2D(y.shape[-1], size, padding="same", activation=activation)(y)])
        case "join":
            return L.Concatenate()([L.Conv2D(filters, size, padding="same")(y), y])
        case _:
            return L.ZeroPadding2D(((0, 2), (1, 0)))(y)


def _series_layer(L: Any, rng: np.random.Generator, y: Any) -> Any:
    padding = "valid" if y.shape[1] > 5 and rng.random() < 0.5 else "same"
    size, stride, filters = (int(n) for n in (rng.integers(1, 5), rng.integers(1, 3), rng.integers(2, 5)))
    match str(rng.choice(["conv", "causal", "separable", "max", "average", "norm"])):
        case "conv":
            return L.Conv1D(filters, size, stride, padding, activation="relu")(y)
        case "causal":
            return L.Conv1D(filters, size, 1, "causal", dilation_rate=2)(y)
        case "separable":
            return L.SeparableConv1D(filters, size, stride, padding)(y)
        case "max":
            return L.MaxPooling1D(size, stride, padding)(y)
        case "average":
            return L.AveragePooling1D(size, stride, padding)(y)
        case _:
            return L.BatchNormalization()(y)
