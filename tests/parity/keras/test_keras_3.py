"""Models that Keras 3 builds and saves, on its torch backend: the port's logits are Keras' own.

The recipes come from Keras 2.12 (`tests.parity.keras.recipes`); here are what Keras 3 writes otherwise: its own file
format, calls with arguments by name, and functions of `keras.ops` as layers.
"""

from __future__ import annotations

import copy
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity.keras
from parity.keras.augmentations import RANDOM
from parity.keras.functions.of_keras_3 import ACTIVATIONS
from parity.keras.graph import Node
from parity.keras.network import read_network
from parity.keras.obstacles import refuse_obstacles
from parity.keras.parse import parse_architecture
from tests.parity.keras.damage import damage
from tests.parity.keras.keras_3_built import BUILT, L, keras, ops

CustomScaleLayer = pytest.importorskip("keras.src.applications.inception_resnet_v2").CustomScaleLayer

CLOSE = 1e-5
"""Of the largest logit, in float32: Keras 3 multiplies matrices in float32 also where floatx is float64."""


def _filled(model: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed" in variable.path:
            continue
        low, high = (0.3, 2.0) if "variance" in variable.path else (-0.7, 0.8)
        variable.assign(rng.uniform(low, high, variable.shape))
    return model


def _logits(model: Any, x: Any) -> np.ndarray:
    last = model.layers[-1]
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return np.asarray(ops.convert_to_numpy(model(x, training=False)))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", BUILT)
def test_logits(name: str, suffix: str, tmp_path: Path) -> None:
    model = _filled(BUILT[name](), len(name))
    path = tmp_path / f"model{suffix}"
    model.save(path)
    rng = np.random.default_rng(0)
    shapes = [tensor.shape[1:] for tensor in model.inputs]
    inputs = [rng.normal(size=(3, *shape)).astype(np.float32) for shape in shapes]
    if "mask" in name or name == "recurrent":  # the last steps of a sequence are padding
        inputs = [np.floor(abs(x) * 3 + 1) % 9 if x.ndim == 2 else x for x in inputs]
        for x in inputs:
            x[1:, 4:] = 0
    port = parity.keras.load(path)
    by_name = dict(zip("ab", inputs, strict=False)) if "by_name" in name else None
    expected = _logits(model, by_name or (inputs if len(inputs) > 1 else inputs[0]))
    made = port.logits(inputs if len(inputs) > 1 else inputs[0])
    assert np.abs(made - expected).max() <= CLOSE * np.abs(expected).max()


@pytest.mark.parametrize("name", [name for name in BUILT if "inside" in name or "model" in name])
def test_damaged_calls_of_models_inside_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    BUILT[name]().save(path)
    whole = json.loads(zipfile.ZipFile(path).read("config.json"))
    rng = random.Random(name)
    refused = 0
    for _ in range(200):
        architecture = copy.deepcopy(whole)
        damage(architecture, rng)
        try:
            parse_architecture(architecture, path)
        except parity.keras.ConversionError:
            refused += 1
    assert refused > 10


def test_a_softmax_over_all_samples_is_refused(tmp_path: Path) -> None:
    x = L.Input((4,))
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(3)(ops.softmax(x, axis=None))).save(path)
    with pytest.raises(parity.keras.ConversionError, match="mixes the samples"):
        parity.keras.load(path)


TOLD: dict[str, dict[str, Any]] = {
    "RandomBrightness": {"factor": 0.5},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomContrast": {"factor": 0.5},
    "RandomHue": {"factor": 0.5},
    "RandomPosterization": {"factor": 4},
    "RandomRotation": {"factor": 0.5},
    "RandomSaturation": {"factor": 0.5},
    "RandomSharpness": {"factor": 0.5},
    "RandomShear": {"x_factor": 0.5, "y_factor": 0.5},
    "RandomTranslation": {"height_factor": 0.5, "width_factor": 0.5},
    "RandomZoom": {"height_factor": 0.5},
}
"""What augmentations must be told."""


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", [*ACTIVATIONS, "relu6", "leaky_relu", "gelu", "log_softmax", "softsign"])
def test_an_activation_by_name(name: str, suffix: str, tmp_path: Path) -> None:
    """As an attribute, as a layer, and at the model's end."""
    x = L.Input((6, 5, 2))
    y = L.Activation(name)(L.Conv2D(3, 2)(L.Conv2D(4, 2, activation=name, name="first")(x)))
    model = _filled(keras.Model(x, L.Dense(3, activation=name)(L.Flatten()(y))), 5)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    images = 3 * np.random.default_rng(0).normal(size=(3, 6, 5, 2)).astype(np.float32)
    expected = model.predict(images, verbose=0)
    port = parity.keras.load(path)
    assert np.abs(port.logits(images) - expected).max() <= CLOSE * np.abs(expected).max()
    network = read_network(path, None, port.description)
    ours = {layer.config.get("activation") for layer in network} & ACTIVATIONS.keys()
    assert not ours, "Keras 2.12 would compute something else, or nothing"
    assert set(network["first"].weights) == {"kernel", "bias"}


def test_an_activation_that_ends_masks_is_refused_where_there_are_masks(tmp_path: Path) -> None:
    x = L.Input((6, 3))
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(3)(L.LSTM(4)(L.Dense(3, activation="hard_silu")(L.Masking()(x))))).save(path)
    with pytest.raises(
        parity.keras.ConversionError, match="'hard_silu', which is not supported on a sequence with a mask"
    ):
        parity.keras.load(path)


def test_the_layer_of_inception_resnet(tmp_path: Path) -> None:
    x = L.Input((6,))
    scaled = CustomScaleLayer(0.17)([x, L.Dense(6, activation="relu")(x)])
    model = _filled(keras.Model(x, L.Dense(3)(scaled)), 5)
    images = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    for path in (tmp_path / "model.keras", tmp_path / "model.h5"):
        model.save(path)
        expected = model.predict(images, verbose=0)
        assert np.abs(parity.keras.load(path).logits(images) - expected).max() <= CLOSE * np.abs(expected).max()


@pytest.mark.parametrize("name", [name for name in RANDOM if hasattr(L, name)])
def test_an_augmentation_does_nothing_at_inference(name: str, tmp_path: Path) -> None:
    x = L.Input((6, 5, 3))
    augmented = getattr(L, name)(**TOLD.get(name, {}))(x)
    model = _filled(keras.Model(x, L.Dense(3)(L.Flatten()(augmented))), 1)
    path = tmp_path / "model.keras"
    model.save(path)
    images = np.random.default_rng(0).uniform(0, 255, (3, 6, 5, 3)).astype(np.float32)
    expected = model.predict(images, verbose=0)
    assert np.abs(parity.keras.load(path).logits(images) - expected).max() <= CLOSE * np.abs(expected).max()


def test_a_crop_of_keras_3_that_says_another_size_than_it_gives_is_refused(tmp_path: Path) -> None:
    x = L.Input((6, 5, 3))
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(L.RandomCrop(4, 4)(x)))).save(path)
    with pytest.raises(parity.keras.ConversionError, match="in training alone"):
        parity.keras.load(path)


def test_vectors_next_to_nothing_are_brought_to_length_1(tmp_path: Path) -> None:
    x = L.Input((4,))
    model = _filled(keras.Model(x, L.Dense(3)(L.UnitNormalization()(x))), 2)
    path = tmp_path / "model.keras"
    model.save(path)
    tiny = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32) * 1e-8
    expected = _logits(model, tiny)
    assert np.abs(parity.keras.load(path).logits(tiny) - expected).max() <= CLOSE * np.abs(expected).max()


@pytest.mark.parametrize(
    "name",
    sorted({layer.__name__ for layer in vars(L).values() if isinstance(layer, type)} - {"Layer", "InputSpec"}),
)
def test_no_layer_of_keras_is_taken_for_one_of_the_user(name: str) -> None:
    assert "a class of yours" not in _refusal(name)


def _refusal(class_name: str) -> str:
    try:
        refuse_obstacles([Node("mine", "mine", class_name, {}, ())], Path("model.keras"))
    except parity.keras.ConversionError as error:
        return str(error)
    return ""


def test_a_layer_normalisation_by_squares_alone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    try:
        layer = L.LayerNormalization(rms_scaling=True)
    except (TypeError, ValueError):
        pytest.skip("this version of Keras 3 has no such setting")
    keras.Sequential([L.Input((6, 5)), layer]).save(path)
    with pytest.raises(parity.keras.ConversionError, match="'rms_scaling' is not supported"):
        parity.keras.load(path)
