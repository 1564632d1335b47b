"""The store of reference results: one file per answer, found by what the answer depends on.

An entry is an `.npz` file `xx/yy/KEY.npz` with the answer's numbers and text and a checksum over all of it.
Entries are written beside their place and moved there, so readers and other runs see a whole entry or none.
What a power cut or a bad disk damages is noticed by the checksum, and computed again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from parity.errors import ParityError
from parity.hashing import array_sha256, json_sha256
from parity.paths import cache_folder, expanded
from parity.reference.entries import from_bytes, to_bytes
from parity.reference.program import CHECKOUT
from parity.reference.request import ReferenceAnswer, ReferenceRequest

DEFAULT = ".parity-store"
_FORMAT = 1
_STALE_SECONDS = 3600.0
_WITHOUT_ONEDNN = "without-onednn.json"
# Errors that an earlier worker answered and today's does not: such an entry is as good as none.
_LIFTED_REFUSALS = (
    "only named Keras activations are built", "unhashable type: 'slice' (at calls.py", "KeyError: 0 (at config.py",
)  # fmt: skip
_log = logging.getLogger(__name__)


class StoreError(ParityError):
    """The store cannot be written or is no folder: the message says which path and why."""


def store_location(store: str | Path | None = None) -> Path:
    """Return where the store lies: the argument, `PARITY_STORE`, or a place of this installation.

    That is `.parity-store` beside the package in a checkout, else the user's cache; never the working folder, where
    answers could lie that somebody made up.

    Raises
    ------
    StoreError
        If there is no such place.
    """
    named = store or os.environ.get("PARITY_STORE")
    if named:
        return expanded(named).absolute()
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / DEFAULT
    cache = cache_folder()
    if cache is None:
        raise StoreError("there is no place for reference results: name a folder with --store or PARITY_STORE")
    return cache / "store"


def answer_key(request: ReferenceRequest, index: int, versions: Mapping[str, str]) -> str:
    """Return the key of one input's answer as hex digits.

    It covers the content of the weights, the input, the target, the call, the dtype, whether oneDNN is off, and the
    versions of packages and worker; names and paths do not matter.
    """
    content = {
        "format": _FORMAT,
        "model": request.model.sha256,
        "architecture": request.model.architecture,
        "input": array_sha256(request.inputs[index]),
        "target": None if request.call.asks_for_logits else int(request.targets[index]),
        "call": request.call.to_json(),
        "dtype": request.dtype,
        "versions": dict(versions),
    }
    if not request.onednn:  # left out where it is on: so the answers of earlier versions keep their keys
        content["onednn"] = False
    return json_sha256(content)


class ResultStore:
    """A folder of answers.

    Parameters
    ----------
    root
        See `store_location`. Made when the first answer is kept.

    Attributes
    ----------
    damaged
        Entries that were found damaged and treated as missing.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = store_location(root)
        self.damaged: list[Path] = []

    def path(self, key: str) -> Path:
        """Return where the entry of a key lies."""
        return self.root / key[:2] / key[2:4] / f"{key}.npz"

    def get(self, key: str) -> ReferenceAnswer | None:
        """Return the stored answer, or None if there is none or it is damaged."""
        path = self.path(key)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._damaged(path, error)
            return None
        try:
            answer = from_bytes(key, data)
        except Exception as error:  # a damaged file can make the readers raise anything
            self._damaged(path, error)
            return None
        if any(refusal in (answer.error or "") for refusal in _LIFTED_REFUSALS):
            return None
        answer.from_store = True
        answer.computed = answer.computed or _modified(path)
        return answer

    def put(self, key: str, answer: ReferenceAnswer) -> None:
        """Keep an answer.

        Raises
        ------
        StoreError
            If it cannot be written, for example because the disk is full. Nothing half written is left.
        """
        self._write(self.path(key), to_bytes(key, answer))

    def environment(self, backend: str) -> dict[str, str]:
        """Return the versions of the last worker that wrote here, or an empty dict."""
        try:
            versions = json.loads((self.root / f"environment-{backend}.json").read_text(encoding="utf-8"))
            return {str(name): str(value) for name, value in versions.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def put_environment(self, backend: str, versions: Mapping[str, str]) -> None:
        """Remember the versions of a worker.

        Raises
        ------
        StoreError
            If they cannot be written.
        """
        text = json.dumps(dict(versions), indent=1, sort_keys=True)
        self._write(self.root / f"environment-{backend}.json", text.encode())
        self._remove_stale()

    def without_onednn(self) -> dict[str, str]:
        """Return the models that a worker died of with oneDNN: SHA-256 of the weights -> how it died.

        A file that is missing or damaged, or an entry of it that is, counts as nothing: the worker then dies once more.
        """
        try:
            models = json.loads((self.root / _WITHOUT_ONEDNN).read_text(encoding="utf-8"))
            return {sha256: reason for sha256, reason in models.items() if isinstance(reason, str)}
        except (OSError, ValueError, AttributeError):
            return {}

    def put_without_onednn(self, sha256: str, reason: str) -> None:
        """Remember that a worker died of a model with oneDNN, in addition to those that are known.

        If two runs do so in the same instant, the memory of one may be lost; its worker then dies once more.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        text = json.dumps({**self.without_onednn(), sha256: reason}, indent=1, sort_keys=True)
        self._write(self.root / _WITHOUT_ONEDNN, text.encode())

    def _damaged(self, path: Path, error: Exception) -> None:
        _log.warning("damaged entry in the store, it is computed again: %s (%s)", path, error)
        self.damaged.append(path)

    def _write(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            _discard(temporary)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            advice = "free some space or name another store" if full else "name another store"
            raise StoreError(
                f"cannot write to the store {self.root}: {error.strerror or error}; "
                f"{advice} with --store or PARITY_STORE"
            ) from error
        except BaseException:  # Ctrl-C
            _discard(temporary)
            raise

    def _remove_stale(self) -> None:
        """Remove what writers left that were killed an hour ago or more."""
        limit = time.time() - _STALE_SECONDS
        for path in [*self.root.glob(".*.tmp"), *self.root.glob("??/??/.*.tmp")]:
            try:
                if path.stat().st_mtime < limit:
                    path.unlink()
            except OSError:
                continue  # another run removed it


def _modified(path: Path) -> str:
    """Return when a file was written, for entries that do not tell when they were computed."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc).isoformat(timespec="seconds")
    except OSError:
        return ""  # another run removed it after it was read


def _discard(temporary: Path) -> None:
    """Remove a file that did not become an entry; the reason for that is the error to be told, not this one."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
