"""Activation functions as layers of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import conv, layer, network
from tests.signxai_torch.oracle_networks.registry import GRADIENTS, Rng, case, end

# Its only reference refuses activations but ReLU.
NO_DEEP_TAYLOR = {"without": ("deep_taylor",)}


def _behind(rng: Rng, class_name: str, weights: dict[str, np.ndarray] | None = None, **config: Any) -> Network:
    """Return a network in which a layer bends what a convolution makes."""
    bent = layer(class_name, "bent", weights=weights, **config)
    return network((5, 4, 2), conv(rng, "c", (2, 2), 2, 3), bent, *end(rng, 36))


@case((5, 4, 2), **NO_DEEP_TAYLOR)
def leaky_relu(rng: Rng) -> Network:
    return _behind(rng, "LeakyReLU", alpha=0.2)


@case((5, 4, 2), **NO_DEEP_TAYLOR)
def elu(rng: Rng) -> Network:
    return _behind(rng, "ELU", alpha=0.7)


@case((5, 4, 2), **NO_DEEP_TAYLOR)
def prelu(rng: Rng) -> Network:
    return _behind(rng, "PReLU", {"alpha": rng.normal(size=(4, 3, 3)).astype(np.float32)}, shared_axes=None)


@case((5, 4, 2), **NO_DEEP_TAYLOR)
def prelu_of_channels(rng: Rng) -> Network:
    return _behind(rng, "PReLU", {"alpha": rng.normal(size=(1, 1, 3)).astype(np.float32)}, shared_axes=[1, 2])


@case((5, 4, 2), **NO_DEEP_TAYLOR)
def thresholded_relu(rng: Rng) -> Network:
    return _behind(rng, "ThresholdedReLU", theta=0.2)


@case((5, 4, 2), only=GRADIENTS)  # both references refuse it with rules
def softmax_over_columns(rng: Rng) -> Network:
    return _behind(rng, "Softmax", axis=2)


@case((5, 4, 2), **NO_DEEP_TAYLOR)
def relu_with_everything(rng: Rng) -> Network:
    return _behind(rng, "ReLU", negative_slope=0.25, threshold=0.125, max_value=0.75)
