"""The client of the reference process: answers from the store, else from a worker that is started on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

from parity.hashing import array_sha256
from parity.reference.environment import (
    WORKER,
    ReferenceEnvironmentError,
    find_python,
    package_versions,
    relevant_versions,
)
from parity.reference.pool import Worker, WorkerPool
from parity.reference.process import WorkerError
from parity.reference.protocol import read_array, write_arrays
from parity.reference.request import Backend, ErrorKind, ReferenceAnswer, ReferenceRequest
from parity.reference.store import ResultStore, StoreError, answer_key


class ReferenceClient:
    """Asks the TensorFlow references, through a store that remembers every answer.

    Answers and errors of the reference itself are stored; crashes, timeouts and the like are not, so the next
    run tries them again. Each costs only its own request: the worker is started anew for the next. It may be
    asked from several threads; up to `jobs` requests are then worked on at once, each by a worker of its own.

    Parameters
    ----------
    python
        The reference interpreter; see `parity.reference.environment.find_python`.
    store
        A `ResultStore`, or where it lies; see `parity.reference.store.store_location`.
    timeout
        Seconds the worker may take for one input of a request; reading the model counts with the first.
    start_timeout
        Seconds a worker may take to import TensorFlow.
    threads
        Threads of TensorFlow in each worker, 0 for one per core.
    memory_limit
        Bytes of resident memory after which a worker ends itself, or None.
    jobs
        How many workers may compute at once.
    keep_both
        Whether workers of one backend stay alive while the other computes. A VGG16 takes up to 14 GB in graph
        mode.
    refresh
        Whether stored answers are ignored and replaced.
    worker
        The worker program.

    Attributes
    ----------
    store
        The `ResultStore`.
    store_errors
        What went wrong while answers were stored; the answers themselves were returned.
    fault
        What is wrong with the reference environment, with the command that mends it, if an answer failed of it;
        else None. Answers that are in the store do not need the environment.

    Examples
    --------
    >>> with ReferenceClient() as client:  # doctest: +SKIP
    ...     answers = client.answer(request)
    """

    def __init__(
        self,
        python: str | Path | None = None,
        store: ResultStore | str | Path | None = None,
        *,
        timeout: float = 600.0,
        start_timeout: float = 180.0,
        threads: int = 0,
        memory_limit: int | None = None,
        jobs: int = 1,
        keep_both: bool = False,
        refresh: bool = False,
        worker: Path = WORKER,
    ) -> None:
        self.store = store if isinstance(store, ResultStore) else ResultStore(store)
        self.store_errors: list[StoreError] = []
        self.fault: str | None = None
        self._python = python
        self._program = worker
        self._timeout = timeout
        self._refresh = refresh
        self._pool = WorkerPool(
            worker,
            python,
            jobs=jobs,
            keep_both=keep_both,
            threads=threads,
            memory_limit=memory_limit,
            start_timeout=start_timeout,
            started=self._remember,
        )
        self._lock = threading.Lock()
        self._requests = 0
        self._versions: dict[str, str] | None = None

    def __enter__(self) -> ReferenceClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(grace=2.0 if error is None else 0.0)

    @property
    def workers_started(self) -> int:
        """How many TensorFlow processes were started so far."""
        return self._pool.started_count

    def close(self, grace: float = 2.0) -> None:
        """End the workers, giving idle ones `grace` seconds, and remove the exchanged files.

        Requests that other threads still wait for end with an error.
        """
        self._pool.close(grace)

    def environment(self) -> dict[str, str]:
        """Return the versions of Python, packages and worker.

        Where a worker was started (now, or for answers that are in the store), how TensorFlow was set up is
        told too. Where there is no reference environment, the versions are those of the stored answers.

        Raises
        ------
        ReferenceEnvironmentError
            If there is neither an environment nor a store that remembers one.
        """
        backends: tuple[Backend, ...] = get_args(Backend)
        remembered: dict[str, str] = {}
        for backend in backends:
            remembered |= self._pool.versions.get(backend, {})
            remembered = {**self.store.environment(backend), **remembered}
        return {**remembered, **self._known_versions()}

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        """Return one answer per input, in their order.

        Nothing that the reference or the worker does is raised: it is in the answer's `error` and
        `error_kind`. An answer that could not be stored says so in `store_error` (see also `store_errors`).
        """
        try:
            keys = self._keys(request)
        except ReferenceEnvironmentError as error:
            self.fault = str(error)
            return [failed("environment", str(error)) for _ in request.inputs]
        found = [None if self._refresh else self.store.get(key) for key in keys]
        missing = [index for index, answer in enumerate(found) if answer is None]

        def keep(index: int, answer: ReferenceAnswer) -> None:
            """Take an answer in as soon as it is there, so that what comes later cannot lose it."""
            found[index] = answer
            if answer.error_kind in (None, "method"):
                self._store(keys[index], answer)

        if missing:
            self._compute(request, missing, keep)
        return [answer for answer in found if answer is not None]

    def is_stored(self, request: ReferenceRequest) -> bool:
        """Return whether the store has an entry for every input, without reading any."""
        if self._refresh:
            return False
        try:
            return all(self.store.path(key).is_file() for key in self._keys(request))
        except ReferenceEnvironmentError:
            return False

    def _keys(self, request: ReferenceRequest) -> list[str]:
        versions = relevant_versions(request.call, self._known_versions())
        return [answer_key(request, index, versions) for index in range(len(request.inputs))]

    def _known_versions(self) -> dict[str, str]:
        """Return the versions of the environment, or those the store remembers; ask once."""
        with self._lock:
            if self._versions is None:
                try:
                    python = find_python(self._python)
                    self._versions = package_versions(python, self._program)
                except ReferenceEnvironmentError as error:
                    backends: tuple[Backend, ...] = get_args(Backend)
                    stored = [self.store.environment(backend) for backend in backends]
                    if not any(stored):
                        raise
                    self._pool.broken = str(error)
                    self._versions = {name: value for one in stored for name, value in one.items()}
            return self._versions

    def _store(self, key: str, answer: ReferenceAnswer) -> None:
        try:
            self.store.put(key, answer)
        except StoreError as error:
            self.store_errors.append(error)
            answer.store_error = str(error)

    def _compute(
        self, request: ReferenceRequest, missing: list[int], keep: Callable[[int, ReferenceAnswer], None]
    ) -> None:
        """Have the missing answers computed; every one of them is kept, as an answer or as an error."""
        left = list(missing)

        def took(index: int, answer: ReferenceAnswer) -> None:
            left.remove(index)
            keep(index, answer)

        start, worker = 0, None
        try:
            with self._pool.lend(request.call.backend) as worker:
                start = worker.process.log_size()
                self._converse(worker, request, missing, took)
        except WorkerError as failure:
            if failure.kind == "environment" and not self._pool.closed:
                self.fault = str(failure)
            tail = worker.process.log_tail(start) if worker is not None else ""
            for index in list(left):
                took(index, failed(failure.kind, str(failure), getattr(failure, "tail", "") or tail))

    def _converse(
        self,
        worker: Worker,
        request: ReferenceRequest,
        missing: list[int],
        took: Callable[[int, ReferenceAnswer], None],
    ) -> None:
        """Put one request to a worker and take its answers in.

        Raises
        ------
        WorkerError
            If not every input was answered.
        """
        with self._lock:
            self._requests += 1
            number = self._requests
        folder = self._pool.exchange()
        inputs = folder / f"inputs-{number}.h5"
        try:
            write_arrays(inputs, [request.inputs[index] for index in missing])
        except OSError as error:
            raise WorkerError("environment", f"cannot write the inputs for the worker: {error}") from error
        source = request.model
        worker.process.send(
            {
                "op": "compute",
                "id": number,
                "model": {
                    "path": str(Path(source.path).absolute()),
                    "architecture": source.architecture,
                    "sha256": source.sha256,
                },
                "dtype": request.dtype,
                "call": request.call.to_json(),
                "targets": [int(request.targets[index]) for index in missing],
                "inputs": str(inputs),
                "outputs": str(folder),
            }
        )
        for position in range(len(missing) + 1):
            message = worker.process.receive(self._timeout)
            if position == len(missing):
                expected: dict[str, Any] = {"event": "done", "id": number}
            else:
                expected = {"event": "answer", "id": number, "index": position}
            if any(message.get(name) != value for name, value in expected.items()):
                raise WorkerError("protocol", f"the worker sent {str(message)[:200]}, expected {expected}")
            if position < len(missing):
                answer = self._read_answer(message, folder, worker)
                # Out of memory, but alive: what it holds is given back by ending it.
                worker.spent |= answer.error_kind == "crash"
                took(missing[position], answer)
        inputs.unlink(missing_ok=True)

    def _read_answer(self, message: dict[str, Any], folder: Path, worker: Worker) -> ReferenceAnswer:
        """Return the answer that a message describes, with its array checked against its hash.

        Raises
        ------
        WorkerError
            If the message or the array is not what it should be.
        """
        try:
            if message["error_kind"] is not None:
                kind, text = message["error_kind"], message["error"]
                if kind not in get_args(ErrorKind) or not isinstance(text, str):
                    raise ValueError(f"error {kind!r}: {text!r}")
                start, end = map(int, message["log"])
                return failed(kind, text, worker.process.log_tail(start, end), worker.versions)
            path = folder / Path(message["file"]).name
            array = read_array(path, 0)
            path.unlink()
            if array_sha256(array) != message["sha256"]:
                raise ValueError("the array does not have the hash that was told")
            return ReferenceAnswer(
                array=array,
                seconds=float(message["seconds"]),
                versions=dict(worker.versions),
                setup_seconds=float(message["setup_seconds"]),
                peak_rss=int(message["peak_rss"]),
                notes=tuple(str(note) for note in message["notes"]),
            )
        except (KeyError, TypeError, ValueError, OSError) as error:
            text = f"the worker's answer cannot be read: {type(error).__name__}: {error}"
            raise WorkerError("protocol", text) from error

    def _remember(self, backend: Backend, versions: dict[str, str]) -> None:
        try:
            self.store.put_environment(backend, versions)
        except StoreError as error:
            self.store_errors.append(error)


def failed(kind: ErrorKind, message: str, tail: str = "", versions: dict[str, str] | None = None) -> ReferenceAnswer:
    """Return the answer that says what went wrong."""
    return ReferenceAnswer(array=None, error=message, error_kind=kind, stderr_tail=tail, versions=dict(versions or {}))
