"""Where the inputs of a set come from: an array, a tensor, a dataset, or an iterable of batches."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass
class _Mapped:
    """An array in a file, to be mapped by another process."""

    path: str
    dtype: str
    offset: int
    shape: tuple[int, ...]

    def opened(self) -> np.ndarray[Any, Any]:
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


class Rows:
    """Inputs that can be asked for by their number.

    Parameters
    ----------
    inputs : torch.Tensor, numpy.ndarray or dataset
        (N, ...) in torch layout, which may be mapped from a file; or what has a length and gives a sample for a number
        (`torch.utils.data.Dataset`). Of a sample that is a tuple or list the first entry counts, the rest are labels.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If it is empty.
    """

    def __init__(self, inputs: Any) -> None:
        if not hasattr(inputs, "__len__") or not hasattr(inputs, "__getitem__"):
            raise TypeError(
                f"inputs must have a length and be asked for by number (an array, a tensor or a dataset), not be a "
                f"{type(inputs).__name__}; of a DataLoader give its dataset, loader.dataset"
            )
        if len(inputs) == 0:
            raise ValueError("inputs is empty; give at least one sample")
        self._inputs, self._together = inputs, isinstance(inputs, (Tensor, np.ndarray))

    def __len__(self) -> int:
        return len(self._inputs)

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: no copy of what lies in a file or may be shared."""
        inputs = self._inputs
        if isinstance(inputs, np.memmap) and isinstance(inputs.base, mmap.mmap) and inputs.flags.c_contiguous:
            inputs = _Mapped(str(inputs.filename), inputs.dtype.str, inputs.offset, inputs.shape)
        elif isinstance(inputs, np.ndarray):
            inputs = torch.from_numpy(np.ascontiguousarray(inputs))  # torch hands its memory over without copying
        return {"inputs": inputs, "together": self._together}

    def __setstate__(self, state: dict[str, Any]) -> None:
        inputs = state["inputs"]
        self._inputs = inputs.opened() if isinstance(inputs, _Mapped) else inputs
        self._together = state["together"]

    def batch(self, first: int, last: int) -> Tensor:
        """Return the samples from `first` up to `last`, without it, as one batch."""
        if self._together:
            return _tensor(self._inputs[first:last])
        return torch.stack([_tensor(_sample(self._inputs[number])) for number in range(first, last)])

    def fingerprint(self) -> str:
        """Return what tells these inputs from others: a hash of their number, the first, the middle and the last."""
        digest = hashlib.sha256()
        for number in sorted({0, len(self) // 2, len(self) - 1}):
            sample = self.batch(number, number + 1).cpu().contiguous()
            digest.update(f"{len(self)} {tuple(sample.shape)} {sample.dtype}".encode() + sample.numpy().tobytes())
        return digest.hexdigest()


def _tensor(values: Any) -> Tensor:
    # A copy of what is mapped from a file: torch wants memory that may be written to.
    return values if isinstance(values, Tensor) else torch.from_numpy(np.array(values))


def _sample(entry: Any) -> Any:
    return entry[0] if isinstance(entry, (tuple, list)) else entry


def batches(inputs: Any, size: int) -> Iterator[Any]:
    """Yield batches.

    Parameters
    ----------
    inputs : torch.Tensor, numpy.ndarray, dataset or iterable
        As for `Rows`; of anything else, such as a `torch.utils.data.DataLoader`, each entry is a batch. Of a batch that
        is a tuple or list the first entry counts, the rest are labels.
    size : int
        Samples of a batch, where this makes them.
    """
    if isinstance(inputs, torch.utils.data.DataLoader) or not hasattr(inputs, "__getitem__"):
        if not isinstance(inputs, Iterable):
            raise TypeError(
                f"inputs must be an array, a tensor, a dataset or a DataLoader, not a {type(inputs).__name__}"
            )
        for entry in inputs:
            batch = _sample(entry)
            yield batch if isinstance(batch, dict) else _tensor(batch)
        return
    rows = Rows(inputs)
    for first in range(0, len(rows), size):
        yield rows.batch(first, min(first + size, len(rows)))
