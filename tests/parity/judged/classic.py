"""A plain network, to see that the rows themselves are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import conv, dense, layer, network, row


@row((6, 5, 2))
def plain(rng: np.random.Generator) -> Network:
    return network(
        (6, 5, 2),
        conv(rng, "c", (3, 2), 2, 3, activation="relu"),
        layer("Flatten", "f"),
        dense(rng, "d", 48, 4, activation="relu"),
        dense(rng, "out", 4, 3),
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
