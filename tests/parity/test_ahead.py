"""Tasks ahead of their taker: order, bound, faults, and leaving early."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from parity.run.ahead import Ahead, Task


def numbered(count: int, task=lambda number: number):
    return [Task(str(number), partial(task, number)) for number in range(count)]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order_whatever_finishes_first(threads: int) -> None:
    def task(number: int) -> int:
        time.sleep(0.02 * (number % 3))
        return number

    with Ahead(numbered(12, task), threads) as ahead:
        assert [ahead.take(str(number)) for number in range(12)] == list(range(12))


def test_tasks_run_while_the_taker_is_busy() -> None:
    done = threading.Event()
    with Ahead([Task("a", done.set)], 1) as ahead:
        assert done.wait(5)
        ahead.take("a")


def test_no_more_than_a_few_run_ahead() -> None:
    begun: list[int] = []
    with Ahead(numbered(100, begun.append), 2) as ahead:
        time.sleep(0.1)
        assert len(begun) == 8
        ahead.take("0")
        time.sleep(0.1)
        assert len(begun) == 9


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_task_raises_is_raised_where_its_result_is_taken(threads: int, error: type[BaseException]) -> None:
    def task(number: int) -> int:
        if number == 1:
            raise error
        return number

    with Ahead(numbered(4, task), threads) as ahead:
        assert ahead.take("0") == 0
        with pytest.raises(error):
            ahead.take("1")
        assert ahead.take("2") == 2


@pytest.mark.parametrize("threads", [0, 2])
def test_what_nobody_takes_is_dropped(threads: int) -> None:
    with Ahead(numbered(9), threads) as ahead:
        assert [ahead.take(key) for key in ("1", "4", "8")] == [1, 4, 8]


def test_leaving_does_not_wait_for_a_task_and_begins_no_other() -> None:
    end, begun = threading.Event(), []

    def task(number: int) -> None:
        begun.append(number)
        end.wait(10)

    start = time.perf_counter()
    with Ahead(numbered(3, task), 1):
        pass
    assert time.perf_counter() - start < 5
    end.set()
    time.sleep(0.1)
    assert len(begun) <= 1


def test_tasks_of_a_topic_are_run_by_one_thread_in_their_order() -> None:
    ran: dict[str, list[tuple[int, int]]] = {"a": [], "b": [], "c": []}

    def task(number: int, topic: str) -> int:
        ran[topic].append((number, threading.get_ident()))
        time.sleep(0.01)
        return number

    topics = ["a", "b", "a", "b", "a", "b", "c", "c"]
    tasks = [Task(str(number), partial(task, number, topic), topic) for number, topic in enumerate(topics)]
    with Ahead(tasks, 2) as ahead:
        assert [ahead.take(str(number)) for number in range(8)] == list(range(8))
    for runs in ran.values():
        assert runs == sorted(runs)
    assert all(len({thread for _, thread in ran[topic]}) == 1 for topic in "ab")


def test_a_fault_costs_its_topic_nothing() -> None:
    def task(number: int) -> int:
        if number == 0:
            raise ZeroDivisionError
        return number

    with Ahead([Task(str(number), partial(task, number), "same") for number in range(3)], 2) as ahead:
        with pytest.raises(ZeroDivisionError):
            ahead.take("0")
        assert [ahead.take("1"), ahead.take("2")] == [1, 2]
