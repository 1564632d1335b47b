"""Which program a setting names, and a short question put to it: nothing is ever taken from the working folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parity.errors import ParityError
from parity.paths import expanded
from parity.system import end_group, environment_python, own_group, separators

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds this package; of an editable install, the clone."""
IN_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file()
"""Whether this package lies in a clone, where `make` can be run, or was installed from a wheel."""
NEUTRAL = "/"
"""Where programs are started: nobody but the system's owner can lay a module or a configuration file there."""
_SHOWN = 300
_REST = 1.0
"""Seconds for the last output of a process that was ended, if something outside of its group holds the pipe."""


class ProgramError(ParityError):
    """A program is not there, cannot be run, or does not answer."""


@dataclass(frozen=True)
class Told:
    """What a program said.

    Attributes
    ----------
    code
        Its exit code.
    out, err
        What it wrote.
    """

    code: int
    out: bytes
    err: bytes


def named_program(setting: str | Path) -> Path:
    """Return the program that a setting names: an absolute path, or a name that an absolute folder of PATH has.

    What depends on the working folder is refused: who stands in a folder under review must not run what lies there.

    Raises
    ------
    ProgramError
        If there is no such program.
    """
    text = os.fspath(setting)
    if not any(sign in text for sign in separators()):
        folders = [place for place in os.get_exec_path() if Path(place).is_absolute()]
        found = shutil.which(text, path=os.pathsep.join(folders))
        if found is None:
            raise ProgramError(f"{text} is no program on PATH")
        return Path(found)
    try:
        path = expanded(text)
    except ParityError as error:
        raise ProgramError(str(error)) from None
    if not path.is_absolute():
        raise ProgramError(f"{text} depends on the working folder; give an absolute path")
    if not runnable(path):
        raise ProgramError(f"{path} is no program that can be run")
    return path  # not resolved: a venv's python is a link, and resolved it is another Python


def program_of(
    folder: str,
    variable: str,
    setting: str | Path | None = None,
    elsewhere: Callable[[], Path | None] = lambda: None,
) -> Path:
    """Return the interpreter of an environment: a setting, an environment variable, a folder beside the package.

    Parameters
    ----------
    folder : str
        Such as ".venv-reference".
    variable : str
        The environment variable that may name another.
    setting : str or Path, optional
        Goes before the variable.
    elsewhere : callable, optional
        Asked for an interpreter where there is none beside the package.

    Raises
    ------
    ProgramError
        If there is none.
    """
    for origin, named in (("", setting), (f"{variable}: ", os.environ.get(variable))):
        if named:
            try:
                return named_program(named)
            except ProgramError as error:
                raise ProgramError(f"{origin}{error}") from None
    path = environment_python(CHECKOUT / folder)
    if runnable(path):
        return path
    if (other := elsewhere()) is not None:
        return other
    raise ProgramError(f"there is no {path}" if IN_CHECKOUT else "none was made yet")


def runnable(path: Path) -> bool:
    """Return whether there is a file that can be run."""
    return os.access(path, os.X_OK) and not path.is_dir()


def ask(command: Sequence[str], environment: Mapping[str, str], timeout: float) -> Told:
    """Run a program that answers and ends; nothing that it started outlives the call.

    Raises
    ------
    ProgramError
        If it cannot be started, or has not ended after `timeout` seconds; what it wrote until then is told.
    """
    try:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=NEUTRAL,
            **own_group(),
        )
    except OSError as error:
        raise ProgramError(f"{command[0]} cannot be run: {error.strerror or error}") from error
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        code = process.poll()
        out, err = _ended(process)
        if code is None:
            said = shown(out + err) or "nothing"
            raise ProgramError(f"{command[0]} hangs: no answer for {timeout:g} s; it wrote: {said}") from None
    finally:
        end_group(process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    return Told(process.returncode, out, err)


def shown(output: bytes) -> str:
    """Return the end of what a program wrote, on one line, without what would steer a terminal."""
    text = " | ".join(line.strip() for line in output.decode(errors="replace").splitlines() if line.strip())
    return "".join(letter if letter.isprintable() else "?" for letter in text)[-_SHOWN:]


def _ended(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """End a process and its group, and return what it had written."""
    end_group(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=_REST)
    try:
        return process.communicate(timeout=0.0)
    except subprocess.TimeoutExpired as error:
        return error.output or b"", error.stderr or b""
