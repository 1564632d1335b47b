"""Whole Keras files of packages that ship weights alone, or name a function of their own code as an activation.

Runs in the reference environment, as a script: ``python architectures.py NAME SOURCE TARGET``. The layers are those
that the package's code makes before it loads the file.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

CEILING, LEAK = 20.0, 0.1
"""deeplc's activation: a leaky ReLU with a ceiling."""


def deepcut(path: str) -> Any:
    """Return deepcut's network with its weights: letters and their kinds in, (N, 21) each."""
    from tensorflow import keras
    from tensorflow.keras import layers

    letters, kinds = keras.Input((21,)), keras.Input((21,))
    a = layers.BatchNormalization()(layers.SpatialDropout1D(0.15)(layers.Embedding(178, 32)(letters)))
    branches = []
    for width, filters in enumerate([200] * 8 + [150] * 3 + [100], start=1):
        branch = layers.Conv1D(filters, width, activation="relu")(a)
        branch = layers.TimeDistributed(layers.Dense(5))(branch)
        branches.append(layers.ZeroPadding1D((0, width - 1))(branch))
    b = layers.SpatialDropout1D(0.15)(layers.Embedding(12, 12)(kinds))
    x = layers.BatchNormalization()(layers.Concatenate()([a, layers.Maximum()(branches), b]))
    x = layers.Dense(100, activation="relu")(layers.Flatten()(x))
    model = keras.Model([letters, kinds], layers.Dense(1, activation="sigmoid")(x))
    model.load_weights(path)
    return model


def mhcnuggets(path: str) -> Any:
    """Return the network that mhcnuggets trains for every allele, with its weights: (N, 15, 21) in."""
    from tensorflow import keras
    from tensorflow.keras import layers

    model = keras.Sequential(
        [
            layers.Masking(-4200000, input_shape=(15, 21)),
            layers.LSTM(64, dropout=0.2, recurrent_dropout=0.2),
            layers.Dense(64),
            layers.Dropout(0.2),
            layers.Activation("tanh"),
            layers.Dense(1),
            layers.Activation("sigmoid"),
        ]
    )
    model.load_weights(path)
    return model


def chars2vec(path: str) -> Any:
    """Return chars2vec's embedding of a word with its weights: (N, letters, 59) in, (N, 50) out."""
    from tensorflow import keras
    from tensorflow.keras import layers

    letters = keras.Input((None, 59))
    model = keras.Model(letters, layers.LSTM(50)(layers.LSTM(50, return_sequences=True)(letters)))
    model.load_weights(path)
    return model


def deeplc(path: str) -> Any:
    """Return deeplc's network with a ReLU layer, of the same values, for every activation that is a lambda."""
    from tensorflow import keras

    def activation(x: Any) -> Any:
        return keras.activations.relu(x, alpha=LEAK, max_value=CEILING)

    model = keras.models.load_model(path, compile=False, custom_objects={"<lambda>": activation})
    config = model.get_config()
    for layer in list(config["layers"]):
        if layer["config"].get("activation") != "activation":
            continue
        layer["config"]["activation"] = "linear"
        old, new = layer["name"], f"{layer['name']}_relu"
        _rename_producer(config, old, new)
        settings = {"name": new, "max_value": CEILING, "negative_slope": LEAK, "threshold": 0.0}
        relu = {"class_name": "ReLU", "config": settings, "name": new, "inbound_nodes": [[[old, 0, 0, {}]]]}
        config["layers"].append(relu)
    whole = keras.Model.from_config(config)
    for layer in model.layers:
        whole.get_layer(layer.name).set_weights(layer.get_weights())
    return whole


def _rename_producer(config: dict[str, Any], old: str, new: str) -> None:
    """Let every layer that reads `old`, and the model's outputs, read `new`."""
    for layer in config["layers"]:
        for node in layer["inbound_nodes"]:
            for tensor in node:
                if tensor[0] == old:
                    tensor[0] = new
    for output in config["output_layers"]:
        if output[0] == old:
            output[0] = new


ARCHITECTURES: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {"deepcut": deepcut, "mhcnuggets": mhcnuggets, "chars2vec": chars2vec, "deeplc": deeplc}
)

if __name__ == "__main__":
    name, source, target = sys.argv[1:]
    ARCHITECTURES[name](source).save(target, save_format="h5", include_optimizer=False)
