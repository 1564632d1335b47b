"""Ports that remember: maps of other samples, methods or runs, and faults that come with the second call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.run.mutants.maps import DENSE, RESNET, SERIES, VGG
from parity.run.mutants.mutant import Map, Mutant, right

Key = Callable[[Tensor, str, list[int]], Any]


class Cached:
    """A port that keeps its maps under a key that is too short, and returns what it finds there.

    Parameters
    ----------
    key : callable
        Of input, method and target.
    """

    def __init__(self, key: Key) -> None:
        self.key, self.maps = key, dict[Any, Map]()

    def __call__(self, model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
        """Return the map of the first case of the key."""
        key = self.key(x, method, target)
        if key not in self.maps:
            self.maps[key] = right(model, x, method, target, **parameters)
        return self.maps[key].astype(str(x.dtype).removeprefix("torch."))


class Previous:
    """A port that returns the map it was asked for before, as of a batch whose samples got mixed up."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, torch.dtype], Map] = {}

    def __call__(self, model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
        """Return the map of the sample before, of the same method and dtype; the right one at first."""
        key = method, x.dtype
        found = right(model, x, method, target, **parameters)
        before, self.last[key] = self.last.get(key, found), found
        return before


class Worse:
    """A port whose maps grow with every call, as of a buffer that is not emptied."""

    def __init__(self) -> None:
        self.total: Map | None = None

    def __call__(self, model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
        """Return the sum of all maps so far."""
        found = right(model, x, method, target, **parameters)
        self.total = found if self.total is None else self.total + found
        return self.total.astype(found.dtype)


class Targets:
    """A port that explains the class of the first sample for all that follow."""

    def __init__(self) -> None:
        self.first: list[int] | None = None

    def __call__(self, model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
        """Return the map for the first class."""
        self.first = self.first or list(target)
        return right(model, x, method, self.first, **parameters)


class Sample:
    """A port that is wrong from one sample on."""

    def __init__(self, number: int, change: Callable[[Map], Map]) -> None:
        self.number, self.change, self.seen = number, change, list[bytes]()

    def __call__(self, model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
        """Return the map, spoilt for the sample."""
        key = x.float().numpy().tobytes()
        if key not in self.seen:
            self.seen.append(key)
        found = right(model, x, method, target, **parameters)
        return self.change(found) if self.seen.index(key) == self.number else found


def without_seed(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Draw from the global generator, whatever seed the case sets."""
    return right(model, x, method, target, **{key: value for key, value in parameters.items() if key != "seed"})


def batch_of_two(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Explain the input in a batch with its mirror image, and return the mean of the two maps."""
    both = right(model, torch.cat([x, x.flip(-1)]), method, [*target, *target], **parameters)
    return (both[: len(x)] + both[len(x) :]) / 2


def input_changed_in_place(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Clip the input in place before it is explained."""
    x.clamp_(-0.5, 0.5)
    return right(model, x, method, target, **parameters)


MUTANTS: tuple[Mutant, ...] = (
    Mutant("sample_before", "The map is that of the sample before.", Previous(), "rel_l2", (VGG, RESNET, SERIES),
           ("gradient",), where="all samples but the first", samples=2),
    Mutant("kept_without_input", "Maps are kept by method, and not by input.",
           Cached(lambda x, method, target: (method, x.dtype)), "rel_l2", (VGG, DENSE), ("lrp_z",),
           where="all samples but the first", samples=2),
    Mutant("kept_without_method", "Maps are kept by input, and not by method.",
           Cached(lambda x, method, target: (x.numpy().tobytes(), x.dtype)), "rel_l2", (SERIES,),
           ("gradient", "lrp_z", "lrp_flat"), where="all methods but the first"),
    Mutant("kept_by_class", "Maps are kept by class and dtype alone.",
           Cached(lambda x, method, target: (tuple(target), x.dtype)), "rel_l2", (SERIES,), ("gradient",),
           where="samples of a class that was seen", samples=3),
    Mutant("added_up", "Maps are added up from call to call.", Worse(), "rel_l2", (DENSE,), ("lrp_z", "gradient"),
           where="all calls but the first"),
    Mutant("class_of_the_first_sample", "All samples are explained for the class of the first.", Targets(), "rel_l2",
           (VGG, RESNET, SERIES), ("gradient",), where="all samples but the first", samples=2),
    Mutant("third_sample_negated", "The third sample's map has the other sign.", Sample(2, np.negative), "slope",
           (VGG,), ("lrp_epsilon_0_1",), where="one sample", samples=3),
    Mutant("second_sample_1_001", "The second sample's map is 0.1 % too large.",
           Sample(1, lambda values: values * values.dtype.type(1.001)), "slope", (DENSE,), ("gradient",),
           where="one sample", samples=2),
    Mutant("second_sample_nan", "The second sample's map is not a number.",
           Sample(1, lambda values: np.full_like(values, np.nan)), "finite", (SERIES,), ("lrp_z",), where="one sample",
           samples=2),
    Mutant("unseeded", "The noise has no seed.", without_seed, "rel_l2", (VGG,), ("smoothgrad",)),
    Mutant("mean_of_a_batch", "The map is the mean over a batch.", batch_of_two, "rel_l2", (RESNET, SERIES),
           ("lrp_z",)),
    Mutant("input_clipped_in_place", "The input is clipped to half of its range.", input_changed_in_place, "rel_l2",
           (VGG, SERIES), ("gradient", "lrp_z"), where="input"),
)  # fmt: skip
"""The mutants of this file."""
