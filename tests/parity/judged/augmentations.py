"""Layers that augment images: both references draw anew at every call."""

from __future__ import annotations

import numpy as np

from parity.keras.network import Network
from tests.parity.judged.registry import conv, dense, layer, network, row


@row((6, 5, 2), {"*": "reference-defect"})
def augmentation(rng: np.random.Generator) -> Network:
    return network(
        (6, 5, 2),
        layer("RandomFlip", "flip", mode="horizontal", seed=None),
        layer("RandomRotation", "rotate", factor=0.3, seed=None),
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        layer("RandomContrast", "contrast", factor=0.3, seed=None),
        layer("Flatten", "f"),
        dense(rng, "out", 60, 3),
    )


@row((6, 5, 2), {"*": "reference-defect"})
def augmented_otherwise(rng: np.random.Generator) -> Network:
    """Return a network of augmentations that keep the size in training too."""
    return network(
        (6, 5, 2),
        layer("RandomBrightness", "brightness", factor=0.2, seed=None),
        layer("RandomTranslation", "translation", height_factor=0.2, width_factor=0.2, seed=None),
        layer("RandomZoom", "zoom", height_factor=0.2, seed=None),
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        layer("Flatten", "f"),
        dense(rng, "out", 60, 3),
    )


@row((6, 5, 2), {"*": "reference-defect"})
def augmented_in_size(rng: np.random.Generator) -> Network:
    return network(
        (6, 5, 2),
        layer("RandomHeight", "height", factor=0.2, seed=None),
        layer("RandomWidth", "width", factor=0.2, seed=None),
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        layer("GlobalAveragePooling2D", "g"),
        dense(rng, "out", 3, 3),
    )
