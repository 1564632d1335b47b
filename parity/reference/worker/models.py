"""Models of the reference process: from an `.h5` file to a Keras model that outputs logits, in one dtype."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
from tensorflow.python.util import tf_export

from parity.hashing import file_sha256
from parity.reference.worker.applications import CUSTOM_OBJECTS, OLD_NAMES
from parity.reference.worker.config import (
    RefusedModelError,
    for_inference,
    layers_of,
    refuse_foreign,
    refuse_rounding,
    without_softmax,
)

_APPLICATIONS = {"vgg16": "VGG16", "vgg19": "VGG19"}

# Models are kept up to this size together (one is always kept, whatever its size): several small ones in
# both dtypes, but never two of a VGG16.
_KEPT_BYTES = 256 << 20

Key = tuple[str, str | None, str, bool]

# Files of TensorFlow and Keras whose functions compute with tensors: they neither read nor write, and run no code that
# they are handed. Some draw numbers or read pictures, which `_NO_COMPUTATION` keeps out by name.
_PURE_MODULES = (
    "array_ops", "array_ops_stack", "check_ops", "clip_ops", "gen_array_ops", "gen_image_ops", "gen_linalg_ops",
    "gen_manip_ops", "gen_math_ops", "gen_nn_ops", "image_ops_impl", "linalg_ops", "manip_ops", "math_ops", "nn_impl",
    "nn_ops", "special_math_ops",
)  # fmt: skip
_PURE = ("keras.activations", *(f"tensorflow.python.ops.{name}" for name in _PURE_MODULES))
_OF_THE_BACKEND = ("keras.backend.flatten", "keras.backend.batch_flatten")
_NO_COMPUTATION = ("serialize", "random", "dropout", "fractional", "sample", "decode", "encode", "placeholder")
_NO_FUNCTIONS = ("raw_ops.", "io.", "keras.activations.get")


class ModelChangedError(Exception):
    """The file no longer holds the bytes that the request was made for."""


@dataclass(frozen=True)
class Blueprint:
    """What is needed to build a model again and again: a configuration and its weights."""

    config: dict[str, Any]
    weights: list[np.ndarray]

    def build(self) -> Any:
        """Return a new Keras model, not trainable, in the dtype of the blueprint."""
        model = finished(built(self.config), self.config)
        model.set_weights(self.weights)  # in the order of a model that is not trainable, as they were read
        return model


class Models:
    """The models a worker has read, by content and dtype; the last ones are kept as far as memory allows.

    In graph mode a session is cleared before each analyzer, and the model with it, so there it is built
    from its blueprint every time. In eager mode one built model serves all calls.
    """

    def __init__(self, *, graph: bool) -> None:
        self._graph = graph
        self._kept: dict[Key, Blueprint | Any] = {}
        self._bytes: dict[Key, int] = {}

    def get(self, path: Path, architecture: str | None, sha256: str, dtype: str, *, operations: bool = False) -> Any:
        """Return the Keras model without its softmax, with bare operations only if they are asked for.

        Raises
        ------
        RefusedModelError
            If the file is no Keras model, or one that must not or cannot be built.
        ModelChangedError
            If the file does not hash to `sha256`.
        OSError
            If the file cannot be read.
        """
        key = (sha256, architecture, dtype, operations)
        set_floatx(dtype)
        if key not in self._kept:
            self._read(key, path)
        kept = self._kept[key]
        if not self._graph:
            return kept
        self._clear(dtype)
        return kept.build()

    def _read(self, key: Key, path: Path) -> None:
        sha256, architecture, dtype, operations = key
        found = file_sha256(path)
        if found != sha256:
            raise ModelChangedError(
                f"{path} has changed since it was looked up: SHA-256 was {sha256[:12]}..., "
                f"now {found[:12]}...; start the run again"
            )
        size = path.stat().st_size * (2 if dtype == "float64" else 1)
        while self._kept and sum(self._bytes.values()) + size > _KEPT_BYTES:
            oldest = next(iter(self._kept))
            del self._kept[oldest], self._bytes[oldest]
        if not self._kept:
            self._clear(dtype)
        model, config = read_model(path, architecture, dtype, operations=operations)
        self._kept[key] = Blueprint(config, model.get_weights()) if self._graph else model
        self._bytes[key] = size

    def _clear(self, dtype: str) -> None:
        tf.keras.backend.clear_session()
        gc.collect()
        give_back_memory()
        set_floatx(dtype)


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library can; a cleared session leaves gigabytes free."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def set_floatx(dtype: str) -> None:
    """Set the dtype in which Keras makes its own constants, in both copies of Keras that TensorFlow holds."""
    from tensorflow.python.keras import backend as legacy

    tf.keras.backend.set_floatx(dtype)
    legacy.set_floatx(dtype)


def reserve_names(config: dict[str, Any]) -> None:
    """Keep Keras from naming a new layer like one of the model's.

    A loaded model brings its names, but in a cleared session the counters start anew, so the layers that an
    analyzer adds would clash with it (`The name "input_1" is used 2 times in the model`).
    """
    highest: dict[str, int] = {}
    for layer in layers_of(config):
        prefix, _, number = layer["config"]["name"].rpartition("_")
        if not (prefix and number.isdigit()):
            prefix, number = layer["config"]["name"], "0"
        highest[prefix] = max(highest.get(prefix, 0), int(number))
    for prefix, number in highest.items():
        # Input layers count under the bare prefix, all others under ("", prefix). Numbers far out came
        # from no counter and no analyzer will reach them.
        for counter in (prefix, ("", prefix)):
            while number < 10_000 and tf.keras.backend.get_uid(counter) <= number:
                pass


def built(config: dict[str, Any]) -> Any:
    """Return a new Keras model with the weights that its configuration starts with."""
    return tf.keras.models.model_from_json(json.dumps(config), custom_objects=CUSTOM_OBJECTS)


def finished(model: Any, config: dict[str, Any]) -> Any:
    """Return the model, not trainable, with its names reserved."""
    model.trainable = False
    reserve_names(config)
    return model


def read_model(
    path: Path, architecture: str | None, dtype: str, *, operations: bool = False
) -> tuple[Any, dict[str, Any]]:
    """Return the Keras model of a Keras 2 `.h5` file, and the configuration it was built from.

    The file holds a whole model, or the weights of a known net.

    Parameters
    ----------
    path
        The file.
    architecture
        `"vgg16"`, `"vgg19"`, or None if the file holds its own configuration (or a JSON file of the same
        name lies beside it).
    dtype
        `"float32"` or `"float64"`.
    operations
        Whether it may hold bare operations of TensorFlow.

    Raises
    ------
    RefusedModelError
        If the file is no Keras model, or one that must not or cannot be built.
    OSError
        If the file cannot be read.
    """
    config = _read_config(path)
    if config is None:
        config = _known_config(path, architecture)
    refuse_foreign(config, _known_layers(), is_pure if operations else None)
    if dtype == "float64":
        refuse_rounding(config)
    config, _ = without_softmax(config)
    config = for_inference(config, dtype)
    try:
        model = built(config)
        model.load_weights(str(path))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RefusedModelError(f"{path.name}: Keras cannot build this model: {error}") from error
    return finished(model, config), config


def is_pure(function: str) -> bool:
    """Return whether the name of a function of TensorFlow is that of one which computes with tensors and no more."""
    symbol, name = tf_export.get_symbol_from_name(function), function.rpartition(".")[2]
    if isinstance(symbol, type) or any(word in name for word in _NO_COMPUTATION) or function.startswith(_NO_FUNCTIONS):
        return False
    return function in _OF_THE_BACKEND or getattr(symbol, "__module__", None) in _PURE


def _read_config(path: Path) -> dict[str, Any] | None:
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
            is_keras = text is not None or "layer_names" in file.attrs
    except OSError as error:
        raise RefusedModelError(f"{path.name} is no readable HDF5 file: {error}") from error
    beside = path.with_suffix(".json")
    if text is None and is_keras and beside.is_file():
        text = beside.read_text(encoding="utf-8")
    if text is None:
        if not is_keras:
            raise RefusedModelError(f"{path.name} is an HDF5 file, but neither a Keras 2 model nor Keras 2 weights")
        return None
    try:
        config = json.loads(text)
    except ValueError as error:
        raise RefusedModelError(f"{path.name}: the model configuration is no JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise RefusedModelError(f"{path.name}: the model configuration is not that of a Keras 2 model")
    return config


def _known_config(path: Path, architecture: str | None) -> dict[str, Any]:
    if architecture not in _APPLICATIONS:
        raise RefusedModelError(
            f"{path.name} holds weights without a configuration, and the architecture {architecture!r} is "
            f"not one of {sorted(_APPLICATIONS)}"
        )
    with h5py.File(path, "r") as file:
        biases = [file[name] for name in _datasets(file) if name.endswith("/bias:0") and "predictions" in name]
        if len(biases) != 1:
            raise RefusedModelError(f"{path.name} has no layer 'predictions': weights with the top are needed")
        classes = int(biases[0].shape[0])
    application = getattr(tf.keras.applications, _APPLICATIONS[architecture])
    model = application(weights=None, classes=classes)
    config: dict[str, Any] = json.loads(model.to_json())
    return config


def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _known_layers() -> frozenset[str]:
    layer = tf.keras.layers.Layer
    found = vars(tf.keras.layers).items()
    layers = (name for name, value in found if isinstance(value, type) and issubclass(value, layer))
    return frozenset((*layers, *CUSTOM_OBJECTS, *OLD_NAMES))
