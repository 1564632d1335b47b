"""Arrays of the user: `.npy` and `.npz` files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.assets.errors import InputError
from parity.errors import ParityError, brief
from parity.looks import look, problem_of_archive

_HELD_OF_A_FILE = 2**22  # bytes


def read_arrays(path: Path) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield (name, array) for the arrays of an `.npy` or `.npz` file; nothing in it is ever unpickled.

    The name is the file's stem, followed by the array's key for an `.npz`.

    Raises
    ------
    InputError
        If the file is not what its ending says, is damaged, holds Python objects or no arrays.
    OSError
        If it cannot be opened.
    """
    _refuse_other_beginnings(path)
    look(_read_all, path, error=InputError)
    yield from _arrays(path)


def samples_of(batch: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield the samples of a batch, one after another; each is to be copied before the next is taken.

    Of a file that is mapped, what has been read does not stay in memory: a batch of any size takes that of a few.
    """
    mapped = batch.base if isinstance(batch, np.memmap) else None
    releases = mapped if isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise") else None  # not on Windows
    held = 0
    for sample in batch:
        yield sample
        held += sample.nbytes
        if releases is not None and held > _HELD_OF_A_FILE:
            releases.madvise(mmap.MADV_DONTNEED)
            held = 0


def _read_all(path: Path) -> None:
    for _ in _arrays(path):
        pass  # what is not packed is mapped, and no decoder's business


def _is_zipped(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def _refuse_other_beginnings(path: Path) -> None:
    zipped = _is_zipped(path)
    with path.open("rb") as stream:
        magic = stream.read(6)
    if not zipped and magic != b"\x93NUMPY":
        raise InputError(f"{path} is not an .npy file: it does not begin with NumPy's signature")
    if zipped and magic[:2] != b"PK":
        raise InputError(f"{path} is not an .npz file: it does not begin like a zip archive")


def _arrays(path: Path) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    zipped, where = _is_zipped(path), str(path)
    try:
        # Mapped, not read: a header that promises more than the file holds is noticed before memory is taken.
        content = np.load(path, mmap_mode=None if zipped else "r", allow_pickle=False)
        if not zipped:
            yield path.stem, content
            return
        with content as file:
            if problem := problem_of_archive(file.zip, path):
                raise InputError(f"{path} {problem}.")
            for key in file.files:
                where = f"{path}, array {key!r}"
                yield f"{path.stem}.{key.replace('/', '_')}", file[key]
    except ParityError:
        raise
    except Exception as error:  # NumPy reads the header as a Python literal and passes on whatever the parser raises
        if "allow_pickle" in str(error) or "Python object" in str(error):
            raise InputError(f"{where} holds Python objects, which are never unpickled; save numbers") from None
        raise InputError(f"{where} is damaged or cut short: {brief(error)}") from error
    if where == str(path):
        raise InputError(f"{path} holds no arrays")
