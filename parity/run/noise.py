"""How far a reference is from itself on a case: what the float32 limit is made of, and what rounding does in float64.

Each sample compares maps of the reference alone. The first is its float32 map against its float64 map. Where the
subject is farther off than that allows, further honest samples of the same noise are taken: the same input scaled by a
few last digits, and TensorFlow without oneDNN, which adds the same numbers in another order. The subject has no part in
any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.limits import NoiseFloor
from parity.judge.metrics import compare
from parity.reference.request import ReferenceAnswer

Array = npt.NDArray[Any]
LAST_DIGITS = (1, -1, 2, -2, 3, -3, 4, -4)
"""By how many last digits the input is scaled."""
Ask = Callable[[list[Array], str, bool], list[ReferenceAnswer]]
"""Inputs, dtype and whether oneDNN is on -> an answer per input, all of one case's target."""


@dataclass(frozen=True)
class Sample:
    """One measurement of the reference's noise: in words, and in numbers (None where the maps cannot be compared)."""

    says: str
    floor: NoiseFloor | None


def samples(
    x: Array, dtype: str, answer: Array, exact: Array | None, ask: Ask, edges: list[float], tokens: bool = False
) -> Iterator[Sample]:
    """Yield samples of the reference's noise on one case, the cheapest first; each is measured when it is asked for.

    Parameters
    ----------
    x
        The input in the case's dtype.
    dtype
        The case's lane.
    answer
        The reference's map in that lane.
    exact
        Its map in float64; None where it has none.
    ask
        Asks the reference about other inputs of the same case.
    edges
        Values at which the method treats an input differently; an input that crosses one when it is scaled is another
        case, and is left out.
    tokens
        Whether the input is tokens: whole numbers that are other ones as soon as they are scaled.
    """
    base = answer if exact is None else exact
    if dtype == "float32" and exact is not None:
        yield Sample("float32 against float64", _floor(exact, answer))
    scaled = [(digits, nudged(x, digits)) for digits in LAST_DIGITS if not tokens]
    same = [(digits, one) for digits, one in scaled if not any(np.any((x >= edge) != (one >= edge)) for edge in edges)]
    for onednn, words in ((True, ""), (False, "without oneDNN, ")) if dtype == "float32" else ((True, ""),):
        if not onednn:
            yield from _measured("without oneDNN", base, ask([x], dtype, False))
        for digits, one in same:
            yield from _measured(f"{words}the input scaled by {digits:+d} last digits", base, ask([one], dtype, onednn))


def nudged(x: Array, digits: int) -> Array:
    """Return an input scaled by a few of its last digits: what is equal or zero in it stays so."""
    factor = x.dtype.type(1) + x.dtype.type(digits) * np.finfo(x.dtype).eps
    scaled: Array = (x * factor).astype(x.dtype)
    return scaled


def _measured(says: str, base: Array, answers: list[ReferenceAnswer]) -> Iterator[Sample]:
    for answer in answers:
        if answer.array is not None:  # a sample that cannot be taken measures nothing
            yield Sample(says, _floor(base, answer.array))


def _floor(base: Array, other: Array) -> NoiseFloor | None:
    metrics = compare(base, other)
    return None if metrics.problem else NoiseFloor.from_metrics(metrics)
