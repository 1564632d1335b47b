"""The reference environment: which interpreter, which packages, and how a worker is started in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from parity.errors import ParityError
from parity.reference.request import ReferenceCall

MEND = "run `make setup`, or point REFERENCE_PYTHON at a Python that has tensorflow, signxai and innvestigate"
WORKER = Path(__file__).with_name("worker") / "main.py"

_COMMON = ("tensorflow", "keras", "numpy", "scipy", "pillow")
# Another Python's settings must not reach the worker: its packages come from its own environment alone.
_DROPPED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "OMP_NUM_THREADS")


class ReferenceEnvironmentError(ParityError):
    """The TensorFlow environment is missing or incomplete: the message ends with the command that mends it."""


def find_python(python: str | Path | None = None) -> Path:
    """Return the reference interpreter: the argument, `REFERENCE_PYTHON`, or `.venv-reference/bin/python`.

    The last is looked for under the current directory, then beside the package.

    Raises
    ------
    ReferenceEnvironmentError
        If there is none.
    """
    for origin, named in (("", python), ("REFERENCE_PYTHON: ", os.environ.get("REFERENCE_PYTHON"))):
        if named:
            command = shutil.which(named) or Path(named).expanduser()
            # Made absolute but not resolved: a venv's python is a link, and resolved it is another Python.
            path = Path(os.path.abspath(command))  # noqa: PTH100
            if not os.access(path, os.X_OK) or path.is_dir():
                raise ReferenceEnvironmentError(f"{origin}{path} is no program that can be run; {MEND}")
            return path
    places = [Path.cwd(), Path(__file__).resolve().parents[2]]
    for place in places:
        path = place / ".venv-reference" / "bin" / "python"
        if os.access(path, os.X_OK):
            return path
    looked = " and ".join(str(place / ".venv-reference") for place in dict.fromkeys(places))
    raise ReferenceEnvironmentError(f"no reference environment: looked for {looked}; {MEND}")


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


def package_versions(python: Path, worker: Path = WORKER, timeout: float = 60.0) -> dict[str, str]:
    """Ask the interpreter for the versions of its packages, without starting TensorFlow.

    Raises
    ------
    ReferenceEnvironmentError
        If it cannot be run or does not answer.
    """
    command = [str(python), "-s", str(worker), "--versions"]
    try:
        done = subprocess.run(command, env=worker_environment(), capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReferenceEnvironmentError(f"{python} cannot be run: {error}; {MEND}") from error
    try:
        versions = json.loads(done.stdout)
        return {str(name): str(value) for name, value in versions.items()}
    except (ValueError, AttributeError) as error:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise ReferenceEnvironmentError(
            f"{python} cannot say what it has (exit code {done.returncode}): {last[0]}; {MEND}"
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
