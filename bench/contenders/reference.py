"""The TensorFlow reference, asked through parity's client; its own clock counts."""

from __future__ import annotations

import tempfile
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.contenders.common import Job, NoCounterpartError, Task, UnavailableError
from parity.keras import KerasModule
from parity.reference.client import ReferenceClient
from parity.reference.request import ReferenceAnswer, ReferenceCall, ReferenceRequest
from parity.run.calls import NotInReferenceError
from parity.run.questions import question
from parity.run.subjects import parse


class Reference:
    """The reference process, started when it is first needed.

    What it answers goes into a store of its own that is thrown away, and its workers remember nothing: every answer is
    computed here and now.

    Parameters
    ----------
    threads : int
        Threads of TensorFlow.
    enabled : bool
        False if the run was told to do without.
    """

    def __init__(self, threads: int, enabled: bool = True) -> None:
        self._enabled = enabled
        self._folder = tempfile.TemporaryDirectory(prefix="bench-reference-")
        self._client = ReferenceClient(
            store=self._folder.name, threads=threads, refresh=True, remember=False, timeout=3600.0
        )
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Reference:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._folder.cleanup()

    def prepare(self, task: Task) -> Job:
        """Return the call of the reference that the method is held to.

        The reference explains one sample at a time: the seconds of a batch are the sum over its samples.

        Raises
        ------
        UnavailableError
            If there is no reference environment, or the network is not a Keras one.
        NoCounterpartError
            If no reference has the method.
        """
        if not self._enabled:
            raise UnavailableError("the run was told to do without the reference")
        if task.network.source is None:
            raise UnavailableError(f"{task.network.name} is no Keras model")
        try:
            asked = ask(task.network.module, task.method)
        except NotInReferenceError as error:
            raise NoCounterpartError(str(error)) from error
        arrays = task.network.batch_arrays(len(task.targets))
        request = ReferenceRequest(task.network.source, arrays, tuple(task.targets), asked)
        clock: list[float] = []

        def call() -> npt.NDArray[Any]:
            answers = self.answer(request)
            clock.append(sum(one.seconds for one in answers))
            maps = np.stack([np.asarray(one.array) for one in answers])
            return np.moveaxis(maps, -1, 1) if maps.ndim > 2 else maps

        return Job(call, clock)

    def load(self, task: Task) -> None:
        """Have the network read and run once, by the backend that will be asked for the task's method.

        Raises
        ------
        UnavailableError, RuntimeError
            As `answer`.
        """
        assert task.network.source is not None  # `prepare` has seen to it
        call = ReferenceCall(ask(task.network.module, task.method).backend, "logits")
        self.answer(ReferenceRequest(task.network.source, task.network.batch_arrays(1), (0,), call))

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        """Return the reference's answers.

        Raises
        ------
        UnavailableError
            If the reference cannot run here.
        RuntimeError
            If it failed.
        """
        answers = self._client.answer(request)
        for one in answers:
            if one.error_kind == "environment":
                raise UnavailableError(str(one.error))
            if one.array is None:
                raise RuntimeError(f"the reference failed ({one.error_kind}): {one.error}")
            self.versions |= one.versions
        return answers


def ask(module: Any, method: str) -> ReferenceCall:
    """Return how the reference is asked for a method of a converted model.

    Raises
    ------
    NotInReferenceError
        If no reference has it for this very model.
    """
    if not isinstance(module, KerasModule):
        raise NotInReferenceError("the network is no Keras model")
    for candidate in question(parse(method), module.description).candidates:
        if candidate.recipe == "plain" and not candidate.rewrites:
            return candidate.call
    raise NotInReferenceError(f"no reference is right about {method} on this very model")
