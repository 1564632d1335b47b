"""How much memory a forward pass takes, counted function by function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from signxai_torch.operations.kind import FUNCTIONS, UNKNOWN, Kind

BUDGET = 2**27
"""Bytes that the methods which explain many copies of an input let one batch of copies take, unless told otherwise.

Large tensors go back to the system when they are freed and cost more to get again than a larger batch saves: a VGG16
at 224 x 224 takes its copies one by one.
"""


@dataclass
class Count:
    """What one forward pass made, in bytes, for the whole batch.

    Attributes
    ----------
    activations : int
        The results of all functions that make new values.
    largest : int
        The largest of them, or the largest tensor that one read.
    weights : int
        The largest weight of a convolution: rules make one part of it at a time.
    """

    activations: int = 0
    largest: int = 0
    weights: int = 0

    @property
    def gradient(self) -> int:
        """What a forward and a backward pass hold at once, at most: all activations and four gradients."""
        return self.activations + 2 * 2 * self.largest

    @property
    def relevance(self) -> int:
        """What a pass of rules holds at once, at most: besides, its quotients and a part of the weights."""
        return self.activations + 2 * 2 * 2 * self.largest + 2 * self.weights

    def note(self, function: Callable[..., Any], args: tuple[Any, ...], made: Any) -> None:
        """Count one call of a function."""
        row = FUNCTIONS.get(function, UNKNOWN)
        if row.kind is Kind.MOVE and row.transparent:
            return
        if isinstance(made, Tensor) and made.is_floating_point():
            self.activations += size(made)
            self.largest = max(self.largest, size(made))
        read = [size(one) for one in args if isinstance(one, Tensor)]
        if row.kind is Kind.CONVOLUTION and len(read) > 1:
            self.weights = max(self.weights, read[1])
        self.largest = max(self.largest, *read[:1], 0)


def size(x: Tensor) -> int:
    """Return the bytes of a tensor."""
    return x.numel() * x.element_size()
