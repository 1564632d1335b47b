"""How much memory a model takes: counted during a forward pass, so that batches can be made to fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

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
        The outputs of all layers without children.
    largest : int
        The largest of them, or the largest input of a layer.
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


def size(x: Tensor) -> int:
    """Return the bytes of a tensor."""
    return x.numel() * x.element_size()


@contextmanager
def counting(model: nn.Module) -> Iterator[Count]:
    """Count what forward passes inside make; the hooks are gone afterwards, also if it raises."""
    count = Count()

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        made = size(output) if isinstance(output, Tensor) else 0
        read = max((size(one) for one in inputs if isinstance(one, Tensor)), default=0)
        count.activations += made
        count.largest = max(count.largest, made, read)
        kernels = (size(one) for one in module.parameters(recurse=False) if one.dim() > 2)
        count.weights = max(count.weights, *kernels, 0)

    leaves = [module for module in model.modules() if next(module.children(), None) is None]
    handles = [module.register_forward_hook(note) for module in leaves]
    try:
        yield count
    finally:
        for handle in handles:
            handle.remove()
