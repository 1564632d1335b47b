"""Texts, masks, and recurrent layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import conv, dense, kernel, layer, network
from tests.parity.judged.sequences import TOKENS, both_ways, embedding, recurrent
from tests.signxai_torch.oracle_networks.registry import GRADIENTS, NO_TOKEN_GRADIENT, Rng, case, end, read


def ends_of_text(x: np.ndarray) -> np.ndarray:
    """Return tokens, the last two of each text being padding."""
    tokens = np.floor(np.abs(x) * 7) % (TOKENS - 1) + 1
    tokens[..., -2:] = 0
    return tokens


def pauses(x: np.ndarray) -> np.ndarray:
    """Return a series in which the second and the last two steps are padding."""
    x = np.array(x)
    x[..., [1, -2, -1], :] = 0
    return x


@case((8,), (8,), sample=ends_of_text, without=NO_TOKEN_GRADIENT)
def two_texts(rng: Rng) -> Network:
    return Network((
        read("x", 8), read("y", 8),
        replace(embedding(rng, "e", 3), inbound=("x",)), replace(embedding(rng, "g", 4), inbound=("y",)),
        conv(rng, "c", (3,), 3, 4, "e", activation="relu"),
        layer("GlobalMaxPooling1D", "p", "c"),
        layer("Flatten", "f", "g"),
        layer("Concatenate", "j", "p", "f", axis=-1),
        dense(rng, "d", 36, 5, "j", activation="relu"),
        dense(rng, "out", 5, 3, "d"),
    ))  # fmt: skip


@case((7, 3), sample=pauses, only=GRADIENTS)
def masked_recurrences(rng: Rng) -> Network:
    return network(
        (7, 3),
        layer("Masking", "m", mask_value=0.0),
        recurrent(rng, "GRU", "g", 3, 4, 3, reset_after=True, return_sequences=True),
        both_ways(rng, "b", 4, 3, "sum", return_sequences=True),
        recurrent(rng, "SimpleRNN", "s", 3, 4, 1, go_backwards=True),
        dense(rng, "out", 4, 3),
    )


@case((7, 3), sample=pauses, only=GRADIENTS)
def masked_sequence_averaged(rng: Rng) -> Network:
    return network(
        (7, 3),
        layer("Masking", "m", mask_value=0.0),
        recurrent(rng, "LSTM", "l", 3, 4, 4, return_sequences=True),
        layer("GlobalAveragePooling1D", "g"),
        dense(rng, "out", 4, 3),
    )


@case((6, 3), only=GRADIENTS)
def both_ways_averaged(rng: Rng) -> Network:
    return network((6, 3), both_ways(rng, "b", 3, 4, "ave"), dense(rng, "out", 4, 3))


@case((4, 6, 2), only=GRADIENTS)
def conv_lstm1d(rng: Rng) -> Network:
    weights = {**kernel(rng, 3, 2, 12), **kernel(rng, 3, 3, 12, bias=False, name="recurrent_kernel")}
    made = layer("ConvLSTM1D", "r", weights={name: weights[name] for name in ("kernel", "recurrent_kernel", "bias")},
                 filters=3, kernel_size=[3], strides=[2], activation="tanh", recurrent_activation="sigmoid",
                 return_sequences=True)  # fmt: skip
    return network((4, 6, 2), made, *end(rng, 24))
