"""Whether a layer of which nothing is known moves values: told by what it calls, and where that hides, by values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from signxai_torch.operations.hook import TRANSPARENT, Call, operation

# Operations in autograd's words that take, join, repeat or reorder values.
MOVING = TRANSPARENT | frozenset(
    ("AsStrided", "Cat", "ChannelShuffle", "Diagonal", "Flip", "Gather", "Im2Col", "Index", "IndexSelect",
     "MaskedSelect", "Narrow", "NativeChannelShuffle", "PixelShuffle", "PixelUnshuffle", "ReflectionPad1D",
     "ReflectionPad2D", "ReflectionPad3D", "Repeat", "ReplicationPad1D", "ReplicationPad2D", "ReplicationPad3D",
     "Roll", "Rot90", "Select", "Slice", "Sort", "Split", "SplitWithSizes", "Stack", "Topk", "Unbind", "Unfold",
     "UnsafeSplit", "torch::autograd::AccumulateGrad", "torch::autograd::CopyBackwards")
)  # fmt: skip
# Those that may move values or not.
_OPAQUE = frozenset(
    ("torch::autograd::CopySlices", "IndexCopy", "IndexPut", "MaskedFill", "MaskedScatter", "Scatter", "SelectScatter",
     "SliceScatter", "Where")
)  # fmt: skip
MASKS = 8  # a single place that depends on one other place escapes half of them each, and one in 2 ** 8 cases all


def moves_values(call: Call, x: Tensor, output: Tensor) -> bool:
    """Return whether a layer hands on values of its input, or zeros, some of them in other places, and nothing else.

    Parameters
    ----------
    call : Call
        The call of the layer, which is run again.
    x, output : torch.Tensor
        What it was called with and what it returned, of one shape.
    """
    with torch.enable_grad():
        point = x.detach().requires_grad_().clone()  # the layer may work in place
        version = point._version
        result = call(point)
    if result is point and point._version == version:
        return True  # nothing was done at all
    names = _operations(result)
    if not names <= MOVING | _OPAQUE:
        return False
    if names <= MOVING:
        return bool(names)  # a constant has none
    known = torch.isin(output, x) | (output == 0)
    return bool(known.all()) and not _works_one_by_one(call, x, output)


def _operations(result: Any) -> set[str]:
    names, waiting, met = set(), [result.grad_fn] if isinstance(result, Tensor) else [], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in met:
            met.add(node)
            names.add(operation(node))
            waiting += [before for before, _ in node.next_functions]
    return names


def _works_one_by_one(call: Call, x: Tensor, output: Tensor) -> bool:
    """Return whether each value of the output depends on the value in the same place alone."""
    other = call.on_a_copy()  # what the layer keeps of these runs is not for the model
    changed = x + (x.abs().max() + 1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(MASKS):
            mask = torch.randint(2, x.shape, generator=generator, dtype=torch.bool).to(x.device)
            for chosen in (mask, ~mask):
                found = other(torch.where(chosen, changed, x))
                if not torch.equal(torch.where(chosen, output, found), output):
                    return False
    return True
