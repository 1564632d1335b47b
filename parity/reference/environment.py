"""The reference environment: which interpreter, which packages, and how a worker is started in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from parity.errors import ParityError
from parity.reference import installed
from parity.reference.program import IN_CHECKOUT, ProgramError, ask, program_of, shown
from parity.reference.request import ReferenceCall

SETUP = "make setup" if IN_CHECKOUT else "parity setup"
"""The command that makes the reference environment."""
MEND = (
    f"run `{SETUP}`, or give REFERENCE_PYTHON the absolute path of a Python that has tensorflow, signxai and "
    "innvestigate"
)
VERSIONS_SECONDS = 15.0
"""How long an interpreter may take to say what it has, which imports NumPy and no TensorFlow."""
WORKER = Path(__file__).with_name("worker") / "main.py"

_COMMON = ("tensorflow", "keras", "numpy", "scipy", "pillow")
# Another Python's settings must not reach the worker: its packages come from its own environment alone, and what the
# references print must not fail for the terminal's sake.
_DROPPED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONEXECUTABLE",
    "PYTHONPLATLIBDIR",
    "PYTHONWARNINGS",
    "PYTHONBREAKPOINT",
    "PYTHONINSPECT",
    "PYTHONIOENCODING",
    "OMP_NUM_THREADS",
)


class ReferenceEnvironmentError(ParityError):
    """The TensorFlow environment is missing or incomplete: the message ends with the command that mends it."""


def find_python(python: str | Path | None = None) -> Path:
    """Return the reference interpreter.

    It is the argument, `REFERENCE_PYTHON`, that of `.venv-reference` beside the package, or that of the environment
    that `parity setup` made. The first two are an absolute path or the name of a program on PATH. Nothing is looked for
    in the working folder, which may be somebody else's.

    Raises
    ------
    ReferenceEnvironmentError
        If there is none.
    """
    try:
        return program_of(".venv-reference", "REFERENCE_PYTHON", python, installed.interpreter)
    except ProgramError as error:
        raise ReferenceEnvironmentError(f"no reference environment: {error}; {MEND}") from None


def worker_environment(onednn: bool = True) -> dict[str, str]:
    """Return the environment variables a worker is started with: quiet, on the CPU, with oneDNN or without it."""
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {
        **kept,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "1" if onednn else "0",
        "CUDA_VISIBLE_DEVICES": "-1",
        "MPLBACKEND": "Agg",
        "PYTHONHASHSEED": "0",
    }


def package_versions(python: Path, worker: Path = WORKER, timeout: float = VERSIONS_SECONDS) -> dict[str, str]:
    """Ask the interpreter for the versions of its packages, without starting TensorFlow.

    Raises
    ------
    ReferenceEnvironmentError
        If it cannot be run or does not answer.
    """
    try:
        told = ask([str(python), "-s", str(worker), "--versions"], worker_environment(), timeout)
    except ProgramError as error:
        raise ReferenceEnvironmentError(f"{error}; {MEND}") from error
    try:
        versions = json.loads(told.out)
        return {str(name): str(value) for name, value in versions.items()}
    except (ValueError, AttributeError) as error:
        said = shown(told.err) or "no output"
        raise ReferenceEnvironmentError(
            f"{python} cannot say what it has (exit code {told.code}): {said}; {MEND}"
        ) from error


def relevant_versions(call: ReferenceCall, versions: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that can change the answer to a call: the store's key holds them.

    Raises
    ------
    ReferenceEnvironmentError
        If a package that the call needs is not installed.
    """
    packages = [*_COMMON, call.backend, *(["signxai"] if call.modifiers else [])]
    missing = [name for name in dict.fromkeys(packages) if name not in versions]
    if missing:
        raise ReferenceEnvironmentError(f"the reference environment lacks {', '.join(missing)}; {MEND}")
    return {name: versions[name] for name in (*packages, "worker")}
