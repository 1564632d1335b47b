"""The names of groups in files by position: the class of a layer, and a counter where there are several.

The counters have gaps (Keras 2.12 counts a layer with weights twice), so the n-th layer of a class takes the n-th group
of that class whatever its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from parity.keras.graph import Model, Node
from parity.keras.listing import CONTAINERS

Value = TypeVar("Value")
_MEMBERS = "layers"
"""What the group of a model's layers is called here; in files it is one of `CONTAINERS`."""


def group_name(class_name: str) -> str:
    """Return the group name that Keras makes from a class name."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def without_counter(name: str) -> str:
    """Return the name of a group without its number."""
    return re.sub(r"_\d+$", "", name)


def by_counter(names: Iterable[str]) -> list[str]:
    """Return names of groups by class, then by their numbers."""

    def key(name: str) -> tuple[str, int]:
        match = re.search(r"_(\d{1,9})$", name)
        return without_counter(name), int(match.group(1)) if match else 0

    return sorted(names, key=key)


def members_in_place(model: Model, place: str) -> Iterator[tuple[Node, str]]:
    """Yield every layer of a model that is part of a layer, and its place in that layer, as `counted` has it."""
    met: dict[str, int] = {}
    for member in model.members:
        kind = group_name(member.class_name)
        met[kind] = met.get(kind, -1) + 1
        inside = f"{place}/{_MEMBERS}/{kind}#{met[kind]}"
        if isinstance(member, Model):
            yield from members_in_place(member, inside)
        else:
            yield member, inside


def counted(parts: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parts of a layer by their places, with the layers of a model inside numbered by class from 0.

    A place is a path in the file, such as `layer/layers/dense_3`, which becomes `layer/layers/dense#1`, if it is the
    second. Keras 2 calls a part after the attribute that holds it, Keras 3 after a public one if there is one, so
    leading underscores go.
    """
    members: dict[str, set[str]] = {}
    for place in parts:
        names = place.split("/")
        for i, name in enumerate(names[1:], start=1):
            if names[i - 1] in CONTAINERS:
                members.setdefault("/".join(names[:i]), set()).add(name)
    numbers: dict[str, str] = {}
    for folder, inside in members.items():
        met: dict[str, int] = {}
        for name in by_counter(inside):
            kind = without_counter(name)
            met[kind] = met.get(kind, -1) + 1
            numbers[f"{folder}/{name}"] = f"{kind}#{met[kind]}"
    renamed: dict[str, Value] = {}
    for place, value in parts.items():
        names = place.split("/")
        paths = ["/".join(names[: i + 1]) for i in range(len(names))]
        here = (_MEMBERS if name in CONTAINERS else name.lstrip("_") for name in names)
        renamed["/".join(numbers.get(path, name) for path, name in zip(paths, here, strict=True))] = value
    return renamed
