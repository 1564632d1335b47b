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
import itertools
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from parity.errors import brief
from parity.keras.errors import ConversionError
from parity.looks import look, problem_of_archive, too_large

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
# Random number generators of dropout-like layers: state of the training, not weights.
_TRAINING_STATE = ("seed_generator", "_random_generator")
_DEEPEST_NESTING = 32
_LONGEST_CONFIG = 32 << 20
"""Bytes of an architecture; one of 10,000 layers takes a fifth of it."""
# What h5py raises, depending on where in the file the damage lies.
_H5PY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)


@dataclass(frozen=True)
class StoredTensor:
    """One tensor in a file, not read yet.

    Attributes
    ----------
    path
        Where it lies in the HDF5 file.
    shape
        Its declared shape.
    """

    path: str
    shape: tuple[int, ...]
    _dataset: h5py.Dataset = field(repr=False, compare=False)
    _file: Path = field(repr=False, compare=False)

    @property
    def bytes(self) -> int:
        """What reading it takes: its own size, or that of the pieces that it is packed in."""
        itemsize = int(self._dataset.dtype.itemsize)
        return itemsize * max(math.prod(self.shape), math.prod(self._dataset.chunks or (0,)))

    def read(self) -> npt.NDArray[np.floating[Any]]:
        """Return the values as they are stored.

        Raises
        ------
        ConversionError
            If the data is not there, cannot be read, or is not a float tensor.
        """
        with _reading(self._file, f"the tensor {self.path!r}"):
            dataset = self._dataset
            kind = dataset.dtype
            missing = _missing_data(dataset)
            count = kind.kind in "iu" and self.shape == ()  # of the samples that a layer has seen
            readable = kind.kind == "f" or count
            values = None if missing or not readable else np.asarray(dataset[()])
        if not readable:
            raise ConversionError(
                f"{self._file}: the tensor {self.path!r} holds {kind}, not floating point numbers. "
                "Quantised weights are not supported: save the model with float weights."
            )
        if missing:
            raise ConversionError(f"{self._file}: the tensor {self.path!r} {missing}. Copy or save the file again.")
        assert values is not None
        return values


@dataclass(frozen=True)
class PositionedGroup:
    """One layer (or model) of a "by position" file.

    Attributes
    ----------
    path
        Where the group lies in the file.
    variables
        `vars/0`, `vars/1`, ... in order.
    members
        The layers inside, if it is a model, by group name.
    stray
        Paths of tensors inside the group that belong to none of these.
    parts
        `vars/0`, `vars/1`, ... of what the layer is made of, such as the cell of a recurrent layer, by where it lies
        in the group (`"cell"`, `"forward_layer/cell"`).
    """

    path: str
    variables: tuple[StoredTensor, ...]
    members: Mapping[str, PositionedGroup]
    stray: tuple[str, ...]
    parts: Mapping[str, tuple[StoredTensor, ...]] = field(default_factory=dict)


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
    except _H5PY_ERRORS as error:
        raise ConversionError(
            f"{path} cannot be opened as HDF5: it is truncated, damaged or something else ({brief(error)}). "
            "Expected a Keras .h5, .weights.h5 or .keras file; copy or save it again."
        ) from error
    with file:
        yield _listed(path, file, "the file's structure")


def _listed(path: Path, file: h5py.File, what: str) -> KerasFile:
    """Return what a file holds if it declares no more than its size can stand for."""
    with _reading(path, what):
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
    with _reading(path, "the architecture"), h5py.File(path, "r") as file:
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
    with _reading(path, "'model.weights.h5' in the archive"):
        file = h5py.File(weights, "r")
    with file:
        content = _listed(path, file, "'model.weights.h5' in the archive")
        yield replace(content, config=config, keras_version=version)


def _list_content(path: Path, file: h5py.File) -> KerasFile:
    config = None
    if "model_config" in file.attrs:
        config = _parse_config(path, file.attrs["model_config"])
    root = file
    if _has_attribute(file, "layer_names"):
        root = file
    elif "model_weights" in file:
        root = _child(path, file, "model_weights")
    elif not any(name in file for name in _CONTAINERS):
        raise ConversionError(
            f"{path} is an HDF5 file, but not a Keras model: it has neither 'model_weights', nor the attribute "
            "'layer_names', nor a group 'layers'. Save the model with model.save('model.h5')."
        )
    backend = _text(root.attrs.get("backend", file.attrs.get("backend", "tensorflow")))
    if backend not in ("tensorflow", "jax", "torch", "numpy"):
        raise ConversionError(
            f"{path} was written by Keras on the backend {backend!r}, which stores convolution kernels differently. "
            "Load it there, and save it with the TensorFlow backend."
        )
    version = _text(root.attrs.get("keras_version", file.attrs.get("keras_version", "")))
    if _has_attribute(root, "layer_names"):
        return KerasFile(path, config, version, _tensors_by_name(path, root), None)
    if any(name in root for name in _CONTAINERS):
        positioned = _positioned_group(path, root, 0, set())
        return KerasFile(path, config, version, None, positioned, keras_3_layout="layers" in root)
    raise ConversionError(
        f"{path}: the group 'model_weights' has no attribute 'layer_names'. "
        "The file is incomplete: save the model again."
    )


def _tensors_by_name(path: Path, root: h5py.Group) -> dict[str, tuple[StoredTensor, ...]]:
    tensors: dict[str, tuple[StoredTensor, ...]] = {}
    listed: set[str] = set()
    layer_names = _string_list(root, "layer_names")
    # Weights of the model itself, outside every layer; nearly always empty.
    outside = "top_level_model_weights"
    if outside in root and outside not in layer_names:
        layer_names.append(outside)
    for layer_name in layer_names:
        group = _child(path, root, layer_name)
        found = []
        for weight_name in _string_list(group, "weight_names"):
            found.append(_stored(path, _child(path, group, weight_name)))
        if layer_name in tensors:
            raise ConversionError(f"{path}: the layer name {layer_name!r} is listed twice. Save the model again.")
        tensors[layer_name] = tuple(found)
        listed.update(tensor.path for tensor in found)
    left_over = [name for name in _all_datasets(root) if name not in listed]
    if left_over:
        raise ConversionError(
            f"{path}: the tensor {left_over[0]!r} is left over: no layer lists it "
            f"({len(left_over)} such). The file was changed after Keras wrote it: save the model again."
        )
    return tensors


def _positioned_group(path: Path, group: h5py.Group, depth: int, met: set[int]) -> PositionedGroup:
    if depth > _DEEPEST_NESTING:
        raise ConversionError(f"{path}: models are nested more than {_DEEPEST_NESTING} deep at {group.name!r}.")
    _refuse_second_way(path, group, met)
    variables: tuple[StoredTensor, ...] = ()
    members: dict[str, PositionedGroup] = {}
    stray: list[str] = []
    parts: dict[str, tuple[StoredTensor, ...]] = {}
    for name in group:
        child = _child(path, group, name)
        if name == "vars":
            variables = _numbered(path, child)
        elif name in _CONTAINERS:
            for member in child:
                members[member] = _positioned_group(path, _child(path, child, member), depth + 1, met)
        elif depth > 0 and name not in _TRAINING_STATE:
            # At depth 0 these are the optimizer, metrics and the like.
            stray += (
                [child.name] if isinstance(child, h5py.Dataset) else _parts(path, child, name, depth + 1, parts, met)
            )
    return PositionedGroup(str(group.name), variables, members, tuple(stray), parts)


def _parts(
    path: Path, group: h5py.Group, place: str, depth: int, parts: dict[str, tuple[StoredTensor, ...]], met: set[int]
) -> list[str]:
    """Note the numbered tensors inside a part of a layer, and of its parts; return the paths of all others."""
    if depth > _DEEPEST_NESTING:
        raise ConversionError(f"{path}: layers are nested more than {_DEEPEST_NESTING} deep at {group.name!r}.")
    _refuse_second_way(path, group, met)
    stray: list[str] = []
    for name in group:
        child = _child(path, group, name)
        if isinstance(child, h5py.Dataset):
            stray.append(str(child.name))
        elif name == "vars":
            parts[place] = _numbered(path, child)
        elif name not in _TRAINING_STATE:
            stray += _parts(path, child, f"{place}/{name}", depth + 1, parts, met)
    return stray


def _refuse_second_way(path: Path, group: h5py.Group, met: set[int]) -> None:
    """Refuse a group that was met before: links that double at each level make one small file a forest without end."""
    address = int(h5py.h5o.get_info(group.id).addr)
    if address in met:
        raise ConversionError(
            f"{path}: there are two ways to the group {group.name!r}, by a hard link that Keras does not write. "
            "Save the model again with Keras."
        )
    met.add(address)


def _numbered(path: Path, group: h5py.Group) -> tuple[StoredTensor, ...]:
    numbered = sorted(group, key=lambda key: (len(key), key))
    if numbered != [str(i) for i in range(len(numbered))]:
        raise ConversionError(
            f"{path}: the tensors in {group.name!r} are {numbered}, not 0, 1, 2, ... in sequence. "
            "The file is incomplete: save the weights again."
        )
    return tuple(_stored(path, _child(path, group, key)) for key in numbered)


def _child(path: Path, group: h5py.Group, name: str) -> Any:
    """Return a member of a group; only hard links are followed, so that no other file is ever opened."""
    node = group
    for part in name.split("/"):
        if not part:
            continue
        if not isinstance(node, h5py.Group) or part not in node:
            raise ConversionError(
                f"{path}: {name!r} is listed in {group.name!r} but is not there. "
                "The file is incomplete: save the model again."
            )
        if not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise ConversionError(
                f"{path}: {name!r} in {group.name!r} is a link to elsewhere, which is not followed. "
                "Save the model again with Keras."
            )
        node = node[part]
    return node


def _stored(path: Path, dataset: Any) -> StoredTensor:
    if not isinstance(dataset, h5py.Dataset):
        raise ConversionError(f"{path}: {dataset.name!r} should be a tensor but is a group. Save the model again.")
    return StoredTensor(str(dataset.name), tuple(int(n) for n in dataset.shape), dataset, path)


def _all_datasets(group: h5py.Group) -> list[str]:
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(str(item.name))

    group.visititems(visit)
    return found


def _missing_data(dataset: h5py.Dataset) -> str:
    """Say what part of a dataset was never written; HDF5 would return zeros for it without a word."""
    if dataset.is_virtual or dataset.external:
        return "keeps its data in another file"
    if dataset.size == 0:
        return ""
    if dataset.chunks:
        expected = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
        if dataset.id.get_num_chunks() < expected:
            return f"has only {dataset.id.get_num_chunks()} of its {expected} chunks"
        return ""
    stored = dataset.id.get_storage_size()
    if stored < dataset.nbytes:
        return f"has only {stored} of its {dataset.nbytes} bytes"
    return ""


def _has_attribute(group: h5py.Group, name: str) -> bool:
    return name in group.attrs or f"{name}0" in group.attrs


def _string_list(group: h5py.Group, name: str) -> list[str]:
    """Return a list attribute; Keras splits one over 64 KB into name0, name1, ..."""
    if name in group.attrs:
        return [_text(item) for item in group.attrs[name]]
    found: list[str] = []
    for i in itertools.count():
        if f"{name}{i}" not in group.attrs:
            return found
        found += [_text(item) for item in group.attrs[f"{name}{i}"]]
    raise AssertionError("unreachable")


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _parse_config(path: Path, text: Any) -> dict[str, Any]:
    try:
        config = json.loads(_text(text), object_hook=_untuple)
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


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except _H5PY_ERRORS as error:
        raise ConversionError(
            f"{path}: {what} cannot be read, the file is damaged ({type(error).__name__}: {brief(error)}). "
            "Copy or save it again."
        ) from error
