"""Files that are built to hurt: small ones that stand for gigabytes or forests without end, and readers that crash."""

from __future__ import annotations

import json
import os
import signal
import time
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import parity.keras
from parity.keras import ConversionError
from parity.keras.hdf5 import stored_config
from parity.looks import look
from parity.looks import process as looks
from tests.parity.keras.keras_files import KerasModel, input_layer, layer, sequential, tiny

pytestmark = pytest.mark.slow


def assert_refused(path: Path, words: str, seconds: float = 10.0) -> None:
    begun = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(ConversionError, match=words) as caught:
            parity.keras.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert time.perf_counter() - begun < seconds
    assert peak < 1e9


def doubling_links(path: Path, container: str) -> Path:
    """Write groups that hold the next one twice: 60 kB that are 2 ** 29 groups."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(tiny().architecture)
        group = file.create_group(container).create_group("conv2d")
        for _ in range(29):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
        group["0"] = np.ones(3, np.float32)
    return path


@pytest.mark.parametrize("container", ["layers", "_layer_checkpoint_dependencies"])
def test_hard_links_that_double(container: str, tmp_path: Path) -> None:
    assert_refused(doubling_links(tmp_path / "links.h5", container), "two ways to the group")


def test_hard_links_that_double_where_layers_are_listed(tmp_path: Path) -> None:
    path = tiny().write(tmp_path / "links.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights/dense"]
        for _ in range(29):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
        group["left"] = np.ones(3, np.float32)
    assert_refused(path, "left over")


def test_a_link_to_the_group_itself(tmp_path: Path) -> None:
    path = doubling_links(tmp_path / "circle.h5", "layers")
    with h5py.File(path, "w") as file:
        group = file.create_group("layers").create_group("conv2d")
        group["again"] = group
        group["more"] = group
    assert_refused(path, "two ways to the group")


def zeros(path: Path, side: int, **packed: object) -> Path:
    """Write a Dense layer of `side` x `side` zeros, packed."""
    model = KerasModel(sequential(input_layer(side), layer("Dense", "dense", units=side)), {"dense": {}})
    model.write(path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/dense"]
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        kernel = group.create_dataset("dense/kernel:0", (side, side), np.float32, fillvalue=None, **packed)
        for row in range(0, side, 1024):
            kernel[row : row + 1024] = np.zeros((min(1024, side - row), side), np.float32)
        group["dense/bias:0"] = np.zeros(side, np.float32)
    return path


def test_a_packed_kernel_of_gigabytes(tmp_path: Path) -> None:
    path = zeros(tmp_path / "zeros.h5", 16_384, compression="gzip", compression_opts=1, chunks=(1024, 16_384))
    assert path.stat().st_size < 6e6
    assert_refused(path, r"unpacks to 10\d\d MB, more than the \d+ MB")


def test_a_packed_kernel_in_proportion_is_read(tmp_path: Path) -> None:
    path = zeros(tmp_path / "zeros.h5", 512, compression="gzip", chunks=(512, 512))
    assert parity.keras.load(path).description.classes == 512


def archive(path: Path, **members: bytes) -> Path:
    method = zipfile.ZIP_LZMA if path.name.startswith("lzma") else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in (
            {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b""} | members
        ).items():
            file.writestr(name, content)
    return path


def test_an_archive_that_unpacks_to_more_than_it_may(tmp_path: Path) -> None:
    large = bytes(300 << 20)
    assert_refused(archive(tmp_path / "large.keras", **{"model.weights.h5": large}), "unpacks to 315 MB, more than")
    assert_refused(archive(tmp_path / "long.keras", **{"config.json": large[: 33 << 20]}), "'config.json' unpacks to")
    assert_refused(archive(tmp_path / "lzma.keras"), "another method")


# What the look does about code that is beyond Python's help


def hangs(path: Path) -> None:
    while True:
        pass


def sleeps(path: Path) -> None:
    time.sleep(600)


def crashes(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def eats(path: Path) -> None:
    np.ones(4 << 30, np.uint8)


def chats(path: Path, word: str) -> None:
    print(word)  # noqa: T201
    os.write(1, b"no answer\n")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (hangs, "takes more than 1 s"),
        (sleeps, "takes more than 1 s"),
        (crashes, r"what reads it crashes \(SIGSEGV\)"),
        (eats, "takes more than .* of memory"),
    ],
)
def test_a_reader_that_does_not_come_back(function, words: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(looks, "SECONDS", 1.0)
    path = tmp_path / "bad.h5"
    path.write_bytes(b"anything")
    begun = time.perf_counter()
    with pytest.raises(ConversionError, match=rf"bad\.h5.*{words}"):
        look(function, path, error=ConversionError)
    assert time.perf_counter() - begun < 10
    good = tmp_path / "good.h5"
    good.write_bytes(b"anything")
    look(chats, good, "fine")  # the next file has a reader again


def test_a_child_that_nobody_asks_is_ended_and_reaped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(looks, "IDLE", 0.5)
    monkeypatch.setattr(looks, "_STATE", looks._State())
    path = tiny().write(tmp_path / "good.h5")
    for _ in range(2):
        stored_config(path)
        child = looks._STATE._child
        assert child is not None
        deadline = time.monotonic() + 10
        while Path(f"/proc/{child.pid}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_what_hung_once_is_not_tried_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(looks, "SECONDS", 1.0)
    path = tmp_path / "bad.h5"
    path.write_bytes(b"anything")
    os.utime(path, (1e9, 1e9))
    for function in (sleeps, hangs, eats):
        with pytest.raises(ConversionError, match="takes more than 1 s"):
            look(function, path, error=ConversionError)
        monkeypatch.setattr(looks._STATE, "_answer", lambda request: pytest.fail("asked again"))


def test_a_good_file_is_looked_at_once(tmp_path: Path, monkeypatch) -> None:
    path = tiny().write(tmp_path / "good.h5")
    asked: list[object] = []
    monkeypatch.setattr(looks._STATE, "asked", lambda request, _: asked.append(request) or "")
    os.utime(path, (1e9, 1e9))
    for _ in range(3):
        parity.keras.load(path)
    assert len(asked) == 1
    path.write_bytes(path.read_bytes())  # just now: another change could not be told from this one
    for _ in range(3):
        parity.keras.load(path)
    assert len(asked) == 4


def test_modules_of_the_working_folder_are_not_imported(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("h5py", "numpy", "json", "parity"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(looks, "_STATE", looks._State())
    parity.keras.load(tiny().write(tmp_path / "good.h5"))
    looks._STATE.close()
    assert not (tmp_path / "ran").exists()
