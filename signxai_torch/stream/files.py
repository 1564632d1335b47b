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
from typing import Any
from uuid import uuid4

from signxai_torch.stream.formats import Array, format_of


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
        format_of(path, methods)  # refuses what cannot be, by the name that was given
        self.unfinished = path.with_name(f"{path.stem}-unfinished{path.suffix}")
        self.journal = path.with_name(f"{path.name}.progress")
        self._format = format_of(self.unfinished, methods)
        self._run = ""  # which run began the files

    def begun(self) -> tuple[dict[str, Any], set[tuple[int, int]]] | None:
        """Return what the journal says of an earlier run that did not end: its header, and its finished batches."""
        if not self.journal.exists() or not self.unfinished.exists():
            return None
        lines = self.journal.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last line end was cut off
        if not lines:
            return None
        header = json.loads(lines[0])
        self._run = header.get("run", "")
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
        self._format.make(shapes, dtype, int(header["batch_size"]))
        self._run = uuid4().hex
        self._append({**header, "run": self._run})

    def put(self, first: int, maps: Mapping[str, Array]) -> None:
        """Write rows from `first` on, and see that they are on the disk.

        Raises
        ------
        FileExistsError
            If another run began the files anew: workers of a run that was given up may still be at it.
        """
        with self.journal.open(encoding="utf-8") as stream:
            if json.loads(stream.readline()).get("run", "") != self._run:
                raise FileExistsError(f"{self.unfinished} was begun anew by another run")
        for method, rows in maps.items():
            self._format.put(method, first, rows)

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
