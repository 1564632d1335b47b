"""Layers that work on space, judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, layer, network, row

Rng = np.random.Generator


def logits(rng: Rng, features: int) -> NetworkLayer:
    """Return the last layer; its logits are positive, for deep Taylor gives zeros else."""
    made = dense(rng, "out", features, 3)
    return replace(made, weights={**made.weights, "bias": made.weights["bias"] + np.float32(3)})


def transposed(rng: Rng, name: str, size: tuple[int, ...], channels: int, filters: int, **config: Any) -> NetworkLayer:
    """Return a Conv1DTranspose, Conv2DTranspose or Conv3DTranspose layer, whose kernel has its filters before."""
    weights = {"kernel": rng.normal(size=(*size, filters, channels)) / np.sqrt(np.prod(size) * channels)}
    weights["bias"] = 0.2 * rng.normal(size=filters)
    made = {key: values.astype(np.float32) for key, values in weights.items()}
    settings = {"kernel_size": list(size), "filters": filters, **config}
    return layer(f"Conv{len(size)}DTranspose", name, weights=made, **settings)


def connected(rng: Rng, name: str, stored: tuple[int, ...], output: tuple[int, ...], **config: Any) -> NetworkLayer:
    """Return a LocallyConnected1D or LocallyConnected2D layer, given the shapes of its kernel and of its bias."""
    weights = {"kernel": rng.normal(size=stored) / 2, "bias": 0.2 * rng.normal(size=output)}
    made = {key: values.astype(np.float32) for key, values in weights.items()}
    settings = {"filters": output[-1], **config}
    return layer(f"LocallyConnected{len(output) - 1}D", name, weights=made, **settings)


@row((5, 6, 5, 2))
def conv3d_max_pooling3d(rng: Rng) -> Network:
    return network(
        (5, 6, 5, 2),
        conv(rng, "c", (2, 3, 2), 2, 4, activation="relu"),
        layer("MaxPooling3D", "p", pool_size=[2, 2, 2]),
        layer("Flatten", "f"),
        dense(rng, "d", 32, 4, activation="relu"),
        logits(rng, 4),
    )


@row((5, 5, 4, 2))
def conv3d_average_pooling3d(rng: Rng) -> Network:
    return network(
        (5, 5, 4, 2),
        layer("ZeroPadding3D", "z", padding=[[1, 0], [0, 1], [1, 1]]),
        conv(rng, "c", (2, 2, 3), 2, 3, strides=[1, 2, 1], activation="relu"),
        layer("SpatialDropout3D", "s", rate=0.2),
        layer("AveragePooling3D", "p", pool_size=[2, 2, 2], padding="same"),
        layer("Cropping3D", "k", cropping=[[1, 0], [0, 0], [0, 1]]),
        layer("Flatten", "f"),
        dense(rng, "d", 12, 4, activation="relu"),
        logits(rng, 4),
    )


@row((4, 4, 3, 2))
def conv3d_global_average_pooling3d(rng: Rng) -> Network:
    return network(
        (4, 4, 3, 2),
        conv(rng, "c", (2, 2, 2), 2, 4, activation="relu"),
        layer("GlobalAveragePooling3D", "g"),
        logits(rng, 4),
    )


@row((4, 4, 3, 2))
def conv3d_global_max_pooling3d(rng: Rng) -> Network:
    return network(
        (4, 4, 3, 2),
        conv(rng, "c", (2, 2, 2), 2, 4, activation="relu"),
        layer("GlobalMaxPooling3D", "g"),
        logits(rng, 4),
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
        logits(rng, 72),
    )


@row((5, 2))
def conv1d_transpose(rng: Rng) -> Network:
    return network(
        (5, 2),
        conv(rng, "c", (2,), 2, 3, activation="relu"),
        transposed(rng, "t", (3,), 3, 2, strides=2, padding="same", activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 16),
    )


@row((4, 3, 2))
def conv2d_transpose(rng: Rng) -> Network:
    return network(
        (4, 3, 2),
        transposed(rng, "t", (2, 3), 2, 3, strides=[2, 1], activation="relu"),
        transposed(rng, "u", (3, 3), 3, 2, strides=2, padding="same", activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 320),
    )


@row((3, 3, 2, 2))
def conv3d_transpose(rng: Rng) -> Network:
    return network(
        (3, 3, 2, 2),
        conv(rng, "c", (2, 2, 1), 2, 3, activation="relu"),
        transposed(rng, "t", (2, 3, 2), 3, 2, strides=2, padding="same", activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 128),
    )


@row((5, 2))
def up_sampling1d(rng: Rng) -> Network:
    return network(
        (5, 2),
        conv(rng, "c", (2,), 2, 3, activation="relu"),
        layer("UpSampling1D", "u", size=3),
        conv(rng, "d", (3,), 3, 2, activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 20),
    )


@row((4, 3, 2))
def up_sampling2d(rng: Rng) -> Network:
    return network(
        (4, 3, 2),
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        layer("UpSampling2D", "u", size=[2, 3]),
        conv(rng, "d", (2, 2), 3, 2, activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 50),
    )


@row((4, 3, 2))
def up_sampling2d_bilinear(rng: Rng) -> Network:
    return network(
        (4, 3, 2),
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        layer("UpSampling2D", "u", size=[2, 3], interpolation="bilinear"),
        conv(rng, "d", (2, 2), 3, 2, activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 50),
    )


@row((3, 3, 2, 2))
def up_sampling3d(rng: Rng) -> Network:
    return network(
        (3, 3, 2, 2),
        conv(rng, "c", (2, 2, 1), 2, 3, activation="relu"),
        layer("UpSampling3D", "u", size=[2, 1, 2]),
        conv(rng, "d", (2, 2, 2), 3, 2, activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 18),
    )


@row((4, 3, 2))
def repeat_vector(rng: Rng) -> Network:
    return network(
        (4, 3, 2),
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        layer("Flatten", "f"),
        layer("RepeatVector", "r", n=4),
        conv(rng, "d", (2,), 18, 2, activation="relu"),
        layer("Flatten", "g"),
        logits(rng, 6),
    )


# The composites have a rule for dense layers and one for convolutions: to neither reference it is one of them.
@row((6, 2), {"lrp_sequential_composite_a": "unsupported"})
def locally_connected1d(rng: Rng) -> Network:
    return network(
        (6, 2),
        connected(rng, "c", (2, 6, 3), (2, 3), kernel_size=[3], strides=[2], implementation=1, activation="relu"),
        connected(rng, "d", (2, 3, 1, 2), (1, 2), kernel_size=[2], implementation=2, activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 2),
    )


@row((4, 3, 2), {"lrp_sequential_composite_a": "unsupported"})
def locally_connected2d(rng: Rng) -> Network:
    return network(
        (4, 3, 2),
        connected(rng, "c", (6, 8, 3), (3, 2, 3), kernel_size=[2, 2], implementation=1, activation="relu"),
        connected(rng, "d", (3, 2, 3, 2, 2, 2), (2, 2, 2), kernel_size=[2, 1], implementation=2, activation="relu"),
        connected(rng, "e", (2 * 2 * 2 * 2,), (2, 1, 2), kernel_size=[1, 2], implementation=3, activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 4),
    )


# iNNvestigate's own names are held to SIGN-XAI, which hands relevance through what keeps the shape.
@row((6, 2), {"lrp.alpha_2_beta_1": "reference-defect"})
def masking(rng: Rng) -> Network:
    first = conv(rng, "c", (1,), 2, 2)
    # What the padding becomes is what is masked, so that the mask changes numbers.
    first = replace(first, weights={**first.weights, "bias": np.full(2, 0.25, np.float32)})
    return network(
        (6, 2),
        layer("ZeroPadding1D", "z", padding=[1, 1]),
        first,
        layer("Masking", "m", mask_value=0.25),
        conv(rng, "d", (2,), 2, 3, activation="relu"),
        layer("Flatten", "f"),
        logits(rng, 21),
    )


@row((9, 2), {"lrp.alpha_2_beta_1": "reference-defect"})
def open_length(rng: Rng) -> Network:
    return network(
        (None, 2),
        conv(rng, "c", (4,), 2, 3, strides=[3], padding="same", activation="relu"),
        layer("AveragePooling1D", "a", pool_size=[2], padding="same"),
        layer("MaxPooling1D", "m", pool_size=[2], strides=[1], padding="same"),
        layer("GlobalAveragePooling1D", "g"),
        logits(rng, 3),
    )


@row((2, 6, 6))
def channels_first(rng: Rng) -> Network:
    first = {"data_format": "channels_first"}
    return network(
        (2, 6, 6),
        layer("ZeroPadding2D", "z", padding=[[1, 0], [0, 1]], **first),
        conv(rng, "c", (3, 2), 2, 3, activation="relu", **first),
        layer("MaxPooling2D", "p", pool_size=[2, 2], **first),
        transposed(rng, "t", (2, 2), 3, 2, strides=[2, 1], padding="same", activation="relu", **first),
        layer("AveragePooling2D", "a", pool_size=[2, 2], strides=[1, 1], **first),
        layer("Flatten", "f"),
        logits(rng, 12),
    )


@row((2, 3, 4, 3))
def channels_first_volumes(rng: Rng) -> Network:
    first = {"data_format": "channels_first"}
    return network(
        (2, 3, 4, 3),
        conv(rng, "c", (2, 2, 2), 2, 3, activation="relu", **first),
        layer("UpSampling3D", "u", size=[2, 1, 1], **first),
        layer("MaxPooling3D", "p", pool_size=[2, 2, 2], **first),
        layer("Flatten", "f", **first),
        logits(rng, 6),
    )


@row((2, 7))
def channels_first_series(rng: Rng) -> Network:
    first = {"data_format": "channels_first"}
    return network(
        (2, 7),
        conv(rng, "c", (3,), 2, 3, activation="relu", **first),
        layer("AveragePooling1D", "a", pool_size=[2], padding="same", **first),
        conv(rng, "d", (2,), 3, 4, activation="relu", **first),
        layer("GlobalAveragePooling1D", "g", **first),
        logits(rng, 4),
    )


# iNNvestigate's names are held to iNNvestigate, which takes derivatives there; SIGN-XAI's are asked with the size told.
OPEN = dict.fromkeys(("lrp_*", "lrpsign_*", "flatlrp*"), "reference-defect")


@row((6, 3), OPEN)
def padded_of_open_length(rng: np.random.Generator) -> Network:
    return network(
        (None, 3),
        layer("ZeroPadding1D", "p", padding=[2, 1]),
        conv(rng, "c", (2,), 3, 4, activation="relu"),
        layer("GlobalAveragePooling1D", "g"),
        dense(rng, "out", 4, 3),
    )
