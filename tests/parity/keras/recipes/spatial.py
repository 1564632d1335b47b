"""Three spatial axes, transposed and unshared kernels, upsampling, open lengths, and what else works on space."""

from __future__ import annotations

from typing import Any

from tests.parity.keras.recipes.classic import sequential
from tests.parity.keras.recipes.registry import recipe


@recipe
def volumes(keras: Any) -> Any:
    L = keras.layers
    return sequential(
        keras,
        (7, 8, 6, 2),
        L.ZeroPadding3D(((1, 0), (0, 2), (1, 1))),
        L.Conv3D(4, (2, 3, 2), strides=(1, 2, 1), padding="same", activation="relu"),
        L.BatchNormalization(),
        L.SpatialDropout3D(0.3),
        L.MaxPooling3D((2, 3, 2), strides=(2, 1, 2), padding="same"),
        L.Cropping3D(((0, 1), (1, 0), (0, 1))),
        L.Conv3D(4, 2, dilation_rate=(1, 2, 1), groups=2, use_bias=False),
        L.AveragePooling3D((1, 2, 2), padding="same"),
        L.Dense(3, activation="tanh"),
    )


@recipe
def volumes_averaged(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv3D(3, 2), L.AveragePooling3D(2), L.GlobalAveragePooling3D(), L.Dense(3)]
    return keras.Sequential([L.InputLayer((5, 6, 5, 2)), *layers])


@recipe
def volumes_maximum(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv3D(3, 3, padding="same"), L.MaxPooling3D(), L.GlobalMaxPooling3D(keepdims=True), L.Flatten()]
    return keras.Sequential([L.InputLayer((5, 6, 5, 2)), *layers, L.Dense(3)])


@recipe
def volumes_average_kept(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv3D(3, 2), L.BatchNormalization(axis=[1, 2]), L.GlobalAveragePooling3D(keepdims=True), L.Flatten()]
    return keras.Sequential([L.InputLayer((3, 4, 3, 2)), *layers, L.Dense(3)])
