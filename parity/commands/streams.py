"""Stdout and stderr as they may be: an ASCII terminal, a pipe that was closed, a full disk."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

CLOSED_PIPE = 141
"""Exit code where the reader went away (`parity run | head -1`), as shells have it: 128 + SIGPIPE."""
_ERRORS = "parity.plain"
_PLAIN = {
    "✓": "+", "✗": "x", "≠": "#", "◆": "*", "–": "-", "—": "-", "…": "...", "×": "x", "±": "+-", "·": ".", "→": "->",
    "≤": "<=", "≥": ">=", "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
"""What takes the place of signs that a terminal's encoding has not; other letters are shown by their code."""


class Output:
    """What became of stdout.

    Attributes
    ----------
    error
        Why it cannot be written any more, or None.
    """

    def __init__(self) -> None:
        self._guards: list[_Guard] = []

    @property
    def error(self) -> OSError | None:
        """See above."""
        return next((guard.error for guard in self._guards if guard.error is not None), None)

    def flush(self) -> None:
        """Write what waits to be written, if there is a stdout."""
        if sys.stdout is not None:
            sys.stdout.flush()

    def exit_code(self, code: Any) -> Any:
        """Return the exit code of a command that would end with `code`, and tell what it could not tell."""
        if self.error is None:
            return code
        if self.error.errno == errno.EPIPE:
            return CLOSED_PIPE
        with suppress(OSError):
            sys.stderr.write(f"error: cannot write to stdout: {self.error.strerror or self.error}\n")
        return 2

    def watch(self, raw: io.RawIOBase) -> io.RawIOBase:
        """Return a stream that takes the place of stdout's."""
        self._guards.append(_Guard(raw))
        return self._guards[-1]


@contextmanager
def prepared() -> Iterator[Output]:
    """Make stdout and stderr take every text, and never end a run: what cannot be written is dropped and remembered.

    A report is worth more than the lines about it, so a command goes on where nobody reads it.
    """
    codecs.register_error(_ERRORS, _plain)
    output, before = Output(), (sys.stdout, sys.stderr)
    with suppress(OSError, ValueError):  # a stream that is closed already
        sys.stdout = _tolerant(sys.stdout, output)
    with suppress(OSError, ValueError):
        sys.stderr = _tolerant(sys.stderr, Output())
    now = (sys.stdout, sys.stderr)
    try:
        yield output
    finally:
        for stream in now:
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _tolerant(stream: TextIO, output: Output) -> TextIO:
    """Return a stream in another's place."""
    if not isinstance(stream, io.TextIOWrapper):  # none at all, or what a notebook or a test has put there
        return stream
    buffer: Any = stream.buffer
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is nothing between
    if not isinstance(raw, io.FileIO):
        stream.reconfigure(errors=_ERRORS)
        return stream
    stream.flush()
    guard: Any = output.watch(raw)
    return io.TextIOWrapper(
        guard if raw is buffer else io.BufferedWriter(guard),
        encoding=stream.encoding,
        errors=_ERRORS,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Guard(io.RawIOBase):
    """A raw stream that swallows what its file does not take any more; the file stays open when this is closed."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        if self.error is None:
            try:
                return self._raw.write(data)
            except BlockingIOError:
                raise
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return os.isatty(self.fileno())


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Say in ASCII what an encoding has no letter for."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter) or _by_code(letter) for letter in letters), error.end


def _by_code(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte of a file's name that is no letter in the system's encoding
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("ascii", "backslashreplace").decode("ascii")
