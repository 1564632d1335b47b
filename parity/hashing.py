"""Content hashes: what makes two weights files, two inputs or two requests the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hex digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    return file_hash(path, "sha256")


def file_hash(path: Path, kind: str) -> str:
    """Return a hash of a file's bytes as hex digits; `kind` as `hashlib.new` takes it, such as ``"md5"``.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    digest = hashlib.new(kind)
    with Path(path).open("rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()


def array_sha256(array: npt.NDArray[Any]) -> str:
    """Return the SHA-256 over an array's dtype, shape and C-order bytes as hex digits."""
    contiguous = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{contiguous.dtype.str}{array.shape}".encode())
    digest.update(contiguous.tobytes())
    return digest.hexdigest()


def json_sha256(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form (sorted keys, no blanks) as hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
