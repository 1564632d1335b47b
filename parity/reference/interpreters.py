"""A Python from which the reference environment can be made, and uv where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from parity.reference.program import ProgramError, ask, named_program
from parity.system import WINDOWS

VERSION = (3, 11)
"""Of TensorFlow 2.12's Pythons the one for which `requirements/reference.txt` pins the packages."""
NAME = ".".join(map(str, VERSION))
SECONDS = 15.0
"""How long an interpreter may take to say what it is."""
_QUESTION = (
    "import importlib.util, json, sys; has = importlib.util.find_spec; "
    "print(json.dumps([list(sys.version_info[:2]), sys.executable, bool(has('venv') and has('ensurepip'))]))"
)


@dataclass(frozen=True)
class Interpreter:
    """What a Python says of itself.

    Attributes
    ----------
    path
        Where it lies.
    version
        Major and minor.
    makes_environments
        Whether it has `venv` and `ensurepip`, which some systems package apart.
    """

    path: Path
    version: tuple[int, int]
    makes_environments: bool


def uv() -> Path | None:
    """Return uv: beside this interpreter, or on PATH; None if it is not installed."""
    beside = Path(sys.executable).with_name("uv.exe" if WINDOWS else "uv")
    if os.access(beside, os.X_OK):
        return beside
    try:
        return named_program("uv")
    except ProgramError:
        return None


def asked(command: Sequence[str]) -> Interpreter:
    """Return what an interpreter says of itself.

    Raises
    ------
    ProgramError
        If it cannot be run, or is no Python.
    """
    told = ask([*command, "-I", "-c", _QUESTION], os.environ, SECONDS)
    try:
        (major, minor), path, makes = json.loads(told.out)
        return Interpreter(Path(path), (int(major), int(minor)), bool(makes))
    except (ValueError, TypeError):
        raise ProgramError(f"{' '.join(command)} is no Python that runs (exit code {told.code})") from None


def candidates() -> Iterator[Interpreter]:
    """Yield the Pythons of the right version: this one, those on PATH, and the one that Windows' launcher knows."""
    commands = [[sys.executable]]
    for folder in os.get_exec_path():
        program = shutil.which(f"python{NAME}", path=folder) if Path(folder).is_absolute() else None
        commands += [[program]] if program else []
    launcher = shutil.which("py") if WINDOWS else None
    commands += [[launcher, f"-{NAME}"]] if launcher else []
    for command in commands:
        try:
            found = asked(command)
        except ProgramError:  # such as a version manager's placeholder for a version that is not switched on
            continue
        if found.version == VERSION:
            yield found
