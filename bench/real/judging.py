"""One real model through the harness: made whole, explained on both sides, judged, and what came of it kept."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bench.real.fetch import Cache
from bench.real.inputs import INPUTS, Array
from bench.real.models import RealModel
from parity import keras
from parity.errors import ParityError
from parity.reference.environment import find_python, worker_environment
from parity.run.results import dumps, write_atomically
from parity.run.session import Session

ARCHITECTURES = Path(__file__).with_name("architectures.py")
STANDING = "standing.json"
"""What became of a model, beside its report."""


@dataclass(frozen=True)
class Standing:
    """What became of one model.

    Attributes
    ----------
    layers : mapping
        How many layers of each Keras class it has, nested ones included.
    refused : str
        The converter's sentence, or why it could not be made whole; empty if it was run.
    document : mapping or None
        The results of its run, as `parity run` writes them.
    """

    layers: Mapping[str, int]
    refused: str = ""
    document: Mapping[str, Any] | None = None


def whole(cache: Cache, model: RealModel) -> Path:
    """Return a file that Keras reads without the package: the package's own, or one made of it.

    Raises
    ------
    ParityError
        If it cannot be fetched, or the reference environment cannot make it whole.
    """
    source = cache.model(model)
    if not model.architecture:
        return source
    path = cache.folder / "whole" / f"{model.name}.h5"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{model.name}.part.h5")
    command = [str(find_python()), "-s", str(ARCHITECTURES), model.architecture, str(source), str(part)]
    done = subprocess.run(command, env=worker_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ParityError(f"{model.name}: the reference environment cannot make it whole", done.stderr)
    part.replace(path)
    return path


def inputs(cache: Cache, model: RealModel) -> list[Path]:
    """Write the model's samples beside it and return the files; several inputs travel as one vector."""
    folder = cache.folder / "inputs" / model.inputs
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, sample in INPUTS[model.inputs](cache.shipped).items():
        paths.append(folder / f"{name}.npy")
        np.save(paths[-1], _joined(sample))
    return paths


def _joined(sample: Array | tuple[Array, ...]) -> Array:
    if not isinstance(sample, tuple):
        return sample
    return np.concatenate([part.ravel() for part in sample])


def judged(
    cache: Cache, model: RealModel, methods: Sequence[str], directory: Path, options: Mapping[str, Any]
) -> Standing:
    """Run a model and keep its standing in a folder of its name.

    Parameters
    ----------
    cache : Cache
        Where archives lie.
    model : RealModel
        The model.
    methods : sequence of str
        Names or globs; none for those of the table.
    directory : pathlib.Path
        The folder of all reports.
    options : mapping
        Further fields of `parity.run.session.Session`.

    Raises
    ------
    ParityError
        If the model cannot be had, or nothing of it could be compared.
    """
    path, folder = whole(cache, model), directory / model.name
    layers = layer_classes(path)
    try:
        keras.load(path)
    except ParityError as error:
        standing = Standing(layers, str(error).replace(str(path), path.name))
    else:
        files = [str(file) for file in inputs(cache, model)]
        session = Session([str(path)], methods or [model.methods], files, directory=folder, **options)
        standing = Standing(layers, document=session.run())
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"layers": dict(layers), "refused": standing.refused, "document": standing.document}
    write_atomically(folder / STANDING, dumps(kept))
    return standing


def standing_of(directory: Path, name: str) -> Standing | None:
    """Return what an earlier run said of a model, None if there was none."""
    path = directory / name / STANDING
    return Standing(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def layer_classes(path: Path) -> dict[str, int]:
    """Return how many layers of each class a Keras file describes, the commonest first; {} for weights alone."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            text: Any = archive.read("config.json")
    else:
        with h5py.File(path) as file:
            text = file.attrs.get("model_config", "{}")
    return dict(Counter(_classes(json.loads(text))).most_common())


def _classes(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the classes of the layers of a model's configuration; a wrapped layer stands in brackets."""
    inner = config.get("config", {})
    for layer in inner if isinstance(inner, list) else inner.get("layers", []):
        if layer["class_name"] in ("Model", "Functional", "Sequential"):
            yield from _classes(layer)
        elif layer["class_name"] != "InputLayer":
            wrapped = layer["config"].get("layer", {}).get("class_name")
            yield f"{layer['class_name']}({wrapped})" if wrapped else layer["class_name"]
