"""Many answers of the reference in one file, for machines without TensorFlow: a zip of entries that nobody changes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from parity.errors import ParityError
from parity.reference.entries import from_bytes
from parity.reference.request import Backend, ReferenceAnswer
from parity.reference.store import ResultStore

SHIPPED = Path(__file__).resolve().parents[1] / "assets" / "data" / "references.zip"
"""What comes with the package: the core methods on the shipped models."""
_MANIFEST = "manifest.json"
_FORMAT = 1
_LARGEST_ENTRY = 1 << 28
_NEVER = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same answers are the same bytes."""


class PackError(ParityError):
    """A file is no pack of references, or cannot be read or written."""


class PackedAnswers:
    """The answers in a pack, found by key; nothing is written.

    Parameters
    ----------
    path : pathlib.Path
        A file that `write_pack` made.

    Attributes
    ----------
    manifest : mapping
        How it was made: "created", "command", and "environment" (backend -> versions).

    Raises
    ------
    PackError
        If it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = zipfile.ZipFile(path)
            self.manifest: Mapping[str, Any] = json.loads(self._read(_MANIFEST))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise PackError(f"{path} is no pack of references: {error}") from error
        if self.manifest.get("format") != _FORMAT:
            raise PackError(f"{path} has the format {self.manifest.get('format')!r}, expected {_FORMAT}")
        self._names = frozenset(self._file.namelist())

    def names(self) -> Iterator[str]:
        """Yield the keys of all answers."""
        return (name.removesuffix(".npz") for name in self._file.namelist() if name.endswith(".npz"))

    def has(self, key: str) -> bool:
        """Return whether there is an answer."""
        return f"{key}.npz" in self._names

    def get(self, key: str) -> ReferenceAnswer | None:
        """Return an answer, None if there is none.

        Raises
        ------
        PackError
            If it is damaged: a pack is not mended by computing again.
        """
        if not self.has(key):
            return None
        try:
            answer = from_bytes(key, self._read(f"{key}.npz"))
        except Exception as error:  # damaged bytes can make the readers raise anything
            raise PackError(f"{self.path}: the answer {key} is damaged: {error}") from error
        answer.from_store = True
        return answer

    def environment(self, backend: str) -> dict[str, str]:
        """Return the versions that a backend's answers were computed with."""
        versions = self.manifest.get("environment", {}).get(backend, {})
        return {str(name): str(value) for name, value in versions.items()}

    def _read(self, name: str) -> bytes:
        size = self._file.getinfo(name).file_size
        if size > _LARGEST_ENTRY:
            raise ValueError(f"{name} declares {size} bytes")
        return self._file.read(name)


def write_pack(store: ResultStore, path: Path, about: Mapping[str, Any]) -> int:
    """Write every answer of a store into a pack and return how many there are.

    Parameters
    ----------
    store : ResultStore
        Where the answers lie; all of them are taken.
    path : pathlib.Path
        The pack; replaced if it exists, and never half written.
    about : mapping
        Goes into the manifest.

    Raises
    ------
    PackError
        If there is nothing to pack, or the file cannot be written.
    """
    entries = sorted(store.root.glob("??/??/*.npz"))
    if not entries:
        raise PackError(f"the store {store.root} has no answers")
    backends: tuple[Backend, ...] = get_args(Backend)
    environment = {backend: store.environment(backend) for backend in backends}
    manifest = {"format": _FORMAT, **about, "environment": environment}
    part = path.with_name(f"{path.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(_member(_MANIFEST), json.dumps(manifest, indent=1, sort_keys=True))
            for entry in entries:
                file.writestr(_member(entry.name), entry.read_bytes())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PackError(f"cannot write {path}: {error.strerror or error}") from error
    return len(entries)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _NEVER)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
