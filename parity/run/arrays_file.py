"""Writing `parity-arrays.h5`: whole or not at all, also on a disk that fills up."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy.typing as npt

from parity.system import OPEN_BINARY, read_at, write_at

Array = npt.NDArray[Any]

ARRAYS_NAME = "parity-arrays.h5"


def dataset(kind: str, model: str, name: str) -> str:
    """Return where an array of an input lies, such as "inputs/vgg/digit_0".

    Signs that HDF5 has no room for are escaped. To HDF5 "." is the group itself, "/" parts groups, and a name is UTF-8.
    """
    return "/".join([kind, _component(model), _component(name)])


def _component(name: str) -> str:
    return re.sub(
        r"[/%\x00\ud800-\udfff]|^\.*$", lambda found: "".join(f"%{ord(c):02X}" for c in found[0]) or "%", name
    )


_HEADERS = 2**20  # bytes


class _Disk:
    """A file that takes everything HDF5 writes and remembers what the system said to it.

    HDF5 that is told of an error keeps what it could not write, tries again when the file is closed and once more when
    the process ends, and then crashes. So it is told of none: who writes asks for `error` after each step.
    """

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | OPEN_BINARY, 0o644)
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        data = read_at(self._file, size, self._position)
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = read_at(self._file, len(view), self._position)
        view[: len(data)] = data
        view[len(data) :] = bytes(len(view) - len(data))
        self._position += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        length = len(view)
        try:
            position = self._position
            while view and self.error is None:
                written = write_at(self._file, view, position)
                view, position = view[written:], position + written
        except BaseException as error:  # Ctrl-C as well: no exception may cross HDF5
            self.error = error
        self._position += length
        return length

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self._file).st_size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
        size = self._position if size is None else size
        try:
            if self.error is None:
                os.ftruncate(self._file, size)
        except BaseException as error:
            self.error = error
        return size

    def flush(self) -> None:
        return

    def close(self, whole: bool) -> None:
        try:
            if whole and self.error is None:
                os.fsync(self._file)
        finally:
            os.close(self._file)


def _keep_few_headers(file: h5py.File) -> None:
    """Let HDF5 keep 1 MB of the headers it has written, not the 32 MB it would grow to: none is read again."""
    cache = file.id.get_mdc_config()
    cache.set_initial_size, cache.initial_size = True, _HEADERS
    cache.min_size = cache.max_size = _HEADERS
    file.id.set_mdc_config(cache)


class ArraysFile:
    """A new arrays file; a context manager. What goes wrong is raised, and then no file is left.

    Parameters
    ----------
    path : Path
        Where; what lies there is replaced.
    created : str
        When the run was made: a report refuses the arrays of another one.

    Raises
    ------
    OSError
        If it cannot be written.
    """

    def __init__(self, path: Path, created: str) -> None:
        self._path = path
        self._disk = _Disk(path)
        self._file = h5py.File(self._disk, "w")
        _keep_few_headers(self._file)
        self._file.attrs["created"] = created

    def __enter__(self) -> ArraysFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            self._disk.close(whole=kind is None)
            if kind is not None or self._disk.error is not None:
                self._path.unlink(missing_ok=True)
        if kind is None:
            self._raise()

    def put(self, arrays: Mapping[str, Array], compression: str | None = None) -> None:
        """Write arrays by name.

        Raises
        ------
        OSError
            If one cannot be written.
        """
        for name, array in arrays.items():
            self._file.create_dataset(name, data=array, compression=compression if array.ndim else None)
            self._raise()

    def _raise(self) -> None:
        if self._disk.error is not None:
            raise self._disk.error
