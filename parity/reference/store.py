"""The store of reference results: one file per answer, found by what the answer depends on.

An entry is an `.npz` file `xx/yy/KEY.npz` with the answer's numbers and text and a checksum over all of it.
Entries are written beside their place and moved there, so readers and other runs see a whole entry or none.
What a power cut or a bad disk damages is noticed by the checksum, and computed again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import logging
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from parity.errors import ParityError
from parity.hashing import array_sha256, json_sha256
from parity.reference.request import ReferenceAnswer, ReferenceRequest

DEFAULT = ".parity-store"
_FORMAT = 1
_STALE_SECONDS = 3600.0
_log = logging.getLogger(__name__)


class StoreError(ParityError):
    """The store cannot be written or is no folder: the message says which path and why."""


def store_location(store: str | Path | None = None) -> Path:
    """Return where the store lies: the argument, `PARITY_STORE`, or `.parity-store` in the current directory."""
    return Path(store or os.environ.get("PARITY_STORE") or DEFAULT).expanduser().absolute()


def answer_key(request: ReferenceRequest, index: int, versions: Mapping[str, str]) -> str:
    """Return the key of one input's answer as hex digits.

    It covers the content of the weights, the input, the target, the call, the dtype, and the versions of
    packages and worker; names and paths do not matter.
    """
    return json_sha256(
        {
            "format": _FORMAT,
            "model": request.model.sha256,
            "architecture": request.model.architecture,
            "input": array_sha256(request.inputs[index]),
            "target": None if request.call.kind == "logits" else int(request.targets[index]),
            "call": request.call.to_json(),
            "dtype": request.dtype,
            "versions": dict(versions),
        }
    )


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
            answer = _unpack(key, data)
        except Exception as error:  # a damaged file can make the readers raise anything
            self._damaged(path, error)
            return None
        answer.from_store = True
        return answer

    def put(self, key: str, answer: ReferenceAnswer) -> None:
        """Keep an answer.

        Raises
        ------
        StoreError
            If it cannot be written, for example because the disk is full. Nothing half written is left.
        """
        self._write(self.path(key), _pack(key, answer))

    def environment(self, backend: str) -> dict[str, str]:
        """Return the versions of the last worker that wrote here, or an empty dict."""
        try:
            found = json.loads((self.root / f"environment-{backend}.json").read_text(encoding="utf-8"))
            return {str(name): str(value) for name, value in found.items()}
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


def _discard(temporary: Path) -> None:
    """Remove a file that did not become an entry; the reason for that is the error to be told, not this one."""
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def _pack(key: str, answer: ReferenceAnswer) -> bytes:
    meta = json.dumps({**answer.to_json(), "key": key, "has_array": answer.array is not None}).encode()
    members: dict[str, Any] = {
        "meta": np.frombuffer(meta, dtype=np.uint8),
        "checksum": np.frombuffer(_checksum(meta, answer.array), dtype=np.uint8),
    }
    if answer.array is not None:
        members["array"] = np.ascontiguousarray(answer.array).reshape(answer.array.shape)
    stream = io.BytesIO()
    np.savez(stream, **members)
    return stream.getvalue()


def _unpack(key: str, data: bytes) -> ReferenceAnswer:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        meta = file["meta"].tobytes()
        checksum = file["checksum"].tobytes()
        value = json.loads(meta)
        array = file["array"] if value["has_array"] else None
    if value["key"] != key:
        raise ValueError("the entry belongs to another key")
    if checksum != _checksum(meta, array):
        raise ValueError("the checksum does not match")
    return ReferenceAnswer.from_json(value, array)


def _checksum(meta: bytes, array: Any) -> bytes:
    text = "none" if array is None else array_sha256(array)
    return hashlib.sha256(meta + text.encode()).digest()
