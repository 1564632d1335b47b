"""What every contender is given and gives back, and the unit that all are measured in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.networks import Network

SAMPLES = 50
"""Steps of integrated gradients, noisy copies of SmoothGrad, for every contender."""
NOISE = 0.2
"""Standard deviation of SmoothGrad's noise, in units of the input."""
BUDGET = 2**20
"""Input values in one batch of a sampling method, for contenders that leave it to the caller."""


class UnavailableError(Exception):
    """The contender has this method but cannot be measured here; the text is the reason."""


class NoCounterpartError(Exception):
    """The contender has no such method; the text is the reason."""


@dataclass(frozen=True, eq=False)
class Task:
    """One method on one batch of one network.

    `x` is the batch in torch layout, `targets` has one class per sample.
    """

    network: Network
    x: Tensor
    targets: list[int]
    method: str

    @property
    def at_once(self) -> int:
        """How many copies of the batch fit a sampling method's budget."""
        return max(1, BUDGET // self.x.numel())


@dataclass(frozen=True, eq=False)
class Job:
    """A call ready to be timed.

    `call` returns the map in torch layout; a sweep's call returns what it likes. `clock`, where there is one, gets
    the seconds of each call as its own process measured them; then these count, not the time the call took here.
    """

    call: Callable[[], Any]
    clock: list[float] | None = None


def gradient_unit(task: Task) -> Job:
    """Return the unit: one forward pass and the gradient of the targets' logits with respect to the input."""
    indices = torch.tensor(task.targets).unsqueeze(1)

    def call() -> Tensor:
        x = task.x.detach().requires_grad_()
        with torch.enable_grad():
            chosen = task.network.module(x).gather(1, indices).sum()
            return torch.autograd.grad(chosen, x)[0]

    return Job(call)
