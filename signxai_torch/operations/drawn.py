"""The generators of random numbers that a model may draw from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


class Generators:
    """The states of the generators of torch, of Python and of NumPy at one moment.

    Parameters
    ----------
    device : torch.device
        Where the model computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._states = self._now()

    def _now(self) -> list[Any]:
        of_device = [torch.cuda.get_rng_state(self._device)] if self._device.type == "cuda" else []
        return [random.getstate(), np.random.get_state(legacy=True), torch.get_rng_state(), *of_device]

    def put_back(self) -> bool:
        """Let them draw again what was drawn since; return whether anything was."""
        states = self._now()
        if all(map(_same, states, self._states)):
            return False
        python, of_numpy, of_torch, *of_device = self._states
        random.setstate(python)
        np.random.set_state(of_numpy)
        torch.set_rng_state(of_torch)
        if of_device:
            torch.cuda.set_rng_state(of_device[0], self._device)
        return True


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    return bool(one == other)
