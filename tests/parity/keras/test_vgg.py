"""VGG16 and VGG19 by name: weights-only files, and torchvision's models with the same state."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import parity.keras
from parity.keras import ConversionError, torchvision_vgg_state_dict
from parity.keras.architectures import known_architecture
from tests.parity.keras.keras_files import tiny

pytestmark = pytest.mark.slow

torchvision = pytest.importorskip("torchvision", reason="torchvision is needed to compare with its VGG")


def tensors(name: str, classes: int) -> dict[str, list[np.ndarray]]:
    """Return random weights, layer by layer; the large ones repeat a short sequence, to be quick."""
    rng = np.random.default_rng(len(name))
    short = rng.normal(size=9973).astype(np.float32)
    channels, features = 3, 7 * 7 * 512
    found = {}
    for entry in known_architecture(name, classes)["config"]["layers"]:
        config = entry["config"]
        if entry["class_name"] == "Conv2D":
            shape = (3, 3, channels, config["filters"])
            channels = config["filters"]
        elif entry["class_name"] == "Dense":
            shape = (features, config["units"])
            features = config["units"]
        else:
            continue
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        kernel = np.resize(short, shape) * np.float32(scale)
        found[config["name"]] = [kernel, 0.1 * rng.normal(size=shape[-1]).astype(np.float32)]
    return found


def write(path: Path, weights: dict[str, list[np.ndarray]], *, empty: tuple[str, ...] = ("flatten",)) -> Path:
    """Write the layout of the published weights, whose tensors are called `block1_conv1_W_1:0`."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in (*empty, *weights)]
        for name in empty:
            file.create_group(name).attrs["weight_names"] = np.zeros(0)
        for name, (kernel, bias) in weights.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, bias
    return path


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    weights = tensors("vgg16", 1000)
    path = write(tmp_path_factory.mktemp("vgg") / "vgg16_weights.h5", weights, empty=("input_1", "flatten"))
    module = parity.keras.load(path, architecture="vgg16")
    path.unlink()
    return module, weights


def test_vgg16_is_torchvisions(vgg16):
    module, _ = vgg16
    with torch.device("meta"):
        other = torchvision.models.vgg16()
    other.load_state_dict(torchvision_vgg_state_dict(module), strict=True, assign=True)
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 3, 224, 224)).astype(np.float32))
    with torch.inference_mode():
        ours, theirs = module(x), other.eval()(x)
    assert ours.std() > 1e-2
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert module.description.removed_softmax
    assert module.description.parameters == 138_357_544


def test_first_dense_layer_is_reordered(vgg16):
    """Torch feature (c, h, w) is Keras feature (h, w, c)."""
    module, weights = vgg16
    c, h, w, unit = 17, 4, 2, 99
    expected = weights["fc1"][0][(h * 7 + w) * 512 + c, unit]
    assert module.fc1.weight[unit, (c * 7 + h) * 7 + w].item() == expected


def test_state_dict_of_another_model(tmp_path):
    module = parity.keras.load(tiny().write(tmp_path / "m.h5"))
    with pytest.raises(ConversionError, match="not a VGG16 or VGG19"):
        torchvision_vgg_state_dict(module)


def test_wrong_vgg(tmp_path):
    """Weights of a VGG16 do not fit a VGG19; the first missing layer is named."""
    small = {name: [np.zeros((1, 1)), np.zeros(1)] for name in tensors_names("vgg16")}
    path = write(tmp_path / "w.h5", small)
    with pytest.raises(ConversionError, match="no weights for layer 'block3_conv4'"):
        parity.keras.load(path, architecture="vgg19")
    with pytest.raises(ConversionError, match=r"'block1_conv1'.*\(3, 3, 3, 64\)"):
        parity.keras.load(path, architecture="vgg16")


def tensors_names(name: str) -> list[str]:
    layers = known_architecture(name)["config"]["layers"]
    return [entry["config"]["name"] for entry in layers if entry["class_name"] in ("Conv2D", "Dense")]


@pytest.mark.reference
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_architecture_is_that_of_keras_applications(truth, name):
    """Layer names, classes, sizes, strides, padding and activations, against keras.applications itself."""
    theirs = json.loads((truth / f"{name}.json").read_text())["config"]["layers"]
    ours = known_architecture(name, classes=10)["config"]["layers"]
    assert len(ours) == len(theirs)
    for mine, entry in zip(ours[1:], theirs[1:], strict=True):
        assert mine["class_name"] == entry["class_name"]
        assert mine["config"].items() <= entry["config"].items()
