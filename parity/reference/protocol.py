"""How client and worker talk: one JSON object a line for control, HDF5 files for arrays.

`worker/main.py --versions` prints the versions of the packages as JSON and ends, without starting TensorFlow.

Client to worker, on the worker's stdin: `{"op": "compute", "id", "model": {"path", "architecture", "sha256"},
"dtype", "call", "targets", "inputs": FILE, "outputs": DIRECTORY}`.

Worker to client, on a copy of the worker's stdout (whatever else prints there goes to stderr):
`{"event": "starting"}` before TensorFlow is imported, then `{"event": "ready", "versions"}` or
`{"event": "failed", "error"}`, once; then per input of a request
`{"event": "answer", "id", "index", "error_kind", "error", "file", "sha256", "seconds", ...}` and at its end
`{"event": "done", "id"}`. With an error comes `"log": [START, END]`: the bytes of its stderr that belong to this
input, for the client may read the answer long after the next input has failed. The worker ends when its stdin does.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

WORKER_VERSION = 4
"""Raise this whenever the worker can answer the same request differently: stored results are then made anew."""

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pillow", "innvestigate", "signxai")
"""What can change the numbers of the reference."""

MAX_LINE = 1 << 20
"""Bytes of the longest line that is read as a message."""


def encode(message: dict[str, Any]) -> bytes:
    """Return one message as a line of bytes."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return the message of a line.

    Raises
    ------
    ValueError
        If the line is no JSON object.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message


ROOM = "make room there, or have TMPDIR name another folder"
"""What to do where the files that are exchanged cannot be written."""


def write_arrays(path: Path, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Write arrays as datasets `0`, `1`, ... of one HDF5 file.

    Raises
    ------
    OSError
        If the file cannot be written, for example because the disk is full.
    """
    # Made in memory and written at once: of a full disk HDF5 hears when it closes the file, and may crash of it. A
    # message tells the reader when the file is there.
    whole = io.BytesIO()
    with h5py.File(whole, "w") as file:
        for index, array in enumerate(arrays):
            # Not `np.ascontiguousarray`, which makes the shape () of a scalar into (1,).
            file.create_dataset(str(index), data=np.asarray(array, order="C"))
    try:
        path.write_bytes(whole.getbuffer())
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}; {ROOM}") from error


def read_array(path: Path, index: int) -> npt.NDArray[Any]:
    """Return one array of a file that `write_arrays` made.

    Raises
    ------
    OSError
        If the file is missing or damaged.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            array = np.asarray(file[str(index)][()])
            # h5py hangs a note on the dtype of text, which NumPy's own files cannot hold.
            return np.array(array.tolist(), dtype=array.dtype.str) if array.dtype.kind == "S" else array
    except (KeyError, RuntimeError, ValueError) as error:
        raise OSError(f"{path}: {error}") from error
