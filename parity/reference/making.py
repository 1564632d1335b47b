"""Making the reference environment of a user: with uv, or with `venv` and pip; whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from parity.paths import command_line
from parity.reference.environment import ReferenceEnvironmentError, package_versions, worker_environment
from parity.reference.installed import PINS, PREFIX, WANTED, Place
from parity.reference.interpreters import NAME, VERSION, asked, candidates, uv
from parity.reference.program import NEUTRAL, ProgramError, named_program
from parity.reference.protocol import PACKAGES
from parity.system import end_group, environment_python, own_group

Installer = Literal["auto", "uv", "pip"]
SIZE = 2.6e9
"""Bytes that the environment takes (measured on Linux)."""
LOCK_SECONDS = 1.0
_FIRST_IMPORT = 120.0
"""Seconds in which a new environment must say what it has; its files are cold."""


@dataclass(frozen=True)
class Recipe:
    """How an environment is made.

    Attributes
    ----------
    python
        The interpreter that it is made from: a path, or for uv also a version.
    uv
        The uv that makes it; None for `venv` and pip.
    """

    python: str
    uv: Path | None

    def commands(self, folder: Path) -> list[list[str]]:
        """Return the commands that make the environment in a folder."""
        made = str(environment_python(folder))
        wanted = ["--constraint", str(PINS), "--requirement", str(WANTED)]
        if self.uv is not None:
            return [
                [str(self.uv), "venv", "--python", self.python, str(folder)],
                [str(self.uv), "pip", "install", "--python", made, *wanted],
            ]
        return [
            [self.python, "-I", "-m", "venv", str(folder)],
            [made, "-I", "-m", "pip", "install", "--disable-pip-version-check", *wanted],
        ]


def recipe(python: str | None = None, installer: Installer = "auto") -> Recipe:
    """Return how the environment can be made on this machine.

    Parameters
    ----------
    python : str, optional
        The interpreter to make it from: an absolute path, or a program on PATH. Without it one is looked for.
    installer : str
        "uv", which fetches a Python where there is none; "pip"; or "auto": uv where it is installed.

    Raises
    ------
    ReferenceEnvironmentError
        If no Python will do, or there is no uv where it was asked for.
    """
    tool = None if installer == "pip" else uv()
    if installer == "uv" and tool is None:
        raise ReferenceEnvironmentError("there is no uv on PATH: `pip install uv`, or leave out --installer uv")
    if python is not None:
        try:
            named = asked([str(named_program(python))])
        except ProgramError as error:
            raise ReferenceEnvironmentError(f"--python {error}") from None
        if named.version != VERSION:
            version = ".".join(map(str, named.version))
            raise ReferenceEnvironmentError(
                f"--python {python} is Python {version}, and the packages of the reference are those of Python {NAME}"
            )
        if tool is None and not named.makes_environments:
            raise ReferenceEnvironmentError(f"--python {python} has no venv or no ensurepip: {_HOW_TO_GET_ONE}")
        return Recipe(str(named.path), tool)
    found = next((each for each in candidates() if tool is not None or each.makes_environments), None)
    if found is not None:
        return Recipe(str(found.path), tool)
    if tool is not None:
        return Recipe(NAME, tool)  # uv finds one where this does not look, or fetches it
    raise ReferenceEnvironmentError(
        f"there is no Python {NAME} with venv, which TensorFlow 2.12 and the pinned packages need: {_HOW_TO_GET_ONE}"
    )


_HOW_TO_GET_ONE = (
    f"install one (Debian: python{NAME}-venv), or uv, which fetches it (`pip install uv`), or name it with --python"
)


def make(
    made_by: Recipe,
    place: Place | None,
    path: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """Make the environment and record it; return its folder.

    What was recorded before goes when the new one is whole. If anything fails or is interrupted, nothing is left of the
    new one.

    Parameters
    ----------
    made_by : Recipe
        How.
    place : Place or None
        Where the record goes, and without `path` the environment; None for a user without a data folder.
    path : Path, optional
        An absolute path for the environment; an empty folder, or none yet.
    tell : callable
        Gets a line of progress.

    Raises
    ------
    ReferenceEnvironmentError
        If a command fails, the environment lacks a package, another `parity setup` is at work, or there is no place.
    """
    from filelock import FileLock, Timeout

    if place is None:
        if path is None:
            raise ReferenceEnvironmentError("there is no home folder to make the environment in: name one with --path")
        return _made(made_by, path, tell)
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(place.folder / "setup.lock", timeout=LOCK_SECONDS):
            _sweep(place)
            before = place.environment()
            folder = path or Path(tempfile.mkdtemp(prefix=f"{PREFIX}{place.key}-", dir=place.folder))
            _made(made_by, folder, tell)
            _record(place.record, folder)
            if before is not None and before != folder:
                _sweep(place)
            return folder
    except Timeout:
        raise ReferenceEnvironmentError(f"another `parity setup` is at work in {place.folder}; wait for it") from None


def require_free(path: Path) -> None:
    """Refuse a folder that holds anything.

    Raises
    ------
    ReferenceEnvironmentError
        If it does, or is a file.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ReferenceEnvironmentError(f"--path {path} is not empty; name a folder that is not there yet")


def _made(made_by: Recipe, folder: Path, tell: Callable[[str], None]) -> Path:
    try:
        for command in made_by.commands(folder):
            tell(command_line(command))
            _run(command)
        versions = package_versions(environment_python(folder), timeout=_FIRST_IMPORT)
        missing = [name for name in PACKAGES if name not in versions]
        if missing:
            raise ReferenceEnvironmentError(f"the new environment lacks {', '.join(missing)}")
    except BaseException:  # Ctrl-C as well
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _run(command: Sequence[str]) -> None:
    """Run a command that shows its own progress; a process that is interrupted ends with all it started."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=worker_environment(), cwd=NEUTRAL, **own_group()
        )
    except OSError as error:
        raise ReferenceEnvironmentError(f"{command[0]} cannot be run: {error.strerror or error}") from error
    try:
        code = process.wait()
    finally:
        end_group(process)
    if code:
        raise ReferenceEnvironmentError(
            f"`{command_line(command)}` ended with exit code {code}; what it says stands above. Nothing was left of "
            "the new environment"
        )


def _record(path: Path, folder: Path) -> None:
    part = path.with_suffix(".part")
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    part.write_text(json.dumps({"environment": os.fspath(folder), "made": made}) + "\n", encoding="utf-8")
    part.replace(path)


def _sweep(place: Place) -> None:
    """Remove what no record names: environments that were being made when the machine stopped, or were replaced."""
    named = set(place.environments())
    for folder in place.folder.glob(f"{PREFIX}*-*"):
        if folder.is_dir() and folder not in named:
            shutil.rmtree(folder, ignore_errors=True)
