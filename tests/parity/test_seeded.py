"""Seeded weights: the same everywhere, at unit scale, written whole or not at all, readable by Keras."""

from __future__ import annotations

import errno
import hashlib
import json
import subprocess
import threading
from collections import namedtuple

import h5py
import numpy as np
import pytest
import torch

from parity import keras
from parity.assets import seeded
from parity.assets.inputs import PHOTOS, photo
from parity.assets.models import resolve
from parity.assets.preprocessing import caffe
from parity.keras import architectures
from parity.reference.environment import find_python


def layer(class_name: str, name: str, **settings: object) -> dict:
    return {"class_name": class_name, "config": {"name": name, **settings}}


def conv(name: str, filters: int) -> dict:
    return layer("Conv2D", name, filters=filters, kernel_size=[3, 3], padding="same", activation="relu")


# A VGG small enough for every test: same kinds of layers, 32 x 32 pictures.
SMALL = {
    "class_name": "Sequential",
    "config": {
        "name": "small",
        "layers": [
            layer("InputLayer", "input", batch_input_shape=[None, 32, 32, 3]),
            conv("block1_conv1", 8),
            conv("block1_conv2", 8),
            layer("MaxPooling2D", "block1_pool", pool_size=[2, 2], strides=[2, 2]),
            conv("block2_conv1", 12),
            layer("MaxPooling2D", "block2_pool", pool_size=[2, 2], strides=[2, 2]),
            layer("Flatten", "flatten"),
            layer("Dense", "fc1", units=40, activation="relu"),
            layer("Dense", "predictions", units=20, activation="softmax"),
        ],
    },
}
CONTENT = {
    "vgg16": "b50446dda699ef7b49f61565e69bc298d2d40bbc5c8fc8beb3d87ad9571d73d1",
    "vgg19": "1658a504df97842f7548c25af3975b67f853ae4feec6b8eb34338db8fd98750e",
}


def small_photos() -> np.ndarray:
    return np.stack([caffe(photo(name)[::7, ::7][:32, :32]) for name in PHOTOS])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and VGG16 replaced by the small one."""
    monkeypatch.setenv("PARITY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(architectures, "known_architecture", lambda name: SMALL)
    return tmp_path / "cache"


def content_hash(config: dict) -> str:
    digest = hashlib.sha256()
    for name, kernel, bias in seeded.weights(config):
        digest.update(name.encode() + kernel.tobytes() + bias.tobytes())
    return digest.hexdigest()


# --- the weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "parameters", "depth"), [("vgg16", 138_357_544, 16), ("vgg19", 143_667_240, 19)])
def test_layers_of_the_real_architectures(name, parameters, depth):
    layers = seeded.layers_of(architectures.known_architecture(name))
    assert sum(one.parameters for one in layers) == parameters
    assert sum(bool(one.kernel) for one in layers) == depth


def test_layers_of_another_network():
    config = {"config": {"layers": [SMALL["config"]["layers"][0], layer("Dropout", "drop")]}}
    with pytest.raises(ValueError, match="no VGG: a Dropout layer, drop"):
        seeded.layers_of(config)


def test_weights_are_the_same_again_and_with_other_threads():
    first = content_hash(SMALL)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        assert content_hash(SMALL) == first
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTENT)
def test_weights_are_the_same_on_every_machine(name):
    assert content_hash(architectures.known_architecture(name)) == CONTENT[name]


def test_scale_does_not_hang_on_rounding():
    """Noise as large as float32's, and a thousand times as large, gives the very same scale."""
    for scale in (0.0031, 0.0625, 0.9, 3.0):
        rounded = seeded._rounded(scale)
        assert abs(rounded / scale - 1) <= 2**-4
        assert seeded._rounded(float(rounded)) == rounded
        assert seeded._rounded(float(rounded) * (1 + 1e-3)) == rounded == seeded._rounded(float(rounded) * (1 - 1e-3))


def test_biases_have_both_signs_and_no_zero():
    for name, _, bias in seeded.weights(SMALL):
        assert (bias > 0).any(), name
        assert (bias < 0).any(), name
        assert (bias != 0).all(), name


def test_preactivations_keep_unit_scale(tmp_path):
    """Checked on the converted model, which knows nothing of how the weights were scaled."""
    seeded.write(SMALL, tmp_path / "small.h5")
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    model = keras.load(tmp_path / "small.h5", config=tmp_path / "small.json")
    scales = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(
                lambda _, __, output, name=name: scales.update({name: output.square().mean().sqrt().item()})
            )
    model(model.to_torch(small_photos()))
    assert len(scales) == 5
    assert all(0.85 < scale < 1.25 for scale in scales.values()), scales


# --- the file --------------------------------------------------------------------------------------------


def test_ensure_makes_the_file_once(cache, monkeypatch):
    path = seeded.ensure("vgg16")
    assert path.parent == cache
    monkeypatch.setattr(seeded, "write", pytest.fail)
    assert seeded.ensure("vgg16") == path


def test_same_bytes_again(tmp_path):
    seeded.write(SMALL, tmp_path / "a.h5")
    seeded.write(SMALL, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_file_that_was_cut_short_is_made_again(cache):
    path = seeded.ensure("vgg16")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert seeded.ensure("vgg16").read_bytes() == whole


def test_two_at_once_make_it_once(cache, monkeypatch):
    made = []
    real = seeded.write
    monkeypatch.setattr(seeded, "write", lambda config, path: (made.append(path), real(config, path)))
    threads = [threading.Thread(target=seeded.ensure, args=("vgg16",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("HDF5: no space")])
def test_disk_that_fills_up(problem, cache, monkeypatch):
    real = seeded.weights

    def failing(config):
        yield next(real(config))
        raise problem

    monkeypatch.setattr(seeded, "weights", failing)
    with pytest.raises(
        seeded.SeededWeightsError, match=r"cannot make the seeded vgg16 .*(is full|no space); PARITY_CACHE"
    ):
        seeded.ensure("vgg16")
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_disk_that_is_full_before(cache, monkeypatch):
    monkeypatch.setattr(seeded.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(1 << 19))
    with pytest.raises(seeded.SeededWeightsError, match="1 MB needed, 0 MB free"):
        seeded.ensure("vgg16")


def test_cache_that_cannot_be_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARITY_CACHE", str(tmp_path / "file"))
    with pytest.raises(seeded.SeededWeightsError, match="PARITY_CACHE can name another folder"):
        seeded.ensure("vgg16")


def test_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(config):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(seeded, "weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        seeded.write(SMALL, tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_never_called_imagenet(cache):
    source = resolve("vgg16-seeded")
    assert (source.name, source.architecture, source.preprocessing) == ("vgg16-seeded", "vgg16", "caffe")
    assert "not trained" in source.description
    assert "imagenet" not in source.description.lower()
    assert b"imagenet" not in source.path.read_bytes().lower()


def test_file_layout_of_keras(cache):
    with h5py.File(seeded.ensure("vgg16")) as file:
        names = [name.decode() for name in file.attrs["layer_names"]]
        assert names == [one["config"]["name"] for one in SMALL["config"]["layers"]]
        assert sorted(file) == sorted(names)
        assert file["fc1"].attrs["weight_names"].tolist() == [b"fc1/kernel:0", b"fc1/bias:0"]
        assert len(file["flatten"].attrs["weight_names"]) == 0
        assert file["fc1/fc1/kernel:0"].shape == (8 * 8 * 12, 40)


KERAS_READS = """
import json, sys
import numpy as np
from tensorflow import keras
config, weights, photos, answer = sys.argv[1:]
logits = []
for by_name in (False, True):
    model = keras.models.model_from_json(open(config).read())
    model.load_weights(weights, by_name=by_name)
    model.layers[-1].activation = None
    logits.append(model(np.load(photos)).numpy())
np.save(answer, np.stack(logits))
"""


@pytest.mark.reference
def test_keras_reads_the_file(tmp_path):
    """By order and by name, and to the same logits as the converted model, which are positive at the top."""
    seeded.write(SMALL, tmp_path / "small.h5")
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    np.save(tmp_path / "photos.npy", small_photos())
    files = [str(tmp_path / name) for name in ("small.json", "small.h5", "photos.npy", "answer.npy")]
    subprocess.run([str(find_python()), "-c", KERAS_READS, *files], check=True, timeout=120)
    by_order, by_name = np.load(tmp_path / "answer.npy")
    np.testing.assert_array_equal(by_order, by_name)
    model = keras.load(tmp_path / "small.h5", config=tmp_path / "small.json")
    logits = model(model.to_torch(small_photos())).numpy()
    np.testing.assert_allclose(logits, by_order, rtol=1e-4, atol=1e-5)
    assert (by_order.max(axis=1) > 0.5).all()


@pytest.mark.slow
def test_logits_of_the_real_one(tmp_path, monkeypatch):
    """VGG16 on each photo: the highest logit is clearly above zero, and the photos differ."""
    monkeypatch.setenv("PARITY_CACHE", str(tmp_path))
    source = resolve("vgg16-seeded")
    model = keras.load(source.path, architecture=source.architecture)
    source.path.unlink()
    logits = model(model.to_torch(np.stack([caffe(photo(name)) for name in PHOTOS]))).numpy()
    assert (logits.max(axis=1) > 2).all()
    assert logits.std() == pytest.approx(1.0, abs=0.15)
    assert np.linalg.norm(logits[0] - logits[1]) > 0.1 * np.linalg.norm(logits[0])
