"""The worker processes of a client: started on demand, lent to one request at a time, ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from parity.claimed import ClaimedFolder, temporary
from parity.reference.environment import MEND, ReferenceEnvironmentError, find_python, worker_environment
from parity.reference.process import WorkerError, WorkerProcess
from parity.reference.request import Backend, ErrorKind

# Workers that fail to start this often in a row are not tried again: the environment is at fault.
_START_ATTEMPTS = 3
EXCHANGE = "parity-reference-"
"""Begins the name of the temporary folder in which client and workers exchange files."""


class WorkerStartError(WorkerError):
    """A worker that did not come up, with what it wrote to stderr."""

    def __init__(self, kind: ErrorKind, message: str, tail: str) -> None:
        super().__init__(kind, message)
        self.tail = tail


@dataclass(eq=False)
class Worker:
    """A running worker.

    Attributes
    ----------
    backend
        Its mode, which it keeps.
    process
        The process.
    versions
        What it said of itself when it was ready.
    onednn
        Whether its TensorFlow uses oneDNN.
    busy
        Whether a request has it.
    thread
        The thread that had it last: its next request is often like the last, and a worker remembers.
    spent
        Set by who has it, to have it ended when it comes back: it ran out of memory, say.
    """

    backend: Backend
    process: WorkerProcess
    versions: dict[str, str]
    onednn: bool = True
    busy: bool = True
    thread: int = field(default_factory=threading.get_ident)
    spent: bool = False


class WorkerPool:
    """Up to `jobs` busy workers, each with one mode, with oneDNN or without it, and the models it has read.

    Parameters
    ----------
    program
        The worker program.
    python
        The reference interpreter; see `parity.reference.environment.find_python`.
    jobs
        How many workers may compute at once.
    keep_both
        Whether workers of one backend stay, idle, while the other backend computes; else there are never more
        than `jobs` processes.
    threads
        Threads of TensorFlow in each worker, 0 for one per core.
    memory_limit
        Bytes of resident memory after which a worker ends itself, or None.
    remember
        Whether workers compute only once what several methods have in common.
    start_timeout
        Seconds a worker may take to import TensorFlow.
    started
        Called with backend and versions of each worker that came up.

    Attributes
    ----------
    started_count
        How many processes were started so far.
    versions
        The versions of the last worker of each backend; of one without oneDNN only where there was no other.
    broken
        Why no worker can be started any more, or None.
    """

    def __init__(
        self,
        program: Path,
        python: str | Path | None,
        *,
        jobs: int,
        keep_both: bool,
        threads: int,
        memory_limit: int | None,
        remember: bool,
        start_timeout: float,
        started: Callable[[Backend, dict[str, str]], None],
    ) -> None:
        self.started_count = 0
        self.versions: dict[Backend, dict[str, str]] = {}
        self.broken: str | None = None
        self._program, self._python = program, python
        self._jobs, self._capacity = jobs, jobs * (2 if keep_both else 1)
        self._options = ["--threads", str(threads), "--memory-limit", str(memory_limit or 0)]
        self._options += [] if remember else ["--forget"]
        self._start_timeout = start_timeout
        self._tell = started
        self._changed = threading.Condition()
        self._workers: list[Worker] = []
        self._starting: set[WorkerProcess] = set()
        self._lent = 0
        self._failed_starts = 0
        self._folder: ClaimedFolder | None = None
        self._closed = False

    @contextmanager
    def lend(self, backend: Backend, onednn: bool = True) -> Iterator[Worker]:
        """Lend a worker of a backend, once one of the `jobs` places is free; whatever is raised meanwhile ends it.

        Raises
        ------
        WorkerError
            If none can be started.
        """
        with self._changed:
            while self._lent >= self._jobs and not self._closed:
                self._changed.wait()
            self._lent += 1
        worker = None
        try:
            worker = self._idle(backend, onednn) or self._start(backend, onednn)
            yield worker
        except BaseException:  # Ctrl-C above all: no worker may stay behind
            if worker is not None:
                worker.spent = True
            raise
        finally:
            if worker is not None and worker.spent:
                worker.process.kill()
            with self._changed:
                self._lent -= 1
                if worker is not None:
                    worker.busy = False
                    if worker.spent and worker in self._workers:
                        self._workers.remove(worker)
                self._changed.notify_all()

    def exchange(self) -> Path:
        """Return the folder for logs and for the files that client and worker exchange.

        Raises
        ------
        WorkerError
            If it cannot be made, or the pool was closed: nobody would remove it.
        """
        with self._changed:
            self._refuse()
            if self._folder is None:
                try:
                    self._folder = temporary(EXCHANGE)
                except OSError as error:
                    raise WorkerError("environment", f"cannot make a temporary folder: {error}") from error
            return self._folder.path

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self, grace: float) -> None:
        """End all workers, those at work too, after `grace` seconds in which idle ones may end by themselves."""
        with self._changed:
            self._closed = True
            workers, self._workers = self._workers, []
            starting = list(self._starting)
            folder, self._folder = self._folder, None
            self._changed.notify_all()
        for process in starting:
            process.kill()
        for worker in workers:
            # What a busy one computes is wanted by nobody any more, and it would not look at its stdin.
            worker.process.stop(grace) if grace and not worker.busy else worker.process.kill()
        if folder is not None:
            folder.remove()

    def _idle(self, backend: Backend, onednn: bool) -> Worker | None:
        """Return a worker that waits, now busy; else make room for another and return None.

        Raises
        ------
        WorkerError
            If none may be started.
        """
        with self._changed:
            self._refuse()
            for worker in [worker for worker in self._workers if not worker.busy and not worker.process.alive]:
                self._workers.remove(worker)  # it died of itself since its last request
                worker.process.kill()
            waiting = [worker for worker in self._workers if not worker.busy]
            suitable = [worker for worker in waiting if (worker.backend, worker.onednn) == (backend, onednn)]
            if suitable:
                mine = (worker for worker in suitable if worker.thread == threading.get_ident())
                worker = next(mine, suitable[-1])
                worker.busy, worker.thread = True, threading.get_ident()
                return worker
            # Each place that is lent has a worker, or is about to start one.
            excess = self._lent + len(waiting) - self._capacity
            ended = waiting[: max(excess, 0)]
            for worker in ended:
                self._workers.remove(worker)
        for worker in ended:
            worker.process.stop(2.0)
        return None

    def _refuse(self) -> None:
        if self._closed:
            raise WorkerError("environment", "the client of the reference was closed")
        if self.broken is not None:
            raise WorkerError("environment", self.broken)

    def _start(self, backend: Backend, onednn: bool) -> Worker:
        try:
            worker = self._started(backend, onednn)
        except WorkerError as failure:
            with self._changed:
                self._failed_starts += 1
                if failure.kind == "environment" or self._failed_starts >= _START_ATTEMPTS:
                    self.broken = f"the {backend} worker does not start: {failure}; {MEND}"
                    raise WorkerStartError("environment", self.broken, getattr(failure, "tail", "")) from failure
            raise
        with self._changed:
            self._failed_starts = 0
            if onednn or backend not in self.versions:
                self.versions[backend] = worker.versions
        self._tell(backend, worker.versions)
        return worker

    def _started(self, backend: Backend, onednn: bool) -> Worker:
        try:
            python = find_python(self._python)
        except ReferenceEnvironmentError as error:
            raise WorkerError("environment", str(error)) from error
        folder = self.exchange()
        with self._changed:
            self._refuse()
            self.started_count += 1
            log = folder / f"{backend}-{self.started_count}.log"
            command = [str(python), "-s", str(self._program), "--mode", backend, *self._options]
            environment = worker_environment(onednn) | {"TMPDIR": str(folder)}  # what it leaves goes with the folder
            process = WorkerProcess(command, environment, log)
            self._starting.add(process)  # from now on `close` finds it
        try:
            versions = process.begin(self._start_timeout)
        except WorkerError as failure:
            process.kill()
            raise WorkerStartError(failure.kind, str(failure), process.log_tail()) from failure
        except BaseException:
            process.kill()
            raise
        finally:
            with self._changed:
                self._starting.discard(process)
        worker = Worker(backend, process, versions, onednn)
        with self._changed:
            self._workers.append(worker)
            closed = self._closed
        if closed:
            worker.spent = True
            process.kill()
        return worker
