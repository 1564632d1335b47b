"""The forms in which maps lie on the disk: each is made in its full size at once, and takes rows where they belong."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Shapes = Mapping[str, tuple[int, ...]]
"""The shape of each method's maps, rows first."""


class Format(Protocol):
    """Maps of several methods on the disk."""

    def make(self, shapes: Shapes, dtype: str, batch_size: int) -> None:
        """Make what holds the maps, in its full size; rows will come in batches of a size."""

    def put(self, method: str, first: int, rows: Array) -> None:
        """Write rows of a method from `first` on, and see that they are on the disk."""


class Npy:
    """An `.npy` file for each method."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths

    def make(self, shapes: Shapes, dtype: str, batch_size: int) -> None:
        """Make the files, and the folders that they lie in."""
        for method, path in self._paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(path, "w+", dtype=dtype, shape=shapes[method]).flush()  # type: ignore[no-untyped-call]

    def put(self, method: str, first: int, rows: Array) -> None:
        """Write rows into the file of their method."""
        _put(np.lib.format.open_memmap(self._paths[method], "r+"), first, rows)  # type: ignore[no-untyped-call]


class Hdf5:
    """One HDF5 file with a data set for each method."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self, shapes: Shapes, dtype: str, batch_size: int) -> None:
        """Make the file."""
        h5py = _h5py()
        with h5py.File(self._path, "w") as file:
            for method, shape in shapes.items():
                # In one piece that is there from the start, so that rows are written without touching HDF5's own
                # records.
                creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                creation.set_layout(h5py.h5d.CONTIGUOUS)
                creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                space = h5py.h5s.create_simple(shape)
                h5py.h5d.create(file.id, method.encode(), h5py.h5t.py_create(np.dtype(dtype)), space, creation)

    def put(self, method: str, first: int, rows: Array) -> None:
        """Write rows into the data set of their method."""
        with _h5py().File(self._path, "r", locking=False) as file:
            maps = file[method]
            place, shape, dtype = maps.id.get_offset(), maps.shape, maps.dtype
        _put(np.memmap(self._path, dtype, "r+", place, shape), first, rows)


class Zarr:
    """A Zarr group with an array for each method, in chunks of one batch."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self, shapes: Shapes, dtype: str, batch_size: int) -> None:
        """Make the group and its arrays."""
        group = _zarr().open_group(self._path, mode="w", zarr_format=3)
        for method, shape in shapes.items():
            # Rows of one batch lie in one chunk, so that processes which write batches side by side share none.
            chunks = (min(batch_size, shape[0]), *shape[1:])
            group.create_array(method, shape=shape, chunks=chunks, dtype=dtype)

    def put(self, method: str, first: int, rows: Array) -> None:
        """Write rows into the array of their method."""
        maps = _zarr().open_group(self._path, mode="r+")[method]
        maps[first : first + len(rows)] = rows
        for path in (self._path / method / "c" / str(first // maps.chunks[0])).rglob("*"):
            if path.is_file():
                _keep(path, self._path)


def format_of(path: Path, methods: Sequence[str]) -> Format:
    """Return the form of what is written to a path, by its ending.

    Raises
    ------
    ValueError
        If the path has another ending, or a single array is to hold several methods.
    """
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        return Zarr(path)
    if suffix in (".h5", ".hdf5"):
        return Hdf5(path)
    if suffix == ".npy":
        if len(methods) > 1:
            raise ValueError(f"{path}: an array holds the maps of one method; give a folder, .h5 or .zarr for several")
        return Npy({methods[0]: path})
    if suffix:
        raise ValueError(
            f"{path}: maps are written as .npy, .h5, .zarr, or a folder (no ending) with an .npy per method"
        )
    return Npy({method: path / f"{method}.npy" for method in methods})


def _keep(path: Path, root: Path) -> None:
    """See that a new file is on the disk, and the folders that name it, up to one of them."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
    if os.name != "posix":
        return  # elsewhere folders cannot be opened
    for folder in path.parents[: len(path.relative_to(root).parts)]:
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _put(mapped: np.memmap[Any, Any], first: int, rows: Array) -> None:
    mapped[first : first + len(rows)] = rows
    mapped.flush()


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError:
        raise ImportError("an .h5 file needs h5py: pip install h5py; or give a folder or an .npy file") from None
    return h5py  # type: ignore[no-any-return]


def _zarr() -> ModuleType:
    try:
        import zarr
    except ImportError:
        raise ImportError("a .zarr store needs zarr: pip install 'zarr>=3'; or give a folder or an .npy file") from None
    return zarr  # type: ignore[no-any-return]
