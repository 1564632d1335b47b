"""Names of files and folders as users give them: what `~` stands for, and how a name of any bytes is told."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from parity import system
from parity.errors import ParityError


def home() -> Path | None:
    """Return the user's home folder, or None if there is none, as for a container's user without an entry."""
    try:
        found = Path.home()
    except RuntimeError:
        return None
    return found if found.is_absolute() else None  # what hangs on the working folder is nobody's home


def cache_folder() -> Path | None:
    """Return the folder for what can be made again, or None if the user has none."""
    from platformdirs import user_cache_path

    return _of_user(user_cache_path)


def data_folder() -> Path | None:
    """Return the folder for what was installed, or None if the user has none."""
    from platformdirs import user_data_path

    return _of_user(user_data_path)


def _of_user(folder: Callable[..., Path]) -> Path | None:
    # Without a home folder platformdirs raises, or names a folder `~` of the working folder.
    try:
        found = folder("parity", appauthor=False)
    except RuntimeError:
        return None
    return found if found.is_absolute() else None


def expanded(text: str | Path) -> Path:
    """Return a path with the home folder in place of `~`.

    Raises
    ------
    ParityError
        If there is no such home folder.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ParityError(f"{printable(os.fspath(text))}: {error}") from None


def printable(name: str) -> str:
    r"""Return a file's name as text that every file and every terminal takes.

    Examples
    --------
    >>> printable(os.fsdecode(b"caf\xe9"))
    'caf\\xe9'
    """
    # Whatever the locale, the system's bytes are in the text as surrogates or as what UTF-8 made of them.
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def command_line(words: Iterable[str]) -> str:
    r"""Return words as one line that the system's shell reads as these words, whatever bytes they hold.

    Examples
    --------
    >>> command_line(["parity", "run", "--inputs", os.fsdecode(b"my caf\xe9\n.npy")])
    "parity run --inputs $'my caf\\xe9\\n.npy'"
    """
    return subprocess.list2cmdline(list(words)) if system.WINDOWS else " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    letters = [letter if letter.isprintable() and letter not in "'\\" else _as_bytes(letter) for letter in word]
    return f"$'{''.join(letters)}'"


def _as_bytes(letter: str) -> str:
    if letter == "\n":
        return "\\n"
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
