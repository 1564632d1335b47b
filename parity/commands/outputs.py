"""Files that a command writes: refused before any work where they cannot be written, or are what it reads; whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from parity.errors import ParityError


def require_folder(path: Path) -> None:
    """Refuse a file whose folder is missing.

    Raises
    ------
    ParityError
        If it is.
    """
    if not path.absolute().parent.is_dir():
        raise ParityError(f"cannot write {path}: there is no folder {path.parent}")


def refuse_overwriting(outputs: Iterable[Path], read: Iterable[Path]) -> None:
    """Refuse an output that is one of the files that are read, under this or any other name.

    Raises
    ------
    ParityError
        Naming both.
    """
    sources = [path for path in read if path.exists()]
    for out in outputs:
        for source in sources if out.exists() else ():
            if out.samefile(source):
                raise ParityError(f"{out} would overwrite {source}, which is read; give the output another name")


def refuse_one_file_twice(outputs: Iterable[Path]) -> None:
    """Refuse two outputs that are one file, under this or any other name.

    Raises
    ------
    ParityError
        Naming both.
    """
    met: dict[Path, Path] = {}
    for out in outputs:
        other = met.setdefault(out.resolve(), out)
        if other is not out:
            raise ParityError(f"{other} and {out} are one file; give one of them another name")


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that the user has named, so that half of it never takes the place of what was there.

    Raises
    ------
    ParityError
        If it cannot be written.
    """
    path = path.resolve()  # a link stays one
    part = None
    try:
        if path.exists() and not path.is_file():  # /dev/stderr, a pipe: there is nothing to replace
            with path.open("wb") as stream:
                stream.writelines(pieces)
            return
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=".parity-", suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(pieces)
        Path(part).chmod(0o644)
        Path(part).replace(path)
        part = None
    except OSError as error:
        raise ParityError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if part is not None:
            Path(part).unlink(missing_ok=True)


def copy_whole(source: Path, path: Path) -> None:
    """Copy a file to one that the user has named, which may be the same.

    Raises
    ------
    ParityError
        If it cannot be written.
    """
    if path.resolve() == source.resolve():
        return
    with source.open("rb") as stream:
        write_whole(path, iter(lambda: stream.read(1 << 20), b""))
