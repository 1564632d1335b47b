"""How layers are put together: several inputs, and one input that two layers read."""

from __future__ import annotations

import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, layer, row

# Neither reference lets a class be chosen there; iNNvestigate explains the network of the one class. Its logit is
# negative here, where deep Taylor is zero on both sides.
SEVERAL_INPUTS = {
    "lrpsign_*": "unjudged", "deep_taylor": "unjudged", "*": "reference-defect",
}  # fmt: skip


@row((23,), SEVERAL_INPUTS)
def two_inputs(rng: np.random.Generator) -> Network:
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 5, 4]}, ()),
        NetworkLayer("features", "InputLayer", {"batch_input_shape": [None, 3]}, ()),
        conv(rng, "c", (2,), 4, 3, "x", activation="relu"),
        layer("Flatten", "f", "c"),
        dense(rng, "d", 3, 4, "features", activation="relu"),
        layer("Concatenate", "j", "f", "d", axis=-1),
        dense(rng, "out", 16, 3, "j"),
    ))  # fmt: skip
