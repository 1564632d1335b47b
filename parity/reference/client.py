"""The client of the reference process: answers from the store, else from a worker that is started on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import get_args

from parity.reference.conversation import converse, failed
from parity.reference.environment import (
    WORKER,
    ReferenceEnvironmentError,
    find_python,
    package_versions,
    relevant_versions,
)
from parity.reference.packed import SHIPPED, PackedAnswers, PackError
from parity.reference.pool import WorkerPool
from parity.reference.process import WorkerError
from parity.reference.request import Backend, ReferenceAnswer, ReferenceRequest
from parity.reference.store import ResultStore, StoreError, answer_key
from parity.reference.without_onednn import ModelsWithoutOnednn, note_of


@dataclass
class _Progress:
    """The answers of one request so far: None where there is none yet."""

    answers: list[ReferenceAnswer | None]
    lost: list[int] = field(default_factory=list)
    """The inputs that a worker died of; their answers say so."""
    death: str = ""
    """How it died."""

    def complete(self) -> list[ReferenceAnswer]:
        """Return the answers, now that every input has one."""
        return [answer for answer in self.answers if answer is not None]


class ReferenceClient:
    """Asks the TensorFlow references, through a store that remembers every answer.

    Answers and errors of the reference itself are stored; crashes, timeouts and the like are not, so the next
    run tries them again. Each costs only its own request: the worker is started anew for the next. It may be
    asked from several threads; up to `jobs` requests are then worked on at once, each by a worker of its own.

    A worker that dies (it aborts, say, but nobody and no memory limit ended it) is asked once more without oneDNN. If
    that helps, every later request of this model goes without oneDNN at once, in later runs too: answers that the
    spoilt process gave before it died are not used again. Such answers say so in their `notes`.

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
    remember
        Whether a worker computes only once what several methods have in common; not where time is measured.
    offline
        Whether no worker is started: answers come from packs and from the store.
    packs
        Packs of references to look into besides the shipped one, where no worker is started.
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
    unable
        Why the reference environment cannot run now although the store can still answer, or None. Known once
        something was asked.

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
        remember: bool = True,
        offline: bool = False,
        packs: Sequence[Path] = (),
        worker: Path = WORKER,
    ) -> None:
        self.store = store if isinstance(store, ResultStore) else ResultStore(store)
        self.store_errors: list[StoreError] = []
        self.fault: str | None = None
        self.unable: str | None = None
        self._without_onednn = ModelsWithoutOnednn(self.store)
        self._python = python
        self._program = worker
        self._timeout = timeout
        self._refresh = refresh
        self._offline = offline
        # Elsewhere every answer is computed on this machine.
        self._pack_paths = (*packs, *((SHIPPED,) if SHIPPED.is_file() else ())) if offline else ()
        self._packs: list[PackedAnswers] = []
        self._pool = WorkerPool(
            worker,
            python,
            jobs=jobs,
            keep_both=keep_both,
            threads=threads,
            memory_limit=memory_limit,
            remember=remember,
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
            remembered = {**self._remembered(backend), **remembered}
        return {**remembered, **self._known_versions()}

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        """Return one answer per input, in their order.

        Nothing that the reference or the worker does is raised: it is in the answer's `error` and
        `error_kind`. An answer that could not be stored says so in `store_error` (see also `store_errors`).
        """
        actual, reason = self._as_asked(request)
        progress = self._ask(actual)
        answers = progress.complete()
        without_onednn = answers
        if progress.lost and actual.onednn:
            reason = self._ask_again(actual, progress)
            answers = progress.complete()
            without_onednn = [answers[index] for index in progress.lost]
        if reason is not None:
            for answer in without_onednn:
                if answer.error_kind != "environment":  # that one was not asked at all
                    answer.notes += (note_of(reason),)
        return answers

    def is_stored(self, request: ReferenceRequest) -> bool:
        """Return whether the store has an entry for every input, without reading any."""
        if self._refresh:
            return False
        actual, _ = self._as_asked(request)
        try:
            keys = self._keys(actual)
            return all(self.store.path(key).is_file() or any(pack.has(key) for pack in self._packs) for key in keys)
        except ReferenceEnvironmentError:
            return False

    def _as_asked(self, request: ReferenceRequest) -> tuple[ReferenceRequest, str | None]:
        """Return the request as it is really asked, and why that is without oneDNN if the request has it on."""
        reason = self._without_onednn.reason(request.model.sha256) if request.onednn else None
        return (request, None) if reason is None else (replace(request, onednn=False), reason)

    def _ask(self, request: ReferenceRequest) -> _Progress:
        """Answer every input, from the store or by a worker."""
        try:
            keys = self._keys(request)
        except ReferenceEnvironmentError as error:
            self.fault = str(error)
            return _Progress([failed("environment", str(error)) for _ in request.inputs])
        progress = _Progress([None if self._refresh else self._at_hand(key) for key in keys])
        missing = [index for index, answer in enumerate(progress.answers) if answer is None]

        def keep(index: int, answer: ReferenceAnswer) -> None:
            """Take an answer in as soon as it is there, so that what comes later cannot lose it."""
            progress.answers[index] = answer
            if answer.error_kind in (None, "method"):
                self._store(keys[index], answer)

        if missing:
            failure, unanswered = self._compute(request, missing, keep)
            if failure is not None and failure.died:
                progress.lost, progress.death = unanswered, str(failure)
        return progress

    def _ask_again(self, request: ReferenceRequest, progress: _Progress) -> str:
        """Ask the inputs that a worker died of once more, without oneDNN; return how it died with it."""
        lost = progress.lost
        inputs, targets = tuple(request.inputs[i] for i in lost), tuple(request.targets[i] for i in lost)
        again = self._ask(replace(request, inputs=inputs, targets=targets, onednn=False))
        for index, answer in zip(lost, again.answers, strict=True):
            progress.answers[index] = answer
        # Only if it helped: a model that a worker dies of either way does not need another TensorFlow.
        if any(answer.error_kind in (None, "method") for answer in again.complete()):
            try:
                self._without_onednn.remember(request.model.sha256, progress.death)
            except StoreError as error:
                self.store_errors.append(error)
        return progress.death

    def _keys(self, request: ReferenceRequest) -> list[str]:
        versions = relevant_versions(request.call, self._known_versions())
        return [answer_key(request, index, versions) for index in range(len(request.inputs))]

    def _known_versions(self) -> dict[str, str]:
        """Return the versions of the environment, or those the store remembers; ask once."""
        with self._lock:
            if self._versions is None:
                try:
                    self._versions = self._versions_here()
                except ReferenceEnvironmentError as error:
                    self._packs = [PackedAnswers(path) for path in self._pack_paths]
                    backends: tuple[Backend, ...] = get_args(Backend)
                    stored = [self._remembered(backend) for backend in backends]
                    if not any(stored):
                        raise
                    self._pool.broken = str(error)
                    self.unable = None if self._offline else str(error)
                    self._versions = {name: value for versions in stored for name, value in versions.items()}
            return self._versions

    def _versions_here(self) -> dict[str, str]:
        if self._offline:
            raise ReferenceEnvironmentError(
                "no TensorFlow is started (--offline), and neither a pack of references nor the store has this answer; "
                "without --offline it is computed, in the environment that `parity setup` makes"
            )
        return package_versions(find_python(self._python), self._program)

    def _remembered(self, backend: Backend) -> dict[str, str]:
        """Return the versions of the answers that are at hand: of the first pack that tells some, else of the store."""
        told = (pack.environment(backend) for pack in self._packs)
        return next((versions for versions in told if versions), None) or self.store.environment(backend)

    def _at_hand(self, key: str) -> ReferenceAnswer | None:
        """Return the answer in the store, else in a pack, else None."""
        answer = self.store.get(key)
        try:
            for pack in self._packs:
                answer = pack.get(key) if answer is None else answer
        except PackError as error:
            return failed("environment", str(error))
        return answer

    def _store(self, key: str, answer: ReferenceAnswer) -> None:
        try:
            self.store.put(key, answer)
        except StoreError as error:
            self.store_errors.append(error)
            answer.store_error = str(error)

    def _compute(
        self, request: ReferenceRequest, missing: list[int], keep: Callable[[int, ReferenceAnswer], None]
    ) -> tuple[WorkerError | None, list[int]]:
        """Have the missing answers computed; every one of them is kept, as an answer or as an error.

        Returns what went wrong with the worker, or None, and the inputs that have no answer but this error.
        """
        left = list(missing)

        def took(index: int, answer: ReferenceAnswer) -> None:
            left.remove(index)
            if answer.error_kind == "environment" and not self._pool.closed and not self._offline:
                # Offline what is not there costs its own row, or a sample of noise: the limit is then tighter.
                self.fault = answer.error  # the worker's own word: it could not write its answer, say
            keep(index, answer)

        start, worker = 0, None
        try:
            with self._pool.lend(request.call.backend, request.onednn) as worker:
                start = worker.process.log_size()
                with self._lock:
                    self._requests += 1
                    number = self._requests
                converse(worker, request, number, missing, self._pool.exchange(), self._timeout, took)
        except WorkerError as failure:
            tail = worker.process.log_tail(start) if worker is not None else ""
            unanswered = list(left)
            for index in unanswered:
                took(index, failed(failure.kind, str(failure), getattr(failure, "tail", "") or tail))
            return failure, unanswered
        return None, []

    def _remember(self, backend: Backend, versions: dict[str, str]) -> None:
        earlier = self.store.environment(backend)
        if versions.get("onednn") == "0" and "onednn" in earlier:
            # What a few models need is not how TensorFlow is set up for all.
            versions = {**versions, "onednn": earlier["onednn"]}
        try:
            self.store.put_environment(backend, versions)
        except StoreError as error:
            self.store_errors.append(error)
