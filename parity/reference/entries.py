"""One stored answer of the reference as bytes: numbers, text, and a checksum over all of it."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np

from parity.hashing import array_sha256
from parity.reference.request import ReferenceAnswer


def to_bytes(key: str, answer: ReferenceAnswer) -> bytes:
    """Return the entry of an answer."""
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


def from_bytes(key: str, data: bytes) -> ReferenceAnswer:
    """Return the answer of an entry.

    Raises
    ------
    ValueError
        If it belongs to another key, or its checksum does not match; NumPy may raise anything for damaged bytes.
    """
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
