"""Reading Keras files: HDF5 in three layouts and the `.keras` archive. Only data is read, nothing is run.

Layouts (found by writing files with Keras 2.12 and Keras 3.15 and looking at them):

* "by layer name" (Keras 2, and Keras 3's legacy `.h5`): a group with the attribute `layer_names`; every layer
  group lists its tensors, in order, in `weight_names`. It is the file's root for `save_weights`, and
  `/model_weights` beside the root attribute `model_config` for `save`.
* "by position" (`.weights.h5` of Keras 2.12 to 3): groups named after the snake-case *class* with a counter,
  tensors as `vars/0`, `vars/1`, ...; the groups lie in `layers` (Keras 3) or in
  `_layer_checkpoint_dependencies` (Keras 2.12 to 2.15).
* `.keras`: a zip archive of `config.json`, `metadata.json` and `model.weights.h5` (by position).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from parity.errors import brief
from parity.keras.errors import ConversionError, few
from parity.keras.listing import (
    CONTAINERS,
    PositionedGroup,
    has_attribute,
    member_of,
    root_of_positions,
    tensors_by_name,
    text_of,
)
from parity.keras.stored_tensor import H5PY_ERRORS, StoredTensor, reading
from parity.looks import look, problem_of_archive, too_large

_LONGEST_CONFIG = 32 << 20
"""Bytes of an architecture; one of 10,000 layers takes a fifth of it."""


@dataclass(frozen=True)
class KerasFile:
    """What a Keras file holds.

    Attributes
    ----------
    path
        The file.
    config
        The architecture stored in the file, or None in a weights-only file.
    keras_version
        As the file states it, or "" if it does not.
    by_name
        Layer name -> its tensors in order, for the "by layer name" layout, else None.
    by_position
        The root of the "by position" layout, else None.
    keras_3_layout
        Whether the layout is one that Keras 3 writes and Keras 2.12 does not.
    """

    path: Path
    config: dict[str, Any] | None
    keras_version: str
    by_name: Mapping[str, tuple[StoredTensor, ...]] | None
    by_position: PositionedGroup | None
    keras_3_layout: bool = False


@contextmanager
def open_keras(path: Path) -> Iterator[KerasFile]:
    """Open a Keras file and list what it holds; tensors can be read until the context ends.

    Raises
    ------
    ConversionError
        If the file is absent, damaged, not HDF5, HDF5 but not written by Keras, or from a backend whose
        convolution kernels are stored differently.
    """
    _refuse_other_things(path)
    look(read_all, path, error=ConversionError)
    with _opened(path) as opened:
        yield opened


def read_all(path: Path) -> None:
    """Read all that is ever read of a file, and forget it: what `parity.looks` does in its child process.

    Raises
    ------
    ConversionError
        As `open_keras`, or if a tensor is damaged.
    """
    with _opened(path) as opened:
        for tensor in _tensors(opened):
            try:
                tensor.read()
            except ConversionError as error:
                if error.__cause__ is not None:  # otherwise it is whole, and none that a layer can have
                    raise


def _tensors(file: KerasFile) -> Iterator[StoredTensor]:
    """Yield every tensor that a file lists."""
    for tensors in (file.by_name or {}).values():
        yield from tensors
    groups = [file.by_position] if file.by_position else []
    while groups:
        group = groups.pop()
        yield from group.variables
        for tensors in group.parts.values():
            yield from tensors
        groups += group.members.values()


def _refuse_other_things(path: Path) -> None:
    if path.is_dir():
        raise ConversionError(
            f"{path} is a directory (a TensorFlow SavedModel?). Save the model as one file: model.save('model.h5')."
        )
    if _is_checkpoint(path):
        raise ConversionError(
            f"{path} is a TensorFlow checkpoint, which holds tensors without the model. Load it into the model "
            "(model.load_weights), and save that as one file: model.save('model.h5')."
        )
    if not path.is_file():
        raise ConversionError(f"{path}: there is no such file.")


@contextmanager
def _opened(path: Path) -> Iterator[KerasFile]:
    if zipfile.is_zipfile(path):
        with _open_archive(path) as opened:
            yield opened
        return
    try:
        file = h5py.File(path, "r")
    except H5PY_ERRORS as error:
        raise ConversionError(
            f"{path} cannot be opened as HDF5: it is truncated, damaged or something else ({brief(error)}). "
            "Expected a Keras .h5, .weights.h5 or .keras file; copy or save it again."
        ) from error
    with file:
        yield _listed(path, file, "the file's structure")


def _listed(path: Path, file: h5py.File, what: str) -> KerasFile:
    """Return what a file holds if it declares no more than its size can stand for."""
    with reading(path, what):
        content = _list_content(path, file)
        declared = sum(tensor.bytes for tensor in _tensors(content))
    if problem := too_large(declared, path):
        raise ConversionError(f"{path} {problem}.")
    return content


def stored_config(path: Path) -> dict[str, Any] | None:
    """Return the architecture in an HDF5 file, None if it holds none.

    Raises
    ------
    ConversionError
        If it cannot be read, or the file is not HDF5.
    """
    look(_config_of, path, error=ConversionError)
    return _config_of(path)


def _config_of(path: Path) -> dict[str, Any] | None:
    with reading(path, "the architecture"), h5py.File(path, "r") as file:
        return _parse_config(path, file.attrs["model_config"]) if "model_config" in file.attrs else None


def _is_checkpoint(path: Path) -> bool:
    """Return whether a path is one of the files of a checkpoint, or what their names begin with."""
    named = path.name == "checkpoint" or path.suffix == ".index" or ".data-0" in path.name
    return named or path.with_name(f"{path.name}.index").is_file()


def read_json_config(path: Path) -> dict[str, Any]:
    """Read an architecture written by `model.to_json()`.

    Raises
    ------
    ConversionError
        If the file is absent or is not a JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path}: the architecture cannot be read ({brief(error)}).") from error
    return _parse_config(path, text)


@contextmanager
def _open_archive(path: Path) -> Iterator[KerasFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith("/data.pkl") for name in names):
                raise ConversionError(
                    f"{path} is a file of torch.save, which is not read here (nothing in it was unpickled). "
                    "Give the Keras file that the weights come from: .h5, .weights.h5 or .keras."
                )
            for needed in ("config.json", "model.weights.h5"):
                if needed not in names:
                    raise ConversionError(
                        f"{path} is a zip archive without {needed!r}, so it is not a .keras model. "
                        "Save the model again: model.save('model.keras') or model.save('model.h5')."
                    )
            if problem := problem_of_archive(archive, path):
                raise ConversionError(f"{path} {problem}.")
            for described in {"config.json", "metadata.json"}.intersection(names):
                if archive.getinfo(described).file_size > _LONGEST_CONFIG:
                    raise ConversionError(f"{path}: {described!r} unpacks to more than {_LONGEST_CONFIG >> 20} MiB.")
            config = _parse_config(path, archive.read("config.json"))
            version = ""
            if "metadata.json" in names:
                version = str(_parse_config(path, archive.read("metadata.json")).get("keras_version", ""))
            weights = io.BytesIO(archive.read("model.weights.h5"))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise ConversionError(
            f"{path}: the .keras archive is damaged ({brief(error)}). Copy or save it again."
        ) from error
    with reading(path, "'model.weights.h5' in the archive"):
        file = h5py.File(weights, "r")
    with file:
        content = _listed(path, file, "'model.weights.h5' in the archive")
        yield replace(content, config=config, keras_version=version)


def _list_content(path: Path, file: h5py.File) -> KerasFile:
    config = None
    if "model_config" in file.attrs:
        config = _parse_config(path, file.attrs["model_config"])
    root = file
    if has_attribute(file, "layer_names"):
        root = file
    elif "model_weights" in file:
        root = member_of(path, file, "model_weights")
    elif not any(name in file for name in CONTAINERS):
        raise ConversionError(
            f"{path} is not a Keras model, or not a Sequential or Functional one: there is neither 'model_weights', "
            f"nor the attribute 'layer_names', nor a group 'layers'; there is {few(file)}. A model of a class of your "
            "own, whose code is never run, stores its weights otherwise. Build it as keras.Sequential or "
            "keras.Model(inputs, outputs), and save that with model.save('model.h5')."
        )
    backend = text_of(root.attrs.get("backend", file.attrs.get("backend", "tensorflow")))
    if backend not in ("tensorflow", "jax", "torch", "numpy"):
        raise ConversionError(
            f"{path} was written by Keras on the backend {backend!r}, which stores convolution kernels differently. "
            "Load it there, and save it with the TensorFlow backend."
        )
    version = text_of(root.attrs.get("keras_version", file.attrs.get("keras_version", "")))
    if has_attribute(root, "layer_names"):
        return KerasFile(path, config, version, tensors_by_name(path, root), None)
    if any(name in root for name in CONTAINERS):
        return KerasFile(path, config, version, None, root_of_positions(path, root), keras_3_layout="layers" in root)
    raise ConversionError(
        f"{path}: the group 'model_weights' has no attribute 'layer_names'. "
        "The file is incomplete: save the model again."
    )


def _parse_config(path: Path, text: Any) -> dict[str, Any]:
    try:
        config = json.loads(text_of(text), object_hook=_untuple)
    except (ValueError, RecursionError) as error:
        raise ConversionError(
            f"{path}: the architecture is not valid JSON ({brief(error)}). Save the model again."
        ) from error
    if not isinstance(config, dict):
        raise ConversionError(f"{path}: the architecture is not a JSON object. Save it with model.to_json().")
    return config


def _untuple(value: dict[str, Any]) -> Any:
    """Turn Keras's JSON form of a tuple into a list."""
    return value["items"] if value.get("class_name") == "__tuple__" and "items" in value else value
