"""Files that a command writes: refused before any work where they cannot be written, or are what it reads."""

from __future__ import annotations

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
