"""A package that was never published: a wheel and a source archive with a tiny Keras model inside."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np

from bench.real.models import Package, RealModel


def keras_file(path: Path, activation: str = "relu") -> Path:
    """Write a Keras 2 file of two dense layers, without Keras."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_input_shape": [None, 4], "dtype": "float32"}},
        _dense("hidden", 3, activation),
        _dense("out", 2, "linear"),
    ]
    config = {"class_name": "Sequential", "config": {"name": "tiny", "layers": layers}}
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.12.0"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = np.array([b"in", b"hidden", b"out"])
        weights.create_group("in").attrs["weight_names"] = np.array([], dtype="S1")
        for name, shape in (("hidden", (4, 3)), ("out", (3, 2))):
            group = weights.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()])
            group[f"{name}/kernel:0"] = generator.standard_normal(shape).astype(np.float32)
            group[f"{name}/bias:0"] = generator.standard_normal(shape[1]).astype(np.float32)
    return path


def _dense(name: str, units: int, activation: str) -> dict:
    return {"class_name": "Dense", "config": {"name": name, "units": units, "activation": activation, "use_bias": True}}


def wheel(folder: Path, members: dict[str, bytes]) -> Package:
    path = folder / "made_up-1.0-py3-none-any.whl"
    path.write_bytes(zipped(members))
    return package(path)


def source_archive(folder: Path, members: dict[str, bytes]) -> Package:
    path = folder / "made-up-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return package(path)


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def package(path: Path) -> Package:
    return Package("made-up", "1.0", path.name, sha256(path.read_bytes()), "MIT", "nobody")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model(content: bytes, *member: str, **more: str) -> RealModel:
    return RealModel("tiny", "made-up", member, sha256(content), "nothing", "made_up", **more)
