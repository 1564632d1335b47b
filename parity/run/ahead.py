"""Work done ahead of its taker, in threads, a few steps and no more."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Task(Generic[T]):
    """What is done ahead.

    Attributes
    ----------
    key : str
        What its result is taken by.
    work : callable
        Makes the result.
    topic : str
        Tasks of one topic are run by one thread, one after another, where there are several threads: what serves the
        first serves the others.
    """

    key: str
    work: Callable[[], T]
    topic: str = ""


class Ahead(Generic[T]):
    """Runs tasks in their order, up to `threads` at once, while their taker is busy with something else.

    At most `4 * threads` results lie ready or are being made, so that memory does not grow with the number of
    tasks. What a task raises, Ctrl-C included, is raised where its result is taken: a failing task costs its own
    result, and what was taken before stays.

    Parameters
    ----------
    tasks : iterable of Task
        In the order in which their results will be taken.
    threads : int
        0 runs each task when it is taken.
    """

    def __init__(self, tasks: Iterable[Task[T]], threads: int) -> None:
        self._tasks = iter(tasks)
        self._window = 4 * threads
        self._several = threads > 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="ahead") if threads else None
        self._begun: deque[tuple[str, Future[T]]] = deque()
        self._topics = _Topics[T]()

    def __enter__(self) -> Ahead[T]:
        self._fill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not waited for: a task under way may take minutes; who ends its worker ends it too.
        if self._threads is not None:
            self._topics.clear()
            self._threads.shutdown(wait=False, cancel_futures=True)

    def take(self, key: str) -> T:
        """Return the result of a task; those before it that nobody took are dropped.

        Raises
        ------
        KeyError
            If there is no such task from here on.
        """
        if self._threads is None:
            return next(task for task in self._tasks if task.key == key).work()
        while self._begun:
            name, future = self._begun.popleft()
            self._fill()
            if name == key:
                return future.result()
        raise KeyError(key)

    def _fill(self) -> None:
        while self._threads is not None and len(self._begun) < self._window:
            task = next(self._tasks, None)
            if task is None:
                return
            future: Future[T] = Future()
            self._begun.append((task.key, future))
            topic = (self._several and task.topic) or f"alone: {task.key}"
            if self._topics.add(topic, task.work, future):
                self._threads.submit(self._topics.work_off, topic)


@dataclass
class _Topics(Generic[T]):
    """The tasks that wait, by topic; a topic is here as long as a thread has it or is going to."""

    waiting: dict[str, deque[tuple[Callable[[], T], Future[T]]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, topic: str, work: Callable[[], T], future: Future[T]) -> bool:
        """Add a task; return whether its topic is new, and a thread is needed for it."""
        with self.lock:
            new = topic not in self.waiting
            self.waiting.setdefault(topic, deque()).append((work, future))
            return new

    def work_off(self, topic: str) -> None:
        """Run the tasks of a topic, those too that come meanwhile."""
        while True:
            with self.lock:
                tasks = self.waiting.get(topic)
                if not tasks:
                    self.waiting.pop(topic, None)
                    return
                work, future = tasks.popleft()
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    def clear(self) -> None:
        """Forget all tasks that no thread has begun."""
        with self.lock:
            for tasks in self.waiting.values():
                tasks.clear()
