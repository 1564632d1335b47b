"""Activations as layers of their own, and layers that do nothing at inference."""

from __future__ import annotations

import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, layer, network, row


def _bent(rng: np.random.Generator, *between: NetworkLayer) -> Network:
    return network(
        (6, 4),
        conv(rng, "c", (2,), 4, 5),
        *between,
        layer("Flatten", "f"),
        dense(rng, "h", 25, 6, activation="relu"),
        dense(rng, "out", 6, 3),
    )


BENT = {"lrp.*": "reference-defect", "deep_taylor": "unsupported"}


@row((6, 4), BENT)
def bent_by_elu(rng: np.random.Generator) -> Network:
    return _bent(rng, layer("ELU", "bent", alpha=0.7))


@row((6, 4), BENT)
def bent_by_leaky_relu(rng: np.random.Generator) -> Network:
    return _bent(rng, layer("LeakyReLU", "bent", alpha=0.2))


@row((6, 4), BENT)
def bent_by_thresholded_relu(rng: np.random.Generator) -> Network:
    return _bent(rng, layer("ThresholdedReLU", "bent", theta=0.3))


@row((6, 4), BENT)
def bent_by_prelu(rng: np.random.Generator) -> Network:
    """Return a network with a slope for each unit, some of them negative."""
    slopes = {"alpha": (0.5 * rng.normal(size=(5, 5))).astype(np.float32)}
    return _bent(rng, layer("PReLU", "bent", weights=slopes))


@row((6, 4), BENT)
def bent_by_prelu_of_channels(rng: np.random.Generator) -> Network:
    slopes = {"alpha": rng.uniform(0, 0.5, (1, 5)).astype(np.float32)}
    return _bent(rng, layer("PReLU", "bent", weights=slopes, shared_axes=[1]))


NOTHING = {
    "Dropout": {"rate": 0.3}, "GaussianNoise": {"stddev": 0.3}, "GaussianDropout": {"rate": 0.3},
    "AlphaDropout": {"rate": 0.3}, "SpatialDropout1D": {"rate": 0.3}, "ActivityRegularization": {"l2": 0.1},
    "Identity": {},
}  # fmt: skip
"""What does nothing at inference, and its settings."""


@row((6, 4))
def nothing_at_inference(rng: np.random.Generator) -> Network:
    return _bent(rng, *(layer(name, f"nothing_{i}", **settings) for i, (name, settings) in enumerate(NOTHING.items())))


@row((6, 4), BENT)
def functions_without_a_layer(rng: np.random.Generator) -> Network:
    """Return a network with bare operations that Keras keeps as layers of their own."""
    return network(
        (6, 4),
        conv(rng, "c", (2,), 4, 5, activation="softplus"),
        layer("TFOpLambda", "log", function="math.log"),
        conv(rng, "d", (1,), 5, 4, activation="softplus"),
        layer("TFOpLambda", "sqrt", function="math.sqrt"),
        layer("Flatten", "f"),
        dense(rng, "out", 20, 3),
    )


@row((6, 4), {"lrp.*": "reference-defect", "deep_taylor": "unjudged"})
def functions_with_constants_in_their_derivative(rng: np.random.Generator) -> Network:
    """Return a network for which iNNvestigate raises."""
    return network(
        (6, 4),
        conv(rng, "c", (2,), 4, 5, activation="softplus"),
        layer("TFOpLambda", "log1p", function="math.log1p"),
        conv(rng, "d", (1,), 5, 4),
        layer("TFOpLambda", "atan", function="math.atan"),
        layer("Flatten", "f"),
        dense(rng, "out", 20, 3),
    )
