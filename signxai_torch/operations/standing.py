"""Whether a model still is what it was when something was made of it: its modules, their attributes, its weights."""

from __future__ import annotations

import operator
from itertools import chain
from typing import Any

from torch import Tensor, nn


class Standing:
    """What a model is at this moment.

    It knows of every module which objects its attributes are, and what the dicts and lists among them hold (weights,
    modules and hooks lie in such), and of every parameter and buffer how often it was changed in place and where it
    lies. It does not see what is changed deeper inside of an object that a module holds, nor writing through
    ``parameter.data``, which torch does not count.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._dicts: list[dict[Any, Any]] = []
        self._lists: list[list[Any]] = []
        for module in model.modules():
            attributes = module.__dict__
            self._dicts += [attributes, *(one for one in attributes.values() if isinstance(one, dict))]
            self._lists += [one for one in attributes.values() if isinstance(one, list)]
        self._held = self._holding()
        tensors = [one for one in self._held if isinstance(one, Tensor)]
        self._tensors = list({id(one): one for one in tensors}.values())
        self._counts = self._counted()

    def _holding(self) -> list[Any]:
        return list(chain(chain.from_iterable(map(dict.values, self._dicts)), chain.from_iterable(self._lists)))

    def _counted(self) -> list[tuple[int, int]]:
        return [(one._version, one.data_ptr()) for one in self._tensors]

    def still(self) -> bool:
        """Return whether the model is the same."""
        held = self._holding()
        same = len(held) == len(self._held) and all(map(operator.is_, held, self._held))
        return same and self._counts == self._counted()
