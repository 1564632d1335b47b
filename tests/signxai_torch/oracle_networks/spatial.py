"""Windows of forms that the judged networks lack, and maxima that are equal."""

from __future__ import annotations

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import conv, dense, layer, network
from tests.parity.judged.spatial import connected, transposed
from tests.signxai_torch.oracle_networks.registry import Rng, case, end


def ties(x: np.ndarray) -> np.ndarray:
    """Return so few whole numbers that most windows have several maxima, and few of them are zero."""
    return np.round(x).clip(-1, 1) + 2.0


@case((4, 5, 4, 2))
def conv3d_same_stride_dilation(rng: Rng) -> Network:
    return network(
        (4, 5, 4, 2),
        conv(rng, "c", (2, 3, 2), 2, 3, strides=[1, 2, 3], padding="same", activation="relu"),
        conv(rng, "e", (2, 2, 1), 3, 2, dilation_rate=[2, 1, 1], activation="relu"),
        *end(rng, 16),
    )


@case((9, 2))
def conv1d_causal_dilation(rng: Rng) -> Network:
    return network(
        (9, 2),
        conv(rng, "c", (3,), 2, 3, padding="causal", dilation_rate=[2], activation="relu"),
        layer("Dropout", "o", rate=0.3),
        layer("Cropping1D", "k", cropping=[2, 0]),
        *end(rng, 21),
    )


@case((4, 5, 3, 2), sample=ties)
def max_pooling3d_ties(rng: Rng) -> Network:
    pool = layer("MaxPooling3D", "p", pool_size=[2, 3, 2], strides=[1, 2, 1], padding="same")
    return network((4, 5, 3, 2), pool, conv(rng, "c", (2, 2, 2), 2, 3, activation="relu"), *end(rng, 36))


@case((5, 4, 2), sample=ties)
def max_pooling2d_ties(rng: Rng) -> Network:
    pool = layer("MaxPooling2D", "p", pool_size=[2, 3], strides=[1, 2], padding="same")
    return network((5, 4, 2), pool, conv(rng, "c", (2, 2), 2, 3, activation="relu"), *end(rng, 12))


@case((4, 3, 3), sample=ties)
def global_max_pooling2d_ties(rng: Rng) -> Network:
    return network((4, 3, 3), layer("GlobalMaxPooling2D", "p"), dense(rng, "d", 3, 5, activation="relu"),
                   dense(rng, "out", 5, 3))  # fmt: skip


@case((5, 4, 2))
def max_pooling2d_keeps_the_shape(rng: Rng) -> Network:
    pool = layer("MaxPooling2D", "p", pool_size=[3, 2], strides=[1, 1], padding="same")
    return network((5, 4, 2), conv(rng, "c", (2, 2), 2, 3, activation="relu"), pool, *end(rng, 36))


@case((4, 3, 4, 2))
def average_pooling3d_overlap(rng: Rng) -> Network:
    pool = layer("AveragePooling3D", "p", pool_size=[3, 2, 2], strides=[2, 1, 1], padding="same")
    return network((4, 3, 4, 2), conv(rng, "c", (2, 2, 2), 2, 3, activation="relu"), pool, *end(rng, 36))


@case((3, 4, 4, 2))
def cropping_and_padding3d(rng: Rng) -> Network:
    return network(
        (3, 4, 4, 2),
        conv(rng, "c", (1, 2, 2), 2, 3, activation="relu"),
        layer("ZeroPadding3D", "z", padding=[[1, 0], [0, 2], [1, 1]]),
        conv(rng, "e", (2, 2, 2), 3, 2, activation="relu"),
        layer("Cropping3D", "k", cropping=[[1, 0], [0, 2], [1, 1]]),
        *end(rng, 2 * 2 * 2 * 2),
    )


@case((4, 3))
def conv1d_transpose_stride_beyond_kernel(rng: Rng) -> Network:
    return network((4, 3), transposed(rng, "t", (2,), 3, 2, strides=3, activation="relu"), *end(rng, 24))


@case((3, 4, 2))
def conv2d_transpose_same_uneven(rng: Rng) -> Network:
    made = transposed(rng, "t", (4, 3), 2, 3, strides=[3, 2], padding="same", activation="relu")
    return network((3, 4, 2), conv(rng, "c", (1, 1), 2, 2, activation="relu"), made, *end(rng, 216))


@case((2, 3, 2, 2))
def conv3d_transpose_valid(rng: Rng) -> Network:
    return network((2, 3, 2, 2), transposed(rng, "t", (2, 3, 1), 2, 2, strides=[1, 2, 2], activation="relu"),
                   *end(rng, 3 * 7 * 4 * 2))  # fmt: skip


# The composites have a rule for dense layers and one for convolutions: to neither reference it is one of them.
@case((5, 4, 2), without=("lrp_sequential_composite_a",))
def locally_connected2d_same(rng: Rng) -> Network:
    made = connected(rng, "c", (5, 4, 2, 5, 4, 3), (5, 4, 3), kernel_size=[2, 3], padding="same", implementation=2,
                     activation="relu")  # fmt: skip
    return network((5, 4, 2), made, *end(rng, 60))


@case((7, 2), without=("lrp_sequential_composite_a",))
def locally_connected1d_sparse(rng: Rng) -> Network:
    made = connected(rng, "c", (3 * 3 * 2 * 3,), (3, 3), kernel_size=[3], strides=[2], implementation=3,
                     activation="relu")  # fmt: skip
    return network((7, 2), made, *end(rng, 9))


@case((4, 4, 2))
def permute_of_a_square(rng: Rng) -> Network:
    """Its shape stays, so that SIGN-XAI hands relevance on as it lies; iNNvestigate moves it back."""
    return network((4, 4, 2), conv(rng, "c", (2, 2), 2, 3, activation="relu"), layer("Permute", "p", dims=[2, 1, 3]),
                   *end(rng, 27))  # fmt: skip
