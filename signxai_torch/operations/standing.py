"""Whether a model still is what it was when something was made of it: its modules, their attributes, its weights."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.operations.reach import Reach, global_hooks

_END = object()
"""Stands behind all that is held, so that of two lists of different lengths one has it where the other has not."""
MOST_VALUES = 2**22
"""How many values are compared at every call, at most."""


def same_values(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors of one shape hold the same numbers; NaN is none."""
    if one.numel() > 2**12 and one.device.type == "cpu" and one.dtype in (torch.float32, torch.float64):
        return bool((one.detach().numpy() == other.detach().numpy()).all())  # several times as fast as torch.equal
    return torch.equal(one, other)


class _Values:
    """The values of tensors at one moment, to be compared with what they are later."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._alone = [(one, one.detach().clone()) for one in tensors if one.device.type == "cpu"]
        alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for one in tensors:
            if one.device.type != "cpu":  # where every comparison waits for the device
                alike.setdefault((one.dtype, one.device), []).append(one)
        self._together = [(group, _joined(group)) for group in alike.values()]

    def same(self) -> bool:
        """Return whether the tensors hold the same numbers still."""
        return all(same_values(one, before) for one, before in self._alone) and all(
            same_values(_joined(group), before) for group, before in self._together
        )


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([one.detach().reshape(-1) for one in tensors])


class Standing:
    """What a model is at this moment.

    It knows what everything that can be reached from the model holds (`operations.reach`), and of every tensor how
    often it was changed in place and where it lies. Torch does not count all changes: it leaves out writing through
    ``weight.data``, fused optimizers, and statistics of batch normalisation in training. So values are compared as
    well: of all tensors but the parameters, and of those parameters of which `compare` is told. A tape reads the other
    parameters where they lie, and finds there what they are now.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    others : object
        What else its output depends on.

    Attributes
    ----------
    is_known : bool
        Whether all of it can be compared. If not, nothing that is made of the model may be kept.
    """

    def __init__(self, model: nn.Module, *others: Any) -> None:
        self._reach = Reach([model, *others, *global_hooks()])
        self._held = [*self._reach.holding(), _END]
        self._tensors = [one for one in self._reach.tensors if _has_values(one)]
        self._counted_ones = [one for one in self._tensors if not one.is_inference()]
        self._counts = self._counted()
        self._values: list[_Values] = []
        self._arrays = [one.tobytes() for one in self._reach.arrays]
        self._compared = sum(one.size for one in self._reach.arrays)
        self.is_known = self._reach.complete and len(self._tensors) == len(self._reach.tensors)
        self.compare([one for one in self._tensors if not isinstance(one, nn.Parameter)])

    def compare(self, tensors: Iterable[Tensor]) -> None:
        """Compare values of tensors from now on, of which something was made."""
        tensors = [one for one in tensors if one.numel()]
        self._compared += sum(one.numel() for one in tensors)
        self.is_known = self.is_known and self._compared <= MOST_VALUES
        if self.is_known and tensors:
            self._values.append(_Values(tensors))

    def _counted(self) -> list[tuple[int, int]]:
        return [(one._version, one.data_ptr()) for one in self._counted_ones]

    def still(self) -> bool:
        """Return whether the model is the same."""
        return (
            all(map(operator.is_, chain(self._reach.holding(), (_END,)), self._held))
            and self._counts == self._counted()
            and all(one.same() for one in self._values)
            and all(one.tobytes() == before for one, before in zip(self._reach.arrays, self._arrays, strict=True))
        )


def _has_values(tensor: Tensor) -> bool:
    """Return whether a tensor lies in memory that can be read."""
    strided = tensor.layout is torch.strided and not nn.parameter.is_lazy(tensor)
    return strided and tensor.device.type != "meta" and not tensor.is_quantized
