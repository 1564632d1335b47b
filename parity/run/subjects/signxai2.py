"""signxai2 (the package of this name) as a subject: the wrapper of the method's own name, in an environment of its own.

signxai2 wants an older NumPy than the harness, and its package is called `signxai` like one of the originals, so it
runs in a process of its own (`.venv-signxai2`, made by `make subjects`, or the interpreter `SIGNXAI2_PYTHON` names),
which gets the converted model and each batch, and calls `signxai.torch_signxai.methods.wrappers.NAME(model, x,
target_class=...)`: what a user has who moves from SIGN-XAI. Its maps are taken as they are; a map without channels is
repeated for each channel. What it does in float32 whatever it is given stays so. SmoothGrad and VarGrad count as not
offered, because signxai2 draws its own noise and cannot be told the noise of the case.
"""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from parity.claimed import ClaimedFolder, temporary
from parity.errors import ParityError
from parity.keras import KerasModule
from parity.reference.environment import VERSIONS_SECONDS
from parity.reference.process import WorkerError, WorkerProcess
from parity.reference.program import CHECKOUT, ProgramError, ask, program_of, shown
from parity.run.subjects.function import FunctionSubject
from parity.run.subjects.stock import refuse_several
from signxai_torch.methods.grammar import parse

WORKER = Path(__file__).with_name("signxai2_worker.py")
START, ANSWER = 120.0, 600.0
"""Seconds within which the process must be up, and answer."""
PACKAGES = ("signxai2", "torch", "zennit", "numpy")
_TELL = f"""
import json, platform
from importlib.metadata import version
print(json.dumps({{name: version(name) for name in {PACKAGES}}} | {{"python": platform.python_version()}}))
"""
MEND = "run `make subjects`, or give SIGNXAI2_PYTHON the absolute path of a Python that has signxai2, torch and zennit"


class Signxai2Error(RuntimeError):
    """What signxai2 raised, in its own process."""


def subject() -> FunctionSubject:
    """Return signxai2 as a subject.

    Raises
    ------
    ParityError
        If its environment is missing or incomplete.
    """
    python = _python()
    called = Signxai2(python)
    return FunctionSubject(called.explain, "signxai2", versions=_versions(python), file=__file__)


class Signxai2:
    """signxai2 in a process that is started with the first question.

    Parameters
    ----------
    python : Path
        The interpreter that has it.
    """

    def __init__(self, python: Path) -> None:
        self._python = python
        self._process: WorkerProcess | None = None
        self._files: ClaimedFolder | None = None
        self._models: WeakKeyDictionary[KerasModule, Path] = WeakKeyDictionary()
        self._count = 0
        atexit.register(self.close)

    def close(self) -> None:
        """End the process and remove its files."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        if self._files is not None:
            self._files.remove()
            self._files = None

    @property
    def _folder(self) -> Path:
        if self._files is None:
            self._files = temporary("parity-signxai2-")
        return self._files.path

    def explain(
        self, model: KerasModule, x: Tensor, method: str, target: list[int], **parameters: Any
    ) -> npt.NDArray[Any]:
        """Return signxai2's map of a batch in the shape of `x`.

        Raises
        ------
        NotImplementedError
            If it has no such method; the text is the reason.
        Signxai2Error
            If it raised, or its process ended.
        """
        parsed = parse(method)
        refuse_several(model, "signxai2")
        if parsed.family in ("smoothgrad", "vargrad", "random"):
            raise NotImplementedError("signxai2 draws its own noise and cannot be told that of the case")
        maps = [self._ask(model, part[None], method, index, parameters) for part, index in zip(x, target, strict=True)]
        return np.concatenate([_shaped(one, tuple(x.shape[1:])) for one in maps])

    def _ask(
        self, model: KerasModule, x: Tensor, method: str, target: int, parameters: Mapping[str, Any]
    ) -> npt.NDArray[Any]:
        if model not in self._models:
            self._models[model] = self._folder / f"model-{len(self._models)}-{self._count}.pt"
            torch.save(model, self._models[model])
        self._count += 1
        given, made = (self._folder / f"{name}-{self._count}.npy" for name in ("x", "map"))
        np.save(given, x.numpy())
        try:
            answer = self._exchange(
                {"model": str(self._models[model]), "x": str(given), "map": str(made), "method": method,
                 "target": target, "parameters": {name: _plain(value) for name, value in parameters.items()}}
            )  # fmt: skip
            if answer.get("missing"):
                raise NotImplementedError(f"signxai2 has no {method}")
            if "error" in answer:
                raise Signxai2Error(answer["error"])
            return np.asarray(np.load(made))
        finally:
            given.unlink(missing_ok=True)
            made.unlink(missing_ok=True)

    def _exchange(self, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if self._process is None or not self._process.alive:
                command = [str(self._python), str(WORKER)]
                self._process = WorkerProcess(command, _environment(), self._folder / "log.txt")
                self._process.receive(START)
            self._process.send(question)
            return self._process.receive(ANSWER)
        except WorkerError as error:
            tail = self._process.log_tail() if self._process is not None else ""
            if self._process is not None:
                self._process.kill()
            self._process = None
            raise Signxai2Error(f"{error}\n{tail}".strip()) from error


def _shaped(made: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a map with the axes of the batch and of the channels, where signxai2 has left them out."""
    if made.shape in (shape, (1, *shape)):
        return made.reshape(1, *shape)
    if made.shape in (shape[1:], (1, *shape[1:])):
        return np.broadcast_to(made.reshape(1, 1, *shape[1:]), (1, *shape))
    return made[None] if made.shape[:1] != (1,) else made


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _python() -> Path:
    try:
        return program_of(".venv-signxai2", "SIGNXAI2_PYTHON")
    except ProgramError as error:
        raise ParityError(f"the subject signxai2 needs an environment of its own: {error}; {MEND}") from None


def _environment() -> dict[str, str]:
    dropped = ("PYTHONHOME", "PYTHONSTARTUP")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"PYTHONPATH": str(CHECKOUT), "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg"}


def _versions(python: Path) -> dict[str, str]:
    """Return the versions of what takes part, which are those of the environment and not of this process."""
    try:
        told = ask([str(python), "-c", _TELL], _environment(), VERSIONS_SECONDS)
        return {str(name): str(value) for name, value in json.loads(told.out).items()}
    except ProgramError as error:
        raise ParityError(f"{error}; {MEND}") from error
    except (ValueError, AttributeError) as error:
        raise ParityError(f"{python} has no signxai2: {shown(told.err) or 'no output'}; {MEND}") from error
