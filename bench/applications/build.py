"""Builds one network of keras.applications with random weights, and a picture for it.

Runs in the reference environment, as a script: ``python build.py '{"name": ..., ...}' TARGET.h5 PICTURE.npy``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

BATCH = 8
"""Pictures whose mean and variance the batch normalisations take for those of all."""


def build(wish: dict[str, Any], pictures: Any) -> Any:
    """Return a network with the weights of a fixed seed, its batch normalisations settled on pictures.

    Fresh normalisations have mean 0 and variance 1, so that numbers grow or die out layer by layer in a deep network;
    and beta is 0 and gamma 1, so that a mistake with either would not be seen.
    """
    from tensorflow import keras

    keras.utils.set_random_seed(0)
    place = keras.applications
    if wish["module"]:
        place = getattr(place, wish["module"])
    options: dict[str, Any] = {"include_preprocessing": True} if wish["preprocesses"] and wish["asked"] else {}
    shape = (wish["side"], wish["side"], 3)
    model = getattr(place, wish["name"])(weights=None, input_shape=shape, classes=wish["classes"], **options)
    generator = np.random.default_rng(0)
    for layer in _layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            for values, centre in ((layer.gamma, 1.0), (layer.beta, 0.0)):
                if values is not None:
                    values.assign(centre + 0.1 * generator.standard_normal(values.shape))
    model(pictures, training=True)
    return model


def _layers(model: Any) -> Any:
    return model._flatten_layers(include_self=False, recursive=True)


if __name__ == "__main__":
    wish, target, picture = json.loads(sys.argv[1]), *sys.argv[2:]
    drawn = np.random.default_rng(0).uniform(0, 255, (BATCH, wish["side"], wish["side"], 3)).astype(np.float32)
    if not wish["preprocesses"]:
        drawn = (drawn / 127.5 - 1).astype(np.float32)  # what most of these families are given
    build(wish, drawn).save(target, save_format="h5", include_optimizer=False)
    np.save(picture, drawn[0])
