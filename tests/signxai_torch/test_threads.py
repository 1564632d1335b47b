"""Explaining beside predicting and training, forking, and interrupts at any moment: nothing can be left behind."""

from __future__ import annotations

import copy
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import explain, explain_many
from signxai_torch.operations.cached import cached_property
from tests.signxai_torch.nets import TorchvisionLike, cnn, pictures, randomized
from tests.signxai_torch.test_untouched import state, unusual

pytestmark = pytest.mark.slow

METHODS = ["lrp_epsilon_0_1", "gradient", "flatlrp_z", "guided_backprop", "grad_cam", "deep_lift", "smoothgrad"]


def options(method: str) -> dict[str, Any]:
    return {"seed": 3, "samples": 3} if method == "smoothgrad" else {}


def in_threads(work: list[Callable[[], Any]]) -> list[Any]:
    """Run functions side by side, begun at once; return their results, or raise what the first raised."""
    found: dict[int, Any] = {}
    barrier = threading.Barrier(len(work))

    def run(index: int) -> None:
        barrier.wait()
        try:
            found[index] = work[index]()
        except Exception as error:
            found[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found.values():
        if isinstance(one, Exception):
            raise one
    return [found[index] for index in range(len(work))]


def elsewhere(work: Callable[[], Any], seconds: float = 60) -> Any:
    """Run a function in another thread, which a lock that this one still holds would stop."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it waits for ever, or failed"
    return found[0]


@pytest.mark.parametrize("parts", [False, True], ids=["one model", "models that share modules"])
def test_threads_explain_one_model_at_once(parts):
    body = unusual(cnn(inplace=True))
    models = [nn.Sequential(body) if parts else body for _ in range(4)]
    x = pictures()
    before = state(body, x)

    def work(model: nn.Module) -> Callable[[], Any]:
        return lambda: [explain(model, x, method, 1, **options(method)) for _ in range(3) for method in METHODS
                        if not (parts and method == "grad_cam")]  # fmt: skip

    expected = work(models[0])()
    for found in in_threads([work(model) for model in models]):
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one, other)
    assert state(body, x) == before


def test_predicting_and_training_go_on_beside_an_explanation():
    """Another model is trained, and this one predicts, as if nobody explained anything."""
    model, x = randomized(TorchvisionLike()), pictures()
    prediction = model(x).detach()
    expected = {method: explain(model, x, method, 1, **options(method)) for method in METHODS}

    def trained(steps: int = 40) -> list[torch.Tensor]:
        learner = cnn().train()
        optimizer = torch.optim.SGD(learner.parameters(), 0.01)
        for _ in range(steps):
            optimizer.zero_grad()
            learner(x).square().mean().backward()
            assert all(one.grad is not None for one in learner.parameters())
            optimizer.step()
        return [one.detach() for one in learner.parameters()]

    alone = trained()
    done = threading.Event()

    def explaining() -> None:
        while not done.is_set():
            for method in METHODS:
                assert np.array_equal(explain(model, x, method, 1, **options(method)), expected[method])

    def predicting() -> list[torch.Tensor]:
        try:
            beside = trained()
            for _ in range(100):
                assert torch.equal(model(x), prediction)
            return beside
        finally:
            done.set()

    _, beside = in_threads([explaining, predicting])
    assert all(torch.equal(one, other) for one, other in zip(beside, alone, strict=True))


def test_the_very_model_may_be_trained_beside_its_explanation():
    """What is explained meanwhile is some state of it; every gradient arrives, and every step is taken."""

    def steps(model: nn.Module, count: int = 30) -> list[torch.Tensor]:
        optimizer = torch.optim.SGD(model.train().parameters(), 0.01)
        for _ in range(count):
            optimizer.zero_grad()
            model(pictures()).square().mean().backward()
            optimizer.step()
        return [one.detach().clone() for one in model.parameters()]

    expected = steps(cnn())
    model, done = cnn(), threading.Event()

    def explaining() -> int:
        count = 0
        while not done.is_set():
            for method in METHODS:
                if method != "deep_lift":  # it looks whether its sum holds, which it does for no mixture of two states
                    assert np.isfinite(explain(model, pictures(), method, 1, **options(method))).all()
                count += 1
        return count

    def training() -> list[torch.Tensor]:
        try:
            return steps(model)
        finally:
            done.set()

    count, found = in_threads([explaining, training])
    assert count > 0
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_model_waits_for_no_other_and_not_for_itself():
    """One stops in the middle of its forward pass until another one of the same model is done."""
    done = threading.Event()
    model = cnn()
    calls = iter(range(10))
    model[3].register_forward_hook(
        lambda *_: None if next(calls) != 0 or done.wait(60) else pytest.fail("it waited for the other")
    )

    def finish() -> Any:
        time.sleep(0.2)
        result = explain(model, pictures(), "lrp_z")
        done.set()
        return result

    one, two = in_threads([lambda: explain(model, pictures(), "lrp_z"), finish])
    assert np.array_equal(one, two)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_explains_that_was_forked_while_a_thread_explained():
    model, x = cnn(), pictures()
    expected = explain(model, x, "lrp_z", 1)
    done, running = threading.Event(), threading.Event()
    model[3].register_forward_hook(lambda *_: running.set())

    def explaining() -> None:
        while not done.is_set():
            explain(model, x, "lrp_z", 1)

    thread = threading.Thread(target=explaining)
    thread.start()
    assert running.wait(60)
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # a child that hangs ends
                os._exit(0 if np.array_equal(explain(model, x, "lrp_z", 1), expected) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        thread.join()


def test_a_property_that_is_computed_once_waits_for_no_other_thread():
    """A lock for all instances, as `functools.cached_property` has in Python 3.11, stays locked after Ctrl-C."""
    begun, done = threading.Event(), threading.Event()

    class Thing:
        def __init__(self, compute: Callable[[], int]) -> None:
            self.compute, self.calls = compute, 0

        @cached_property
        def value(self) -> int:
            self.calls += 1
            return self.compute()

    def wait() -> int:
        begun.set()
        return 1 if done.wait(60) else 0

    waiting = Thing(wait)
    thread = threading.Thread(target=lambda: waiting.value)
    thread.start()
    assert begun.wait(60)
    thing = Thing(lambda: 2)
    assert elsewhere(lambda: thing.value, 10) == thing.value == 2
    assert thing.calls == 1
    done.set()
    thread.join()
    assert waiting.value == 1


class Interrupted(BaseException):
    """What comes from outside at any moment, as Ctrl-C does."""


@contextmanager
def interrupted_after(lines: int) -> Iterator[list[int]]:
    """Raise when so many lines of Python have run inside; the list counts them."""
    count = [0]

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            count[0] += 1
            if count[0] == lines:
                sys.settrace(None)
                raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


def interrupt(model: nn.Module, x: torch.Tensor, calls: int, seed: int) -> int:
    """Interrupt explanations at random lines; return how many were, and check each time that nothing has changed."""
    generator, before = random.Random(seed), state(model, x)
    names = [*METHODS, "many"]

    def prediction() -> torch.Tensor:
        return copy.deepcopy(model).eval()(x).detach()

    predicted = prediction()

    def call(name: str) -> Any:
        if name == "many":
            return explain_many(model, x, ["lrp_z", "lrpsign_z", "gradient"], 1)
        return explain(model, x, name, 1, **options(name))

    expected, lines = {}, {}
    for name in names:
        with interrupted_after(-1) as count:
            expected[name] = call(name)
        lines[name] = count[0]
    stopped = 0
    for index in range(calls):
        name = names[index % len(names)]
        try:
            with interrupted_after(generator.randrange(1, lines[name])):
                call(name)
        except Interrupted:
            stopped += 1
        assert state(model, x) == before
        assert torch.equal(prediction(), predicted)
    for name in METHODS:
        assert np.array_equal(call(name), expected[name])
        assert np.array_equal(elsewhere(lambda name=name: call(name)), expected[name])
    return stopped


def test_a_thousand_interrupts_at_any_line_leave_everything_as_it_was():
    assert interrupt(unusual(cnn(inplace=True)), pictures(), 1000, seed=1) >= 950


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # where it comes in a collector's callback
def test_ctrl_c_between_any_two_instructions():
    """A signal comes where it comes, also while torch computes."""
    model, x = unusual(cnn(inplace=True)), pictures()
    before = state(model, x)
    expected = {method: explain(model, x, method, 1, **options(method)) for method in METHODS}

    def ring(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, ring)
    stopped = 0
    generator = random.Random(2)
    try:
        for index in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, generator.uniform(0.0002, 0.006))
                explain(model, x, METHODS[index % len(METHODS)], 1)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                stopped += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert state(model, x) == before
    finally:
        signal.signal(signal.SIGALRM, old)
    assert stopped > 10
    for method in METHODS:
        assert np.array_equal(explain(model, x, method, 1, **options(method)), expected[method])
        again = elsewhere(lambda method=method: explain(model, x, method, 1, **options(method)))
        assert np.array_equal(again, expected[method])
