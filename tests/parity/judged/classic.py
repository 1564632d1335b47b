"""A plain network, to see that the rows themselves are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import conv, dense, kernel, layer, network, row


@row((6, 5, 2))
def plain(rng: np.random.Generator) -> Network:
    return network(
        (6, 5, 2),
        conv(rng, "c", (3, 2), 2, 3, activation="relu"),
        layer("Flatten", "f"),
        dense(rng, "d", 48, 4, activation="relu"),
        dense(rng, "out", 4, 3),
    )


@row((6, 5, 2), {"deep_taylor": "unsupported"})
def saturated(rng: np.random.Generator) -> Network:
    """Return a network whose output is 1 - 4e-8, so that its last digit is 3e-9 of every gradient."""
    weights = kernel(rng, 48, 1)
    weights = {"kernel": weights["kernel"] * 0.1, "bias": np.array([17.0], np.float32)}
    return network(
        (6, 5, 2),
        conv(rng, "c", (3, 2), 2, 3, activation="relu"),
        layer("Flatten", "f"),
        layer("Dense", "out", weights=weights, units=1, activation="sigmoid"),
    )


# The relevance of an average reaches values that the ReLU made zero, where its derivative would stop it: deep Taylor
# takes no derivative there, for an activation is a part of the layer whose setting it is.
@row((5, 4))
def dense_at_every_step(rng: np.random.Generator) -> Network:
    out = dense(rng, "out", 6, 3)
    return network(
        (5, 4),
        dense(rng, "d", 4, 6, activation="relu"),
        layer("GlobalAveragePooling1D", "g"),
        replace(out, weights={name: abs(values) for name, values in out.weights.items()}),
    )


@row((6, 5, 2), {"deep_taylor": "unsupported", "guided_backprop": "parity"})
def saturated_inside(rng: np.random.Generator) -> Network:
    """Return a network with a tanh at 1 - 5e-7, so that its last digit is 2e-10 of every gradient."""
    weights = kernel(rng, 3, 2, 2, 3)
    weights = {"kernel": weights["kernel"] * 0.01, "bias": np.array([7.5, 7.6, 7.7], np.float32)}
    return network(
        (6, 5, 2),
        layer("Conv2D", "c", weights=weights, filters=3, kernel_size=[3, 2], activation="tanh"),
        layer("Flatten", "f"),
        dense(rng, "out", 48, 3),
    )


def _behind_a_relu(rng: np.random.Generator, **settings: float) -> Network:
    return network(
        (5, 4),
        conv(rng, "c", (2,), 4, 5, padding="same"),
        layer("ReLU", "r", **{"negative_slope": 0.0, "threshold": 0.0, "max_value": None, **settings}),
        layer("Flatten", "f"),
        dense(rng, "out", 25, 3),
    )


BENT = {"lrp.alpha_2_beta_1": "reference-defect", "deep_taylor": "unsupported"}


@row((5, 4), BENT)
def relu_with_a_slope(rng: np.random.Generator) -> Network:
    return _behind_a_relu(rng, negative_slope=0.1)


@row((5, 4), BENT)
def relu_with_a_bound(rng: np.random.Generator) -> Network:
    return _behind_a_relu(rng, max_value=0.5)


@row((5, 4), {"deep_taylor": "unsupported"})
def relu_with_a_threshold(rng: np.random.Generator) -> Network:
    return _behind_a_relu(rng, threshold=0.2)
