"""The journal of a run: each row and each map is on disk as soon as it is there, so that no end of a run loses it.

It is a folder `parity-unfinished-*` in the report's folder, held by its process and removed when the report of the
whole run is written. `journal.jsonl` has a line per record, `["<crc32>", {"kind": ..., ...}]`; the arrays of a record
lie in `maps.bin`, and its "maps" say where: position, bytes, dtype, shape and CRC-32. Both are only appended to. A line
is written after its arrays; half of one, and what lies behind the last whole one, counts for nothing.
"""

from __future__ import annotations

import errno
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.claimed import ClaimedFolder
from parity.errors import ParityError
from parity.system import OPEN_BINARY, read_at, write_at

Array = npt.NDArray[Any]
Record = dict[str, Any]
Place = tuple[int, int]
"""Where a record's line lies: offset and bytes."""

PREFIX = "parity-unfinished-"
LINES, MAPS = "journal.jsonl", "maps.bin"
SYNC_SECONDS = 5.0
"""After so long a row goes to the disk itself (fsync) although its inputs are not all done: what a power cut costs."""
_CRC = len('["00000000", ')
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class JournalError(ParityError):
    """The journal cannot be written, for example because the disk is full: the message says where and what to do."""


class Journal:
    """A journal that this process writes.

    Parameters
    ----------
    folder : ClaimedFolder
        Its folder, held.

    Raises
    ------
    JournalError
        If it cannot be written.
    """

    def __init__(self, folder: ClaimedFolder) -> None:
        self.folder = folder
        self._files: list[int] = []
        self._ends = [0, 0]  # of the maps, of the lines: what counts
        self._dirty = True  # more may lie behind them
        self._synced = time.monotonic()
        try:
            for name in (MAPS, LINES):
                self._files.append(os.open(folder.path / name, os.O_RDWR | os.O_CREAT | OPEN_BINARY, 0o644))
        except OSError as error:
            self.close()
            raise self._failed(error) from error
        for (offset, size), record in self.records():
            self._ends[1] = offset + size
            ends = [position + length for position, length, *_ in record.get("maps", {}).values()]
            self._ends[0] = max([self._ends[0], *ends])

    @classmethod
    def make(cls, directory: Path) -> Journal:
        """Begin a journal in a report's folder.

        Raises
        ------
        JournalError
            If it cannot be made.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            folder = ClaimedFolder.make(directory, PREFIX)
        except OSError as error:
            raise JournalError(cannot_write(directory, error)) from error
        return cls(folder)

    def append(self, record: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> Place:
        """Write a record and its arrays, and return where its line lies.

        An array of no numbers is left out. Ctrl-C in the middle costs this record alone.

        Raises
        ------
        JournalError
            If it cannot be written; what was written before stays.
        """
        try:
            if self._dirty:
                for file, end in zip(self._files, self._ends, strict=True):
                    os.ftruncate(file, end)
            self._dirty = True
            position, places = self._ends[0], {}
            for name, array in (arrays or {}).items():
                if array.dtype.kind not in "biufc":
                    continue
                data = array.tobytes()
                places[name] = (position, len(data), array.dtype.str, array.shape, zlib.crc32(data))
                _write(self._files[0], data, position)
                position += len(data)
            line = _line(dict(record) | ({"maps": places} if places else {}))
            _write(self._files[1], line, self._ends[1])
            place = self._ends[1], len(line)
            self._ends[:] = position, self._ends[1] + len(line)
            self._dirty = False
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self.sync()
        except OSError as error:
            raise self._failed(error) from error
        return place

    def sync(self) -> None:
        """Have everything on the disk itself when this returns.

        Raises
        ------
        JournalError
            If it cannot be.
        """
        try:
            for file in self._files:  # the maps first: no line speaks of what is not there
                os.fsync(file)
        except OSError as error:
            raise self._failed(error) from error
        self._synced = time.monotonic()

    def record(self, place: Place) -> Record:
        """Return the record of a line that was found or written before.

        Raises
        ------
        JournalError
            If it was changed since.
        """
        return _record(self._files[1], place)

    def records(self) -> Iterator[tuple[Place, Record]]:
        """Yield every whole record, with where its line lies; what is damaged is left out."""
        yield from _records(self._files[1])

    def arrays(self, record: Mapping[str, Any]) -> dict[str, Array] | None:
        """Return the arrays of a record; None if they are damaged."""
        return _arrays(self._files[0], record)

    def close(self) -> None:
        """Close the files; the folder stays held."""
        while self._files:
            os.close(self._files.pop())

    def keep(self) -> None:
        """Close the journal and leave it to the next run."""
        self.close()
        self.folder.release()

    def remove(self) -> None:
        """Remove the journal: everything in it is in the report, or there is nothing in it."""
        self.close()
        self.folder.remove()

    def _failed(self, error: OSError) -> JournalError:
        place = self.folder.path.parent
        return JournalError(
            f"{cannot_write(place, error)}. What is finished is kept there: the same run goes on where this stopped, "
            f"and `parity report {place} --out FOLDER` makes its report elsewhere"
        )


def cannot_write(directory: Path, error: OSError) -> str:
    """Return in words that a report's folder cannot be written, and what to do."""
    full = error.errno in FULL
    advice = "free some space, or name another folder with --report" if full else "name another folder with --report"
    return f"cannot write to the report's folder {directory}: {error.strerror or error}; {advice}"


class Reader:
    """A journal that is read alone, also while its process writes it; a context manager.

    Parameters
    ----------
    path : Path
        Its folder.

    Raises
    ------
    OSError
        If it has no journal.
    """

    def __init__(self, path: Path) -> None:
        self._lines = os.open(path / LINES, os.O_RDONLY | OPEN_BINARY)
        try:
            self._maps = os.open(path / MAPS, os.O_RDONLY | OPEN_BINARY)
        except OSError:
            os.close(self._lines)
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_what: object) -> None:
        os.close(self._lines)
        os.close(self._maps)

    def records(self) -> Iterator[tuple[Place, Record]]:
        """See `Journal.records`."""
        yield from _records(self._lines)

    def record(self, place: Place) -> Record:
        """See `Journal.record`."""
        return _record(self._lines, place)

    def arrays(self, record: Mapping[str, Any]) -> dict[str, Array] | None:
        """See `Journal.arrays`."""
        return _arrays(self._maps, record)


def _records(file: int) -> Iterator[tuple[Place, Record]]:
    offset = 0
    with os.fdopen(os.dup(file), "rb") as stream:
        stream.seek(0)
        for line in stream:
            record = _parsed(line)
            if record is not None:
                yield (offset, len(line)), record
            offset += len(line)


def _record(file: int, place: Place) -> Record:
    offset, size = place
    record = _parsed(read_at(file, size, offset))
    if record is None:
        raise JournalError("the journal of the run was changed while it was in use; run again")
    return record


def _line(record: Record) -> bytes:
    text = json.dumps(record).encode("ascii")  # whatever a name holds: half a surrogate pair is an escape, too
    return b'["%08x", %s]\n' % (zlib.crc32(text), text)


def _parsed(line: bytes) -> Record | None:
    """Return the record of a line; None if it is not whole."""
    text = line[_CRC:-2]
    if not line.endswith(b"]\n") or line[:_CRC] != b'["%08x", ' % zlib.crc32(text):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _arrays(file: int, record: Mapping[str, Any]) -> dict[str, Array] | None:
    found: dict[str, Array] = {}
    for name, (position, size, dtype, shape, crc) in record.get("maps", {}).items():
        data = _read(file, size, position)
        if len(data) != size or zlib.crc32(data) != crc:
            return None
        found[name] = np.frombuffer(data, dtype).reshape(shape)
    return found


def _read(file: int, size: int, position: int) -> bytes:
    """Return `size` bytes, or as many as there are: one call gives 2 GiB at most."""
    parts: list[bytes] = []
    while size:
        part = read_at(file, size, position)
        if not part:
            break
        parts.append(part)
        size, position = size - len(part), position + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write(file: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = write_at(file, view, position)
        view, position = view[written:], position + written
