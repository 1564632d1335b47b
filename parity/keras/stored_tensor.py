"""One tensor of a Keras file: where it lies, and its values when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from parity.errors import brief
from parity.keras.errors import ConversionError

Floats = npt.NDArray[np.floating[Any]]
H5PY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)
"""What h5py raises, depending on where in the file the damage lies."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor in a file, not read yet.

    Attributes
    ----------
    path
        Where it lies in the HDF5 file.
    shape
        Its declared shape, or what becomes of it by `change`.
    change
        What is done with the stored values, where the layer has them in another form; None if nothing.
    """

    path: str
    shape: tuple[int, ...]
    _dataset: h5py.Dataset = field(repr=False, compare=False)
    _file: Path = field(repr=False, compare=False)
    change: Callable[[Floats], Floats] | None = field(default=None, repr=False, compare=False)

    def changed(self, change: Callable[[Floats], Floats], shape: tuple[int, ...] | None = None) -> StoredTensor:
        """Return the tensor with its values changed when they are read; `shape` is theirs then, None for the same."""
        before = self.change
        both = change if before is None else lambda values: change(before(values))
        return replace(self, shape=self.shape if shape is None else shape, change=both)

    @property
    def bytes(self) -> int:
        """What reading it takes: its own size, or that of the pieces that it is packed in."""
        itemsize = int(self._dataset.dtype.itemsize)
        return itemsize * max(math.prod(self.shape), math.prod(self._dataset.chunks or (0,)))

    def read(self) -> Floats:
        """Return the values.

        Raises
        ------
        ConversionError
            If the data is not there, cannot be read, or is not a float tensor.
        """
        with reading(self._file, f"the tensor {self.path!r}"):
            dataset = self._dataset
            kind = dataset.dtype
            missing = _missing_data(dataset)
            count = kind.kind in "iu" and self.shape == ()  # of the samples that a layer has seen
            readable = kind.kind == "f" or count
            values = None if missing or not readable else np.asarray(dataset[()])
        if not readable:
            raise ConversionError(
                f"{self._file}: the tensor {self.path!r} holds {kind}, not floating point numbers. "
                "Quantised weights are not supported: save the model with float weights."
            )
        if missing:
            raise ConversionError(f"{self._file}: the tensor {self.path!r} {missing}. Copy or save the file again.")
        assert values is not None
        return values if self.change is None else self.change(values)


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Say of what h5py raises inside that `what` in the file cannot be read.

    Raises
    ------
    ConversionError
        In place of each of `H5PY_ERRORS`.
    """
    try:
        yield
    except H5PY_ERRORS as error:
        raise ConversionError(
            f"{path}: {what} cannot be read, the file is damaged ({type(error).__name__}: {brief(error)}). "
            "Copy or save it again."
        ) from error


def _missing_data(dataset: h5py.Dataset) -> str:
    """Say what part of a dataset was never written; HDF5 would return zeros for it without a word."""
    if dataset.is_virtual or dataset.external:
        return "keeps its data in another file"
    if dataset.size == 0:
        return ""
    if dataset.chunks:
        expected = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
        if dataset.id.get_num_chunks() < expected:
            return f"has only {dataset.id.get_num_chunks()} of its {expected} chunks"
        return ""
    stored = dataset.id.get_storage_size()
    if stored < dataset.nbytes:
        return f"has only {stored} of its {dataset.nbytes} bytes"
    return ""
