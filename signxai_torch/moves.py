"""Whether a layer of which nothing is known moves values, told from what it does with values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

MASKS = 8  # a single place that depends on one other place escapes half of them each, and one in 2 ** 8 cases all


def moves_values(layer: Callable[[Tensor], Any], x: Tensor, output: Tensor) -> bool:
    """Return whether a layer's output holds nothing but values of its input, or zeros, and some in other places.

    Parameters
    ----------
    layer : callable
        Is run again, without gradient.
    x, output : torch.Tensor
        What it was called with and what it returned, of one shape.
    """
    known = torch.isin(output, x) | (output == 0)
    return bool(known.all()) and not _works_one_by_one(layer, x, output)


def _works_one_by_one(layer: Callable[[Tensor], Any], x: Tensor, output: Tensor) -> bool:
    """Return whether each value of the output depends on the value in the same place alone."""
    changed = x + (x.abs().max() + 1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(MASKS):
            mask = torch.randint(2, x.shape, generator=generator, dtype=torch.bool).to(x.device)
            for chosen in (mask, ~mask):
                found = layer(torch.where(chosen, changed, x))
                if not torch.equal(torch.where(chosen, output, found), output):
                    return False
    return True
