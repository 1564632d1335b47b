"""Layers that work on space, judged."""

from __future__ import annotations

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import conv, dense, layer, network, row

Rng = np.random.Generator


@row((5, 6, 5, 2))
def conv3d_max_pooling3d(rng: Rng) -> Network:
    return network(
        (5, 6, 5, 2),
        conv(rng, "c", (2, 3, 2), 2, 4, activation="relu"),
        layer("MaxPooling3D", "p", pool_size=[2, 2, 2]),
        layer("Flatten", "f"),
        dense(rng, "d", 32, 4, activation="relu"),
        dense(rng, "out", 4, 3),
    )


@row((5, 5, 4, 2))
def conv3d_average_pooling3d(rng: Rng) -> Network:
    return network(
        (5, 5, 4, 2),
        layer("ZeroPadding3D", "z", padding=[[1, 0], [0, 1], [1, 1]]),
        conv(rng, "c", (2, 2, 3), 2, 3, padding="same", strides=[1, 2, 1], activation="relu"),
        layer("SpatialDropout3D", "s", rate=0.2),
        layer("AveragePooling3D", "p", pool_size=[2, 2, 2], padding="same"),
        layer("Cropping3D", "k", cropping=[[1, 0], [0, 0], [0, 1]]),
        layer("Flatten", "f"),
        dense(rng, "d", 24, 4, activation="relu"),
        dense(rng, "out", 4, 3),
    )


@row((4, 4, 3, 2))
def conv3d_global_average_pooling3d(rng: Rng) -> Network:
    return network(
        (4, 4, 3, 2),
        conv(rng, "c", (2, 2, 2), 2, 4, activation="relu"),
        layer("GlobalAveragePooling3D", "g"),
        dense(rng, "out", 4, 3),
    )


@row((4, 4, 3, 2))
def conv3d_global_max_pooling3d(rng: Rng) -> Network:
    return network(
        (4, 4, 3, 2),
        conv(rng, "c", (2, 2, 2), 2, 4, activation="relu"),
        layer("GlobalMaxPooling3D", "g"),
        dense(rng, "out", 4, 3),
    )


# iNNvestigate's own names are held to SIGN-XAI there; deep Taylor is iNNvestigate's alone, which cannot run it.
@row((4, 4, 3, 2), {"lrp.alpha_2_beta_1": "reference-defect", "deep_taylor": "unjudged"})
def conv3d_batch_normalization(rng: Rng) -> Network:
    sizes = {"gamma": 1 + 0.2 * rng.normal(size=4), "beta": 0.3 * rng.normal(size=4)}
    sizes |= {"moving_mean": 0.3 * rng.normal(size=4), "moving_variance": rng.uniform(0.4, 2, 4)}
    return network(
        (4, 4, 3, 2),
        conv(rng, "c", (2, 2, 2), 2, 4),
        layer("BatchNormalization", "b", weights={k: v.astype(np.float32) for k, v in sizes.items()}, axis=[4]),
        layer("Activation", "a", activation="relu"),
        layer("Flatten", "f"),
        dense(rng, "out", 72, 3),
    )
