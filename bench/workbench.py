"""Gets calls ready to be timed: networks, batches, contenders, and the unit beside each of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import signxai_torch
from bench.contenders import Everyone, Job, NoCounterpartError, Task, UnavailableError, gradient_unit
from bench.contenders.everyone import PORT, REFERENCE
from bench.networks import Network, load
from bench.plan import Case, Sweep
from bench.sweep_names import calls, names_of
from parity.reference.request import ReferenceRequest

Array = npt.NDArray[Any]


class Timed:
    """A call for the harness to time, which has run once already.

    The first call is not among the rounds: it holds what is done once per network (TensorFlow's tracing, the
    libraries' own set-up). It is told apart.

    Parameters
    ----------
    about : dict
        What is measured, for the results.
    job, unit : Job
        The call and the unit.
    first : float or None
        Seconds of the first call.
    device : str
        Where both run.
    """

    def __init__(self, about: dict[str, Any], job: Job, unit: Job, first: float | None, device: str) -> None:
        self.call: Callable[[], Any] = finished(job.call, device)
        self._about, self._unit, self._first = about, finished(unit.call, device), first
        self._clock = job.clock
        self._units: list[float] = []

    def beside(self) -> None:
        """Take the time of one unit; the harness calls this before each round, so that both meet the same machine."""
        self._units.append(_seconds(self._unit)[0])

    def told(self) -> dict[str, Any]:
        """Return what the results hold besides the harness's own numbers."""
        return {
            **self._about,
            "first_seconds": self._first,
            "unit_seconds": self._units,
            "own_seconds": None if self._clock is None else list(self._clock),
        }


class Workbench:
    """Everything that a run's cases share.

    Parameters
    ----------
    everyone : Everyone
        The contenders.
    device : str
        Where torch's contenders run: "cpu", "cuda" or "mps".

    Attributes
    ----------
    networks : dict of str to Network
        The networks that were loaded.
    missing : list of dict
        What could not be measured, and why.
    """

    def __init__(self, everyone: Everyone, device: str) -> None:
        self.everyone, self.device = everyone, device
        self.networks: dict[str, Network] = {}
        self.missing: list[dict[str, Any]] = []
        self._batches: dict[tuple[str, int, int | None], tuple[torch.Tensor, list[int]]] = {}
        self._reference_seconds: dict[str, dict[str, float]] = {}  # per network and name, for the sweeps
        self._map: tuple[Case, Array] | None = None  # the port's last map, to compare others with

    def network(self, name: str) -> Network:
        """Return a network, loaded once."""
        if name not in self.networks:
            self.networks[name] = load(name).on(self.device)
        return self.networks[name]

    def task(self, network: str, batch: int, side: int | None, method: str) -> Task:
        """Return a task; batches and their targets are made once."""
        loaded, key = self.network(network), (network, batch, side)
        if key not in self._batches:
            x = loaded.batch(batch, side)
            self._batches[key] = (x, loaded.targets(x))
        return Task(loaded, *self._batches[key], method)

    def timed(self, case: Case) -> Timed:
        """Return a case's call, run once.

        Raises
        ------
        UnavailableError, NoCounterpartError
            If the contender cannot be measured.
        """
        task = self.task(case.network, case.batch, case.side, case.method)
        job, unit = self.everyone.prepare(case.contender, task), gradient_unit(task)
        unit.call()
        first, result = _seconds(finished(job.call, self.device))
        if job.clock:
            first = job.clock.pop()
        cosine = self._cosine(case, _flat(result))
        return Timed({"case": dataclasses.asdict(case), "cosine": cosine}, job, unit, first, self.device)

    def _cosine(self, case: Case, values: Array) -> float | None:
        """Return the cosine between a contender's map and the port's: a rule of the same name may be another rule."""
        if case.contender == PORT:
            self._map = (case, values)
            return None
        if self._map is None or dataclasses.replace(case, contender=PORT) != self._map[0]:
            return None
        mine = self._map[1]
        length = float(np.linalg.norm(values) * np.linalg.norm(mine))
        return float(values @ mine) / length if length > 0 else None

    def timed_sweep(self, sweep: Sweep) -> Timed:
        """Return the call that takes all names of a sweep on one sample; it has not run yet.

        Raises
        ------
        UnavailableError
            If the reference has none of the names or cannot run.
        """
        task = self.task(sweep.network, 1, None, "gradient")
        names, unit = names_of(task.network, sweep.names), gradient_unit(task)
        if not names:
            raise UnavailableError("the reference cannot be asked about this network")
        module, x, targets = task.network.module, task.x, task.targets
        if sweep.how == REFERENCE:
            job = self._reference_sweep(task, names)
        elif sweep.how == "explain_many":
            job = Job(lambda: signxai_torch.explain_many(module, x, names, targets))
        else:
            job = Job(lambda: [signxai_torch.explain(module, x, name, targets) for name in names])
        unit.call()
        return Timed({"sweep": dataclasses.asdict(sweep), "count": len(names)}, job, unit, None, self.device)

    def _reference_sweep(self, task: Task, names: tuple[str, ...]) -> Job:
        source, asked = task.network.source, calls(task.network)
        if source is None:
            raise UnavailableError(f"{task.network.name} is no Keras model")
        clock: list[float] = []
        arrays, targets = task.network.batch_arrays(1), (task.targets[0],)

        def call() -> None:
            """Ask for the names that no sweep before this one has asked for; minutes, for a VGG16."""
            taken = self._reference_seconds.setdefault(source.name, {})
            for name in names:
                if name not in taken:
                    request = ReferenceRequest(source, arrays, targets, asked[name])
                    taken[name] = self.everyone.reference.answer(request)[0].seconds
            clock.append(sum(taken[name] for name in names))

        return Job(call, clock)

    def absent(self, what: Case | Sweep, reason: Exception) -> None:
        """Note that something could not be measured, and why."""
        kind = "sweep" if isinstance(what, Sweep) else "case"
        self.missing.append({kind: dataclasses.asdict(what), **why(reason)})


def why(reason: Exception) -> dict[str, str]:
    """Return what the results say of something that was not measured."""
    if isinstance(reason, NoCounterpartError):
        return {"kind": "no-counterpart", "reason": str(reason)}
    if isinstance(reason, UnavailableError):
        return {"kind": "unavailable", "reason": str(reason)}
    return {"kind": "failed", "reason": f"{type(reason).__name__}: {reason}"}


def _flat(result: torch.Tensor | Array) -> Array:
    values = result.detach().cpu().numpy() if isinstance(result, torch.Tensor) else result
    return np.asarray(values, dtype=np.float64).ravel()


def finished(call: Callable[[], Any], device: str) -> Callable[[], Any]:
    """Return a call that waits for the device: a GPU is told what to do, and works while Python goes on."""
    if device == "cpu":
        return call
    wait = torch.get_device_module(device).synchronize

    def waiting() -> Any:
        result = call()
        wait()
        return result

    return waiting


def _seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result
