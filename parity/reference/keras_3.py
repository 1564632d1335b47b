"""What Keras 3 itself makes of a file of its own, which the references' Keras 2 cannot read."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.reference.program import ProgramError, ask

_PROCESS = Path(__file__).with_name("keras_3_process.py")
_SECONDS = 600.0


class Keras3Error(Exception):
    """Keras 3 gave no logits; the text says why, as the end of a sentence about the file."""


@dataclass(frozen=True)
class Logits:
    """What Keras 3 computed.

    Attributes
    ----------
    values
        `(N, classes)`, of one output with its places in one row.
    version
        Of Keras.
    """

    values: npt.NDArray[np.floating[Any]]
    version: str


def logits_of_keras_3(
    path: Path,
    inputs: Sequence[npt.NDArray[Any]],
    keys: Sequence[str] = (),
    output: str = "",
    softmax: str | None = None,
) -> Logits:
    """Let Keras 3 read a file and compute, in float32, in a process of its own.

    Parameters
    ----------
    path
        A whole model, `.keras` or `.h5`.
    inputs
        What each input of the model is given, `(N, ...)` in Keras layout.
    keys
        The names that the model takes its inputs under, where Keras calls it with a dict.
    output
        The layer that makes the output that is meant, of a model of several.
    softmax
        The layer whose softmax is left out, `outer/inner` inside of a model.

    Raises
    ------
    Keras3Error
        If Keras 3 is not installed beside this package, or cannot read or run the model.
    """
    if not _is_installed():
        raise Keras3Error("Keras 3, which alone reads it, is not installed here (pip install keras)")
    with tempfile.TemporaryDirectory(prefix="parity-keras-3-") as folder:
        input_file, output_file = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(input_file, *inputs)
        told = {
            "path": str(path.absolute()), "inputs": str(input_file), "outputs": str(output_file),
            "keys": list(keys), "output": output, "softmax": softmax,
        }  # fmt: skip
        # A home of its own: the user's keras.json may name another backend, dtype or layout.
        environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_HOME": folder, "CUDA_VISIBLE_DEVICES": ""}
        try:
            answer = ask([sys.executable, str(_PROCESS), json.dumps(told)], environment, _SECONDS)
        except ProgramError as error:
            raise Keras3Error(f"Keras 3 did not answer: {error}") from None
        if answer.code:
            last = answer.err.decode(errors="replace").strip().rpartition("\n")[2]
            raise Keras3Error(f"Keras 3 cannot run it: {last[:300] or f'exit status {answer.code}'}")
        with np.load(output_file) as stored:
            return Logits(stored["logits"], str(stored["version"]))


def _is_installed() -> bool:
    try:
        return int(importlib.metadata.version("keras").split(".")[0]) >= 3
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
