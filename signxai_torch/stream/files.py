"""Files that take maps row by row, and remember across a crash which rows they have.

A file is made whole at once, in its full size, and rows are then written into it where they belong. Beside it lies a
journal: a line per finished batch, written once the batch's rows are on the disk. What is killed at any moment leaves
files that are in order, and a journal that promises no row too many.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SUFFIXES = (".npy", ".h5", ".hdf5", "")
"""How a path may end: one array, an HDF5 file with a data set per method, or a folder with an array per method."""


def file_names(path: Path, methods: Sequence[str]) -> dict[str, tuple[Path, str | None]]:
    """Return where each method's maps lie: a file, and the data set in it if it is HDF5.

    Raises
    ------
    ValueError
        If the path ends otherwise than `SUFFIXES`, or a single array is to hold several methods.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: maps are written as .npy, .h5, or a folder (no ending) with a .npy per method")
    if suffix == ".npy":
        if len(methods) > 1:
            raise ValueError(f"{path}: an array holds the maps of one method; give a folder or an .h5 file for several")
        return {methods[0]: (path, None)}
    if suffix:
        return {name: (path, name) for name in methods}
    return {name: (path / f"{name}.npy", None) for name in methods}


class Files:
    """The unfinished files of a set of maps, and their journal.

    Parameters
    ----------
    path : Path
        What they are called in the end.
    methods : sequence of str
        The methods.
    """

    def __init__(self, path: Path, methods: Sequence[str]) -> None:
        self.path, self.methods = path, tuple(methods)
        file_names(path, methods)  # refuses what cannot be, by the name that was given
        self.unfinished = path.with_name(f"{path.stem}-unfinished{path.suffix}")
        self.journal = path.with_name(f"{path.name}.progress")
        self._names = file_names(self.unfinished, methods)

    def begun(self) -> tuple[dict[str, Any], set[tuple[int, int]]] | None:
        """Return what the journal says of an earlier run that did not end: its header, and its finished batches."""
        if not self.journal.exists() or not self.unfinished.exists():
            return None
        lines = self.journal.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last line end was cut off
        if not lines:
            return None
        header = json.loads(lines[0])
        return header, {(int(first), int(last)) for first, last in map(json.loads, lines[1:])}

    def make(self, header: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], dtype: str) -> None:
        """Make the files, in their full size, and the journal with its first line.

        Raises
        ------
        OSError
            If they cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.journal.unlink(missing_ok=True)
        if self.unfinished.suffix.lower() in (".h5", ".hdf5"):
            _make_hdf5(self.unfinished, shapes, dtype)
        else:
            for name, (path, _) in self._names.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shapes[name]).flush()  # type: ignore[no-untyped-call]
        self._append(header)

    def put(self, first: int, maps: Mapping[str, Array]) -> None:
        """Write rows from `first` on, and see that they are on the disk."""
        for name, rows in maps.items():
            target = self._mapped(name)
            target[first : first + len(rows)] = rows
            target.flush()

    def note(self, first: int, last: int) -> None:
        """Note that the rows from `first` up to `last`, without it, are there."""
        self._append([first, last])

    def finish(self) -> Path:
        """Give the files their name, and forget the journal."""
        self.unfinished.replace(self.path)
        self.journal.unlink()
        return self.path

    def _append(self, entry: Any) -> None:
        with self.journal.open("a", encoding="utf-8") as stream:
            stream.write(f"{json.dumps(entry)}\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _mapped(self, name: str) -> np.memmap[Any, Any]:
        path, dataset = self._names[name]
        if dataset is None:
            return np.lib.format.open_memmap(path, "r+")  # type: ignore[no-untyped-call, no-any-return]
        with _h5py().File(path, "r", locking=False) as file:
            maps = file[dataset]
            place, shape, dtype = maps.id.get_offset(), maps.shape, maps.dtype
        return np.memmap(path, dtype, "r+", place, shape)


def _make_hdf5(path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> None:
    h5py = _h5py()
    with h5py.File(path, "w") as file:
        for name, shape in shapes.items():
            # In one piece that is there from the start, so that rows are written without touching HDF5's own records.
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.CONTIGUOUS)
            creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            space = h5py.h5s.create_simple(shape)
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, creation)


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError:
        raise ImportError("an .h5 file needs h5py: pip install h5py; or give a folder or an .npy file") from None
    return h5py  # type: ignore[no-any-return]
