"""One real model through the harness: made whole, given its inputs, explained on both sides, and judged."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.judged.standing import Standing, stand
from bench.real.fetch import Cache
from bench.real.inputs import INPUTS
from bench.real.models import RealModel
from parity import keras
from parity.errors import ParityError
from parity.reference.environment import find_python, worker_environment

ARCHITECTURES = Path(__file__).with_name("architectures.py")


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


def inputs(cache: Cache, model: RealModel, path: Path) -> list[Path]:
    """Write the model's samples beside it and return the files, each with an array for every input of the model."""
    folder = cache.folder / "inputs" / model.inputs
    folder.mkdir(parents=True, exist_ok=True)
    names = [name.replace("/", "_") for name, _ in keras.load(path).description.inputs]
    paths = []
    for name, sample in INPUTS[model.inputs](cache.shipped).items():
        if isinstance(sample, tuple):
            paths.append(folder / f"{name}.npz")
            arrays: dict[str, Any] = dict(zip(names, sample, strict=True))
            np.savez(paths[-1], **arrays)
        else:
            paths.append(folder / f"{name}.npy")
            np.save(paths[-1], sample)
    return paths


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
    path = whole(cache, model)
    return stand(path, lambda: inputs(cache, model, path), methods or [model.methods], directory / model.name, options)
