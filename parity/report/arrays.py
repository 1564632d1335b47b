"""Reading `parity-arrays.h5`: inputs and the maps of both sides, Keras layout, no batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from parity.run.arrays_file import dataset
from parity.run.results import ReportError

Array = npt.NDArray[Any]


def read_pairs(path: Path, created: str, indices: Sequence[int]) -> None:
    """Read the maps of some results, to see that they can be read; for `parity.looks`."""
    with Arrays(path, created) as arrays:
        for index in indices:
            arrays.pair(index)


class Arrays:
    """The arrays of a run; a context manager. Made with None it holds nothing.

    Parameters
    ----------
    path : Path or None
        The file.
    created : str
        When the run was made. If the file's attribute "created" says something else, its maps are not those
        that the numbers were taken from.

    Raises
    ------
    ReportError
        If the file is missing, damaged, or of another run.
    """

    def __init__(self, path: Path | None, created: str) -> None:
        self._path = path
        try:
            self._file = None if path is None else h5py.File(path, "r")
        except OSError as error:
            raise ReportError(
                f"Cannot read the arrays file {path}: {error}. Run `parity run` again, or report without arrays."
            ) from error
        if self._file is not None:
            recorded = self._file.attrs.get("created", created)
            if recorded != created:
                self._file.close()
                raise ReportError(
                    f"The arrays file {path} is of the run of {recorded}, the results are of {created}. "
                    "If a run was killed here, `parity report FOLDER` puts both in order; else run `parity run` again."
                )

    def __enter__(self) -> Arrays:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def picture(self, model: str, name: str) -> Array | None:
        """Return what a reader should see of an input: the stored picture, else the input itself."""
        for group in ("display", "inputs"):
            stored = self._get(dataset(group, model, name))
            if stored is not None:
                return stored
        return None

    def pair(self, index: int) -> tuple[Array | None, Array | None]:
        """Return the reference's and the subject's map of result `index`; None where a side failed."""
        return self._get(f"results/{index}/reference"), self._get(f"results/{index}/subject")

    def traced(self, index: int, number: int) -> tuple[Array | None, Array | None]:
        """Return what the layer at which result `index` parts hands on, on both sides, to the `number`-th it reads."""
        place = f"results/{index}/trace/{number}"
        return self._get(f"{place}/reference"), self._get(f"{place}/subject")

    def _get(self, name: str) -> Array | None:
        if self._file is None or name not in self._file:
            return None
        try:
            return np.asarray(self._file[name][()])
        except OSError as error:
            raise ReportError(f"{self._path}: the dataset {name} is damaged: {error}") from error
