"""Work done ahead of its taker, in threads, a few steps and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Runs tasks in their order, up to `threads` at once, while their taker is busy with something else.

    At most `2 * threads + 2` results lie ready or are being made, so that memory does not grow with the number of
    tasks. What a task raises, Ctrl-C included, is raised where its result is taken: a failing task costs its own
    result, and what was taken before stays.

    Parameters
    ----------
    tasks : iterable of (str, callable)
        Keys and what makes their results, in the order in which they will be taken.
    threads : int
        0 runs each task when it is taken.
    """

    def __init__(self, tasks: Iterable[tuple[str, Callable[[], T]]], threads: int) -> None:
        self._tasks = iter(tasks)
        self._window = 2 * threads + 2 if threads else 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="ahead") if threads else None
        self._begun: deque[tuple[str, Future[T]]] = deque()

    def __enter__(self) -> Ahead[T]:
        self._fill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not waited for: a task under way may take minutes; who ends its worker ends it too.
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def take(self, key: str) -> T:
        """Return the result of a task; those before it that nobody took are dropped.

        Raises
        ------
        KeyError
            If there is no such task from here on.
        """
        if self._threads is None:
            return next(task for name, task in self._tasks if name == key)()
        while self._begun:
            name, future = self._begun.popleft()
            self._fill()
            if name == key:
                return future.result()
        raise KeyError(key)

    def _fill(self) -> None:
        while self._threads is not None and len(self._begun) < self._window:
            upcoming = next(self._tasks, None)
            if upcoming is None:
                return
            name, task = upcoming
            self._begun.append((name, self._threads.submit(task)))
