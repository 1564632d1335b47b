"""The tensors that an HDF5 file of Keras lists, layer by layer, in each of its two layouts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from parity.keras.errors import ConversionError
from parity.keras.stored_tensor import StoredTensor

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Groups that hold the layers of a "by position" file."""
# Random number generators of dropout-like layers: state of the training, not weights.
_TRAINING_STATE = ("seed_generator", "_random_generator")
_DEEPEST_NESTING = 32


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


def tensors_by_name(path: Path, root: h5py.Group) -> dict[str, tuple[StoredTensor, ...]]:
    """Return the tensors of each layer, in order, of a "by layer name" file.

    Raises
    ------
    ConversionError
        If a tensor is listed and not there, or there and not listed.
    """
    tensors: dict[str, tuple[StoredTensor, ...]] = {}
    listed: set[str] = set()
    layer_names = _string_list(root, "layer_names")
    # Weights of the model itself, outside every layer; nearly always empty.
    outside = "top_level_model_weights"
    if outside in root and outside not in layer_names:
        layer_names.append(outside)
    for layer_name in layer_names:
        group = member_of(path, root, layer_name)
        weight_names = _string_list(group, "weight_names")
        if layer_name in tensors:
            raise ConversionError(f"{path}: the layer name {layer_name!r} is listed twice. Save the model again.")
        tensors[layer_name] = tuple(_stored(path, member_of(path, group, name)) for name in weight_names)
        listed.update(tensor.path for tensor in tensors[layer_name])
    left_over = [name for name in _all_datasets(root) if name not in listed]
    if left_over:
        raise ConversionError(
            f"{path}: the tensor {left_over[0]!r} is left over: no layer lists it "
            f"({len(left_over)} such). The file was changed after Keras wrote it: save the model again."
        )
    return tensors


def root_of_positions(path: Path, root: h5py.Group) -> PositionedGroup:
    """Return the layers of a "by position" file.

    Raises
    ------
    ConversionError
        If the file is not as Keras writes it.
    """
    return _positioned_group(path, root, 0, set())


def _positioned_group(path: Path, group: h5py.Group, depth: int, met: set[int]) -> PositionedGroup:
    if depth > _DEEPEST_NESTING:
        raise ConversionError(f"{path}: models are nested more than {_DEEPEST_NESTING} deep at {group.name!r}.")
    _refuse_second_way(path, group, met)
    variables: tuple[StoredTensor, ...] = ()
    members: dict[str, PositionedGroup] = {}
    stray: list[str] = []
    parts: dict[str, tuple[StoredTensor, ...]] = {}
    for name in group:
        child = member_of(path, group, name)
        if name == "vars":
            variables = _numbered(path, child)
        elif name in CONTAINERS:
            for member in child:
                members[member] = _positioned_group(path, member_of(path, child, member), depth + 1, met)
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
        child = member_of(path, group, name)
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
    return tuple(_stored(path, member_of(path, group, key)) for key in numbered)


def member_of(path: Path, group: h5py.Group, name: str) -> Any:
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
    paths: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            paths.append(str(item.name))

    group.visititems(visit)
    return paths


def has_attribute(group: h5py.Group, name: str) -> bool:
    """Return whether a group has an attribute, whole or in the parts that Keras splits a long one into."""
    return name in group.attrs or f"{name}0" in group.attrs


def _string_list(group: h5py.Group, name: str) -> list[str]:
    """Return a list attribute; Keras splits one over 64 KB into name0, name1, ..."""
    if name in group.attrs:
        return [text_of(item) for item in group.attrs[name]]
    items: list[str] = []
    for i in itertools.count():
        if f"{name}{i}" not in group.attrs:
            return items
        items += [text_of(item) for item in group.attrs[f"{name}{i}"]]
    raise AssertionError("unreachable")


def text_of(value: Any) -> str:
    """Return the text of an attribute, which may be bytes."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
