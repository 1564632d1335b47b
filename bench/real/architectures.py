"""Whole Keras 2 files of packages that ship weights alone, leave a length open, or need code of their own.

Runs in the reference environment, as a script: ``python architectures.py NAME SOURCE TARGET``. The layers are those
that the package's code makes before it loads the file.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import h5py

GENE, NIGHT = 10020, 20
"""Bases of a gene, half-minutes of a night."""
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


def spliceai(path: str) -> Any:
    """Return a spliceai network for genes of one length: (N, 10020, 4) in, (N, 20, 3) out."""
    from tensorflow import keras

    model = keras.models.load_model(path, compile=False)
    config = model.get_config()
    config["layers"][0]["config"]["batch_input_shape"] = (None, GENE, 4)
    whole = keras.Model.from_config(config)
    whole.set_weights(model.get_weights())
    return whole


def sleepecg(path: str) -> Any:
    """Return sleepecg's network, which Keras 3 wrote, for nights of one length: (N, 20, 36) in, (N, 20, 3) out."""
    from tensorflow import keras
    from tensorflow.keras import layers

    gates = [layers.Bidirectional(layers.GRU(8, return_sequences=True)) for _ in range(2)]
    stages: list[Any] = [layers.Masking(-1, input_shape=(NIGHT, 36)), layers.BatchNormalization(), layers.Dense(64)]
    model = keras.Sequential([*stages, layers.ReLU(), *gates, layers.Dense(3, activation="softmax")])
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        for place, layer in (("batch_normalization", stages[1]), ("dense", stages[2]), ("dense_1", model.layers[-1])):
            layer.set_weights(_numbered(file[f"layers/{place}/vars"]))
        for place, layer in zip(("bidirectional", "bidirectional_1"), gates, strict=True):
            ways = (file[f"layers/{place}/{way}_layer/cell/vars"] for way in ("forward", "backward"))
            layer.set_weights([array for way in ways for array in _numbered(way)])
    return model


def _numbered(group: Any) -> list[Any]:
    """Return the arrays of a group that are called 0, 1, 2 and so on."""
    return [group[str(number)][()] for number in range(len(group))]


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
    {
        "deepcut": deepcut,
        "mhcnuggets": mhcnuggets,
        "chars2vec": chars2vec,
        "deeplc": deeplc,
        "spliceai": spliceai,
        "sleepecg": sleepecg,
    }
)

if __name__ == "__main__":
    name, source, target = sys.argv[1:]
    ARCHITECTURES[name](source).save(target, save_format="h5", include_optimizer=False)
