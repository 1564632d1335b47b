"""Shipped weights are what weights/README.md says, and names and paths resolve or say why not."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from parity import keras
from parity.assets import models
from parity.assets.inputs import default_inputs
from parity.assets.models import WEIGHTS, ModelNotFoundError, list_models, model_names, resolve
from parity.errors import ParityError
from parity.hashing import file_sha256
from parity.keras.architectures import ARCHITECTURES
from parity.reference.environment import find_python

SHIPPED = ["vgg_mnist", "dense_mnist", "resnet_mnist", "cnn_timeseries"]
ROW = re.compile(
    r"^\| `(\w+)\.h5` \| ([\d,]+) \| ([\d,]+) \| (\d+) of (\d+) \(.*?\) \| .*? \| `([0-9a-f]{64})` \|$", re.M
)
TABLE = {row[0]: row[1:] for row in ROW.findall((WEIGHTS / "README.md").read_text(encoding="utf-8"))}


@pytest.fixture
def bare_machine(tmp_path, monkeypatch):
    """A machine whose user never downloaded anything."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PARITY_CACHE", str(tmp_path / "cache"))
    for name in ("KERAS_HOME", "PARITY_VGG16", "PARITY_VGG19"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def weights_only(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["fc"], dtype="S")
    return path


def whole_model(path: Path, config: object) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    return path


def keras_application(name: str, side: int = 224) -> dict:
    layer = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, side, side, 3]}}
    return {"class_name": "Functional", "config": {"name": name, "layers": [layer]}}


# --- the shipped files -----------------------------------------------------------------------------------


def test_readme_and_folder_list_the_same_files():
    assert sorted(TABLE) == sorted(path.stem for path in WEIGHTS.glob("*.h5")) == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_readme_figures(name):
    path = WEIGHTS / f"{name}.h5"
    parameters, size, right, of, sha256 = TABLE[name]
    assert file_sha256(path) == sha256
    assert path.stat().st_size == int(size.replace(",", ""))
    described = keras.load(path).description
    assert sum(layer.parameters for layer in described.layers) == int(parameters.replace(",", ""))
    assert int(right) / int(of) >= (0.92 if name == "dense_mnist" else 0.96)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_optimizer_state(name):
    with h5py.File(WEIGHTS / f"{name}.h5") as file:
        assert "model_config" in file.attrs
        assert "training_config" not in file.attrs
        assert list(file) in (["model_weights"], ["model_weights", "top_level_model_weights"])


@pytest.mark.parametrize(("name", "limit"), [("vgg_mnist", 1_200_000), *((name, 600_000) for name in SHIPPED[1:])])
def test_size(name, limit):
    assert (WEIGHTS / f"{name}.h5").stat().st_size < limit


def tensors(name: str) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(WEIGHTS / f"{name}.h5") as file:
        file.visititems(lambda key, item: found.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_biases_have_both_signs(name):
    biases = np.concatenate([value for key, value in tensors(name).items() if key.endswith(("bias:0", "beta:0"))])
    assert (biases > 0).mean() > 0.2
    assert (biases < 0).mean() > 0.2


def test_batch_normalization_is_trained():
    moving = {key: value for key, value in tensors("resnet_mnist").items() if "moving_" in key}
    assert len(moving) == 2 * 9
    for key, value in moving.items():
        untrained = 0.0 if key.endswith("moving_mean:0") else 1.0
        assert np.abs(value - untrained).max() > 0.05, key


@pytest.mark.parametrize("name", SHIPPED)
def test_predictions_on_shipped_inputs(name):
    source = resolve(name)
    model = keras.load(source.path, architecture=source.architecture)
    samples = default_inputs(source)
    with torch.no_grad():
        logits = model(model.to_torch(np.stack([sample.array for sample in samples])))
    right = int((logits.argmax(1).numpy() == [sample.label for sample in samples]).sum())
    assert right >= len(samples) - 1


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_resolve_shipped(name):
    source = resolve(name)
    assert source.name == name
    assert source.architecture is None
    assert source.sha256 == TABLE[name][-1]
    assert source.present


def test_every_known_architecture_has_its_names():
    assert set(ARCHITECTURES) == set(models._OFFICIAL)
    assert {*ARCHITECTURES, *(f"{name}-seeded" for name in ARCHITECTURES), *SHIPPED} == set(model_names())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vgg_minst", "did you mean vgg_mnist?"),
        ("vgg16_seeded", "did you mean vgg16-seeded?"),
        ("zzz", "known: vgg_mnist,"),
        ("no/such/file.h5", "there is no file no/such/file.h5"),
        ("file.h5", "there is no file file.h5"),
        ("", "is a folder"),
    ],
)
def test_unknown_model(text, says, bare_machine, monkeypatch):
    monkeypatch.chdir(bare_machine)
    with pytest.raises(ModelNotFoundError, match=re.escape(says)):
        resolve(text)


def test_weights_that_a_wheel_does_not_carry(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    with pytest.raises(ModelNotFoundError, match="come with a clone"):
        resolve("vgg_mnist")
    assert not list_models()[0].present


# --- the official weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_absent_official_weights(name, bare_machine):
    with pytest.raises(ParityError, match=rf"(?s){name}.*`make weights`.*PARITY_{name.upper()}.*{name}-seeded"):
        resolve(name)


def test_file_in_the_keras_cache_must_have_the_published_hash(bare_machine, monkeypatch):
    folder = bare_machine / ".keras" / "models"
    folder.mkdir(parents=True)
    path = weights_only(folder / "vgg16_weights_tf_dim_ordering_tf_kernels.h5")
    with pytest.raises(ModelNotFoundError, match="does not have the hash that Keras publishes"):
        resolve("vgg16")
    md5 = models._hash(path, "md5")
    monkeypatch.setattr(models, "_OFFICIAL", {**models._OFFICIAL, "vgg16": models._Official(path.name, md5)})
    source = resolve("vgg16")
    assert (source.path, source.architecture, source.preprocessing) == (path, "vgg16", "caffe")
    assert source.description == "VGG16, ImageNet weights, published hash"


def test_keras_home_is_looked_at(bare_machine, monkeypatch):
    path = bare_machine / "elsewhere" / "models" / models._OFFICIAL["vgg19"].file_name
    path.parent.mkdir(parents=True)
    weights_only(path)
    monkeypatch.setenv("KERAS_HOME", str(bare_machine / "elsewhere"))
    with pytest.raises(ModelNotFoundError, match=r"elsewhere.*hash"):
        resolve("vgg19")


def test_variable_names_official_weights(bare_machine, monkeypatch):
    monkeypatch.setenv("PARITY_VGG16", str(bare_machine / "mine.h5"))
    with pytest.raises(ModelNotFoundError, match="PARITY_VGG16 says"):
        resolve("vgg16")
    weights_only(bare_machine / "mine.h5")
    source = resolve("vgg16")
    assert (source.architecture, source.input_set) == ("vgg16", "photos")
    assert "ImageNet" not in source.description
    whole_model(bare_machine / "mine.h5", keras_application("vgg16"))
    assert resolve("vgg16").architecture is None


@pytest.mark.reference
def test_fetch_offline(tmp_path):
    nowhere = "http://127.0.0.1:9"
    environment = {**os.environ, "HOME": str(tmp_path), "http_proxy": nowhere, "https_proxy": nowhere}
    command = [str(find_python()), str(WEIGHTS / "fetch.py"), "vgg16"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("the weights of vgg16 could not be fetched")
    assert "vgg16-seeded" in said
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.h5"))


# --- the listing -----------------------------------------------------------------------------------------


def test_listing_on_a_bare_machine(bare_machine):
    listed = {source.name: source for source in list_models()}
    assert list(listed) == model_names()
    assert all(listed[name].present for name in SHIPPED)
    for name in ARCHITECTURES:
        assert not listed[name].present
        assert listed[name].description.startswith("absent: ")
        assert "`make weights`" in listed[name].description
        seeded = listed[f"{name}-seeded"]
        assert not seeded.present
        assert seeded.on_demand
        assert not listed[name].on_demand
        assert "imagenet" not in seeded.description.lower()
    assert not (bare_machine / "cache").exists(), "listing must make nothing"


# --- files of the user -----------------------------------------------------------------------------------


def test_user_file(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes((WEIGHTS / "vgg_mnist.h5").read_bytes())
    source = resolve(str(path))
    assert source.name == "mine"
    assert source.path == path
    assert source.sha256 == TABLE["vgg_mnist"][-1]
    assert (source.architecture, source.preprocessing, source.input_set) == (None, "none", "")


def test_hash_follows_the_file(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes(b"one")
    first = resolve(str(path)).sha256
    path.write_bytes(b"other")
    assert resolve(str(path)).sha256 != first


@pytest.mark.parametrize("file_name", ["vgg16_weights.h5", "My-VGG16.h5"])
def test_weights_only_file_called_vgg16(file_name, tmp_path):
    source = resolve(str(weights_only(tmp_path / file_name)))
    assert (source.architecture, source.preprocessing, source.input_set) == ("vgg16", "caffe", "photos")
    assert "taken for the VGG16 of Keras" in source.description


def test_weights_only_file_called_otherwise(tmp_path):
    path = weights_only(tmp_path / "w.h5")
    assert resolve(str(path)).architecture is None
    named = resolve(f"{path}:vgg19")
    assert (named.name, named.architecture, named.preprocessing) == ("w", "vgg19", "caffe")
    with pytest.raises(ModelNotFoundError, match="'resnet' is no known architecture; known: vgg16, vgg19"):
        resolve(f"{path}:resnet")


def test_whole_model_of_keras_applications(tmp_path):
    source = resolve(str(whole_model(tmp_path / "net.h5", keras_application("vgg16"))))
    assert (source.architecture, source.preprocessing, source.input_set) == (None, "caffe", "photos")


@pytest.mark.parametrize(
    "config",
    [
        keras_application("vgg16", side=64),
        keras_application("my_net"),
        {"config": []},
        {"config": {"name": ["vgg16"]}},
        [],
        None,
        "[" * 100_000,
    ],
    ids=["size", "name", "old", "list", "no_dict", "null", "deep"],
)
def test_whole_model_of_another_kind(config, tmp_path):
    """A file called vgg16 is not taken for one when its own config says otherwise."""
    path = tmp_path / "vgg16.h5"
    if isinstance(config, str):
        with h5py.File(path, "w") as file:
            file.attrs.create("model_config", config[:60_000])
    else:
        whole_model(path, config)
    source = resolve(str(path))
    assert (source.architecture, source.preprocessing, source.input_set) == (None, "none", "")


def test_file_that_is_no_hdf5(tmp_path):
    """Left to the converter, which says what is wrong with it."""
    path = tmp_path / "vgg16.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert resolve(str(path)).architecture is None


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path):
    path = weights_only(tmp_path / "w.h5")
    path.chmod(0)
    with pytest.raises(ModelNotFoundError, match="permission denied"):
        resolve(str(path))
