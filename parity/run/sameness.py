"""What decides a case besides its model, input, method and lane: only where all of it is the same is a row taken over.

Whatever cannot be shown to be the same counts as another: the case is then computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import parity
import signxai_torch
from parity.assets.source import ModelSource
from parity.hashing import file_sha256, json_sha256
from parity.run.machine import cpu
from parity.run.subjects import Subject
from parity.run.subjects.loading import loaded_files

PACKAGES = ("numpy", "torch", "zennit", "scipy", "scikit-image", "pillow", "h5py")
"""Of the harness, some of which it loads late; what else is loaded is seen by `Packages`."""
_OF_A_WORKER = ("threads", "onednn")
"""What a reference tells once a worker has started: no version, and models that need another oneDNN have other keys."""
_ROOTS = (Path(parity.__file__).resolve().parent, Path(signxai_torch.__file__).resolve().parent)


def decides(subject: Subject, reference: Mapping[str, str] | None, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what decides every case of a run, as JSON values.

    Parameters
    ----------
    subject : Subject
        The implementation under test.
    reference : mapping or None
        Versions of the reference side. None: they are not known, so nothing can be shown to be the same.
    options : mapping
        What the user chose, as JSON values.
    """
    if reference is None:
        return None
    found = {
        "here": here(),
        "subject": [subject.name, subject.spec, subject.versions()],
        "reference": {name: str(value) for name, value in reference.items() if name not in _OF_A_WORKER},
        "options": options,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))  # as the journal gives it back
    return plain


def here() -> dict[str, str]:
    """Return what of this process decides a case: code, packages, machine."""
    packages = [f"{name} {_version(name)}" for name in PACKAGES]
    machine = [platform.python_version(), platform.system(), platform.machine(), cpu()]
    return {"code": _code(), "packages": ", ".join(packages), "machine": ", ".join(map(str, machine))}


def model_id(source: ModelSource, large: bool) -> str:
    """Return what tells a model from another of its name: bytes, description, output, and which lanes it is judged in.

    Raises
    ------
    OSError
        If its description cannot be read.
    """
    config = None if source.config is None else file_sha256(source.config)
    told = [source.input_shape] if source.input_shape else []
    return json_sha256([source.sha256, source.architecture, config, source.output, source.preprocessing, large, *told])


class LooseFiles:
    """The Python files that this process has loaded and that no version speaks of: a subject's, and what it imports."""

    def __init__(self) -> None:
        self._seen = (0, 0)
        self._files: dict[str, str] = {}

    def news(self) -> dict[str, str]:
        """Return path -> SHA-256 of those that are new since the last call."""
        loaded = loaded_files()
        if (seen := (len(sys.modules), len(loaded))) == self._seen:
            return {}
        self._seen = seen
        paths = {os.path.abspath(file) for module in list(sys.modules.values()) if (file := _file_of(module))}  # noqa: PTH100
        digests = {str(path): digest for path, digest in loaded.items()}
        for path in sorted(paths - self._files.keys() - digests.keys()):
            if not path.startswith(_installed()):
                digests[path] = _digest(path)
        new = {path: digest for path, digest in digests.items() if self._files.get(path) != digest}
        self._files |= new
        return new


class Packages:
    """The installed distributions of which this process has loaded a module: a subject may import any of them."""

    def __init__(self) -> None:
        self._seen = 0
        self._versions: dict[str, str] = {}

    def news(self) -> dict[str, str]:
        """Return name -> version of those that are new since the last call."""
        if len(sys.modules) == self._seen:
            return {}
        self._seen = len(sys.modules)
        known = _distributions()
        names = {name for module in list(sys.modules) for name in known.get(module.partition(".")[0], ())}
        new = {name: _version(name) or "" for name in sorted(names - self._versions.keys())}
        self._versions |= new
        return new


def unchanged(files: Mapping[str, str], packages: Mapping[str, str]) -> bool:
    """Return whether files and installed packages are as they were."""
    same = all((_version(name) or "") == version for name, version in packages.items())
    return same and all(_digest(path) == digest for path, digest in files.items())


def _digest(path: str) -> str:
    try:
        return file_sha256(Path(path))
    except OSError:
        return ""


def _file_of(module: object) -> str | None:
    try:
        file = getattr(module, "__file__", None)
    except Exception:  # a module may be any object, and compute its attributes
        return None
    return file if isinstance(file, str) and file.endswith(".py") else None


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the distributions of each top-level module."""
    return metadata.packages_distributions()


@cache
def _installed() -> tuple[str, ...]:
    """Return where files lie that have a version, or are this package's (see `_code`)."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in paths}
    return tuple(sorted(f"{folder}{os.sep}" for folder in (*folders, *map(str, _ROOTS))))


@cache
def _code() -> str:
    """Return a digest of the code of harness and port, which changes more often than its version."""
    digest = hashlib.sha256()
    for root in _ROOTS:
        for path in sorted(one for ending in ("py", "json") for one in root.rglob(f"*.{ending}")):
            digest.update(f"{path.relative_to(root)}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
