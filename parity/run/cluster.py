"""Cases on a dask.distributed cluster: one task per model, method and few inputs.

Each worker of the cluster runs its tasks with the very code of a local run, one at a time, and keeps networks and
reference processes until the run ends. Dask gives the tasks of a lost worker to another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch

from parity.errors import ParityError, first_line
from parity.extras import install
from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError
from parity.run.budget import share
from parity.run.cases import LARGE, Plan
from parity.run.cluster_access import HINT, NOBODY_SAID, Access
from parity.run.outcome import Outcome, failed_cases
from parity.run.records import model_record
from parity.run.runner import Runner
from parity.run.sameness import here
from parity.run.subjects import subject
from parity.run.torch_arithmetic import round_equal_windows_equally

if TYPE_CHECKING:
    from distributed import Future
    from distributed.security import Security

CONNECT_SECONDS = 8.0
IDLE_SECONDS = 300.0
"""How long a worker keeps networks and reference processes for a run that gives it nothing to do."""


@dataclass(frozen=True)
class Task:
    """One method on a few inputs of one model.

    Attributes
    ----------
    plan
        It has one method.
    parameters
        Of the run's largest model, so that what a worker keeps has room for all of them.
    subject, reference, target
        See `Runner`.
    client
        Arguments of `ReferenceClient`, for the worker to make its own.
    """

    plan: Plan
    parameters: int
    subject: str
    reference: str
    target: int | None
    client: Mapping[str, Any]


@dataclass
class Reply:
    """What a task came to.

    Attributes
    ----------
    outcomes
        Its cases; a task that failed as a whole has rows that say so.
    model
        The model's entry in the results; None if the task failed.
    environment
        Versions of the reference.
    problems
        What the worker's store could not do.
    failure
        Why no further case can be made, or None.
    fault
        What is wrong with the worker's reference environment, if cases failed of it, or None.
    unable
        Why the worker could ask no reference, though its store had the answers, or None.
    """

    outcomes: list[Outcome]
    model: dict[str, Any] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    failure: str | None = None
    fault: str | None = None
    unable: str | None = None


# --- on a worker ------------------------------------------------------------------------------------------


class _Bench:
    """What a worker keeps between the tasks of a run: a reference client, and the last model's networks."""

    def __init__(self, task: Task) -> None:
        self.lock = threading.Lock()  # torch hooks and modules are shared: one task at a time
        self._client = ReferenceClient(**task.client, jobs=1, **_own_share(task.parameters))
        self._runner: Runner | None = None
        self.users = 0  # tasks at it, or waiting for it
        self.timer: threading.Timer | None = None

    def runner(self, task: Task) -> Runner:
        """Return a runner for the task's inputs."""
        plan, old = task.plan, self._runner
        if old is None or old.plan.source != plan.source:
            self._runner = None  # before the next networks are read, not after
            args = (plan, self._client, subject(task.subject), task.reference, task.target)
            self._runner = Runner(*args, ahead=1)
        elif [one.sha256 for one in old.plan.inputs] != [one.sha256 for one in plan.inputs]:
            self._runner = old.next(plan)
        else:
            old.plan = old.facts.plan = plan  # the same inputs, another method
        assert self._runner is not None
        return self._runner

    def close(self) -> None:
        """End the reference's processes, also those at work."""
        if self.timer is not None:
            self.timer.cancel()
        self._client.close(grace=0.0)

    def environment(self) -> dict[str, str]:
        """Return the versions of the reference."""
        return self._client.environment()

    def fault(self) -> str | None:
        """Return what is wrong with the reference environment, see `ReferenceClient`."""
        return self._client.fault

    def unable(self) -> str | None:
        """Return why no reference could be asked, see `ReferenceClient`."""
        return self._client.unable

    def problems(self) -> list[str]:
        """Return what the store could not do."""
        damaged = [f"damaged entry, computed again: {path}" for path in self._client.store.damaged]
        return [*map(str, self._client.store_errors), *damaged]


_benches: dict[str, _Bench] = {}
_making = threading.Lock()


@contextlib.contextmanager
def _at_bench(run: str, task: Task) -> Iterator[_Bench]:
    """Give a task its run's bench, alone.

    When a run begins, the benches of others go at which no task is: two VGG16 do not fit. Mostly their clients were
    killed; a run that goes on gets a new bench.
    """
    with _making:
        if run not in _benches:
            for other in [name for name, one in _benches.items() if not one.users]:
                release(other)
            _benches[run] = _Bench(task)
        bench = _benches[run]
        bench.users += 1
        if bench.timer is not None:
            bench.timer.cancel()
    try:
        with bench.lock:
            yield bench
    finally:
        with _making:
            bench.users -= 1
            if not bench.users:
                bench.timer = threading.Timer(IDLE_SECONDS, _release_idle, (run, bench))
                bench.timer.daemon = True
                bench.timer.start()


def _release_idle(run: str, bench: _Bench) -> None:
    """Forget a run that has given this worker nothing to do for a while: its client may be dead."""
    with _making:
        if not bench.users and _benches.get(run) is bench:
            release(run)


def _own_share(parameters: int) -> dict[str, Any]:
    """Return the reference's share of what dask gives this worker; the worker's own threads are torch's."""
    from distributed import get_worker

    worker = get_worker()
    memory = worker.memory_manager.memory_limit
    budget = share(parameters, jobs=1, cores=worker.state.nthreads, available=memory or None)
    return {"threads": budget.reference_threads, "keep_both": budget.keep_both}


def run_task(run: str, task: Task) -> Reply:
    """Run a task on a worker of the cluster."""
    from distributed import get_worker

    if task.parameters < LARGE:
        round_equal_windows_equally()
    (method,) = task.plan.methods
    try:
        with _at_bench(run, task) as bench:
            torch.set_num_threads(share(task.parameters, jobs=1, cores=get_worker().state.nthreads).torch_threads)
            runner = bench.runner(task)
            outcomes = list(runner.run_method(method))
            model = model_record(runner.facts).model
            rules = {name: list(value) for name, value in runner.facts.rules.items() if name == method}
            theirs = {name: value for name, value in runner.facts.reference_rules.items() if name == method}
            model |= {"rules": rules, "reference_rules": theirs}
            fault = bench.fault()
            if fault is not None:
                fault = f"worker {get_worker().address}: {fault}"
            return Reply(outcomes, model, bench.environment(), bench.problems(), fault=fault, unable=bench.unable())
    except ReferenceEnvironmentError as error:
        return Reply([], failure=f"worker {get_worker().address}: {error}")
    except Exception as error:  # costs this task's cases only
        return Reply(
            failed_cases(task.plan, task.target, f"worker {get_worker().address}: {type(error).__name__}: {error}")
        )


def release(run: str) -> None:
    """Forget a run on a worker, and end its reference processes."""
    bench = _benches.pop(run, None)
    if bench is not None:
        bench.close()


def _probe() -> str:
    """Return something; a worker without this package cannot even read the question."""
    return __name__


def _decides(client: Mapping[str, Any]) -> dict[str, str] | None:
    """Return what of this worker decides a case; None if it has no reference environment."""
    try:
        with ReferenceClient(**client) as reference:
            return reference.environment() | {f"worker's {name}": text for name, text in here().items()}
    except ReferenceEnvironmentError:
        return None


# --- where the run is -------------------------------------------------------------------------------------


async def _greet(address: str, security: Security) -> None:
    """Have a scheduler say that it is one, in `CONNECT_SECONDS`."""
    from distributed.core import rpc

    async def identity() -> Any:
        arguments = security.get_connection_args("client")
        async with rpc(address, connection_args=arguments, timeout=CONNECT_SECONDS) as scheduler:
            return await scheduler.identity()

    said = await asyncio.wait_for(identity(), CONNECT_SECONDS)
    if said.get("type") != "Scheduler":
        raise OSError(f"a dask {said.get('type')} answers there")


def _reason(error: BaseException) -> str:
    """Return what was at the root of an error: a certificate, say, that dask only says it could not connect for."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(str(error)) or type(error).__name__


class Cluster:
    """A dask.distributed cluster; a context manager, which ends what the run has left on the workers.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tls://10.0.0.1:8786``.
    access : Access
        The certificates of this client, or that none are wanted.

    Raises
    ------
    ParityError
        If dask is not installed, the address is open to others, nothing answers there, or the workers cannot run
        parity.
    """

    def __init__(self, address: str, access: Access = NOBODY_SAID) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ParityError(f"--cluster needs dask.distributed: {install('cluster')}") from error
        # What it logs of lost connections comes with tracebacks; what matters is raised, and told in a sentence.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        security = access.security(address)
        self._address, self._run = address, uuid.uuid4().hex
        try:
            # Asked first: a client that fails while it is made goes on trying when it is thrown away.
            with ThreadPoolExecutor(1) as thread:  # a notebook's thread has an event loop already
                thread.submit(asyncio.run, _greet(address, security)).result()
            self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, security=security)
        except Exception as error:  # a malformed address raises whatever its parser does
            reason = f"no answer for {CONNECT_SECONDS:g} s" if isinstance(error, TimeoutError) else _reason(error)
            raise ParityError(f"no dask scheduler answers at {address} ({reason}); {HINT}") from error
        try:
            self._require_workers()
        except BaseException:
            self._client.close(timeout=2)
            raise

    def _require_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            hint = HINT.split(", and ")[1].replace("workers", "some").replace("ADDRESS", self._address)
            raise ParityError(f"the dask cluster at {self._address} has no workers; start {hint}") from error
        try:
            self._client.run(_probe)
        except Exception as error:
            raise ParityError(
                f"the workers of the dask cluster at {self._address} cannot run parity "
                f"({type(error).__name__}: {error}); install this package in their environment"
            ) from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._client.run(release, self._run, on_error="ignore")
        except Exception as left:  # the scheduler is gone: its workers end, and the reference with them
            logging.getLogger(__name__).debug("not released: %s", left)
        finally:
            self._client.close(timeout=5)

    def versions(self, client: Mapping[str, Any]) -> dict[str, str] | None:
        """Return the versions of the workers; None if they differ, or are not known.

        Parameters
        ----------
        client : mapping
            With what the workers make their `ReferenceClient`.
        """
        try:
            told = list(self._client.run(_decides, dict(client)).values())
        except Exception as error:  # a worker that went away: the run itself will tell
            logging.getLogger(__name__).debug("no versions: %s", error)
            return None
        return told[0] if told and all(one == told[0] for one in told) else None

    def replies(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Reply], None, None]:
        """Yield replies as they come; tasks are read as workers become free, so that their inputs do not pile up.

        Raises
        ------
        ParityError
            If the scheduler is gone.
        """
        from distributed import as_completed

        waiting = iter(tasks)
        begun: dict[Any, tuple[Future, Task]] = {}
        completed = as_completed(loop=self._client.loop)

        def begin() -> None:
            """Keep two tasks per thread of the cluster under way."""
            while len(begun) < 2 * max(sum(self._client.nthreads().values()), 1):
                task = next(waiting, None)
                if task is None:
                    return
                future = self._client.submit(run_task, self._run, task, pure=False)
                begun[future.key] = future, task
                completed.add(future)

        try:
            begin()
            while begun:
                future = next(completed)
                _, task = begun.pop(future.key)
                yield task, self._reply(future, task)
                del future
                begin()
        except (OSError, TimeoutError) as error:
            raise self._gone(error) from error
        finally:
            with contextlib.suppress(Exception):  # what went wrong before is what is told
                self._client.cancel([future for future, _ in begun.values()])

    def _reply(self, future: Future, task: Task) -> Reply:
        if future.status in ("cancelled", "lost"):
            raise self._gone(future.status)
        error = future.exception()
        if error is None:
            reply: Reply = future.result()
            if reply.failure is not None:
                raise ParityError(reply.failure)
            return reply
        if type(error).__name__ in ("CancelledError", "FutureCancelledError"):
            raise self._gone(error)
        # Above all KilledWorker: dask gives up a task when several workers in a row died of it.
        return Reply(
            failed_cases(task.plan, task.target, f"the dask cluster gave the case up: {type(error).__name__}: {error}")
        )

    def _gone(self, reason: object) -> ParityError:
        return ParityError(f"the dask scheduler at {self._address} is gone ({reason}); start it and run again")
