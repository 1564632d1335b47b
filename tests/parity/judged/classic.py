"""A plain network, to see that the rows themselves are right."""

from __future__ import annotations

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
