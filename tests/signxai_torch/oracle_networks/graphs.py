"""Several inputs, layers that are called twice, outputs per position."""

from __future__ import annotations

from dataclasses import replace

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, layer, network
from tests.parity.judged.sequences import recurrent
from tests.signxai_torch.oracle_networks.registry import GRADIENTS, NO_BRANCHES, Rng, case, end, read


@case((4,), (4, 3), (4, 3), **NO_BRANCHES)
def three_inputs_meet(rng: Rng) -> Network:
    return Network((
        read("x", 4), read("y", 4, 3), read("z", 4, 3),
        dense(rng, "a", 4, 12, "x", activation="relu"),
        layer("Reshape", "r", "a", target_shape=[4, 3]),
        conv(rng, "b", (1,), 3, 3, "y", activation="relu"),
        layer("Multiply", "m", "r", "b"),
        layer("Add", "s", "m", "z"),
        conv(rng, "c", (2,), 3, 4, "s", activation="relu"),
        layer("Flatten", "f", "c"),
        dense(rng, "out", 12, 3, "f"),
    ))  # fmt: skip


def _again(one: NetworkLayer, name: str, inbound: str) -> NetworkLayer:
    """Return another call of a layer."""
    return replace(one, name=name, inbound=(inbound,))


@case((5, 4, 2), (5, 4, 2), twice={"c_again": "c"}, **NO_BRANCHES)
def siamese(rng: Rng) -> Network:
    eye = conv(rng, "c", (2, 2), 2, 3, "x", activation="relu")
    return Network((
        read("x", 5, 4, 2), read("y", 5, 4, 2), eye, _again(eye, "c_again", "y"),
        layer("Subtract", "s", "c", "c_again"),
        layer("Flatten", "f", "s"),
        dense(rng, "d", 36, 5, "f", activation="relu"),
        dense(rng, "out", 5, 3, "d"),
    ))  # fmt: skip


@case((6,), twice={"d_again": "d"})
def called_on_its_own_result(rng: Rng) -> Network:
    one = dense(rng, "d", 6, 6, "x", activation="relu")
    return network((6,), one, _again(one, "d_again", "d"), dense(rng, "out", 6, 3, "d_again"))


@case((5, 4, 2), twice={"c_again": "c"}, **NO_BRANCHES)
def called_twice_on_one_tensor(rng: Rng) -> Network:
    """What reads one tensor twice gives it the relevance of both calls."""
    first = conv(rng, "a", (2, 2), 2, 3, activation="relu")
    shared = conv(rng, "c", (1, 1), 3, 3, "a", activation="relu")
    return network((5, 4, 2), first, shared, _again(shared, "c_again", "a"),
                   layer("Add", "s", "c", "c_again", "a"), *end(rng, 36))  # fmt: skip


POSITIONS = ((0, 1), (3, 2), (2, 0))


@case((5, 3), targets=POSITIONS)
def an_output_per_position(rng: Rng) -> Network:
    return network((5, 3), conv(rng, "c", (2,), 3, 4, activation="relu"), dense(rng, "out", 4, 3))


@case((4, 4, 2), targets=((0, 1, 1), (2, 0, 2), (1, 1, 0)))
def an_output_per_pixel(rng: Rng) -> Network:
    return network((4, 4, 2), conv(rng, "c", (2, 2), 2, 4, activation="relu"), conv(rng, "out", (1, 1), 4, 3))


@case((5, 3), targets=POSITIONS, only=GRADIENTS)
def an_output_per_step(rng: Rng) -> Network:
    return network((5, 3), recurrent(rng, "LSTM", "r", 3, 4, 4, return_sequences=True), dense(rng, "out", 4, 3))
