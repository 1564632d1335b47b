"""A model's inputs: one tensor, or several that explanations see as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

T = TypeVar("T")
Several = Sequence[Tensor] | Mapping[str, Tensor]
"""Inputs of a model that takes more than one: by place, or by name."""


@dataclass
class Inputs:
    """How a model takes its inputs, and where they lie in the one tensor that explanations see.

    An input that is alone is seen as it is. Several are flattened and joined along axis 1, so that an explanation sees
    one tensor (N, total) whatever their shapes are.

    Attributes
    ----------
    names : tuple of str
        What messages call them: ``x``, ``x[0]``, ``x['image']``.
    shapes : tuple of torch.Size
        Those of one sample, where there are several.
    holder : type, optional
        `tuple`, `list` or `dict`, which is what holds them; None if one is alone.
    keys : tuple of str
        Their names in the model's forward, where a dict holds them.
    in_order : bool
        Whether they were given as they lie in memory here: each in one piece, in the order of its axes.
    pictures_last : bool
        Whether pictures are now made with the channels last in memory (`signxai_torch.operations.layout.Layout`).
    """

    names: tuple[str, ...] = ("x",)
    shapes: tuple[torch.Size, ...] = ()
    holder: type | None = None
    keys: tuple[str, ...] = ()
    in_order: bool = True
    pictures_last: bool = False

    @property
    def alone(self) -> bool:
        """Whether the model takes one tensor, which is no member of a tuple, list or dict."""
        return self.holder is None

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """Return one tensor (N, total) of one per input, each batch first."""
        return parts[0] if self.alone else torch.cat([part.reshape(len(part), -1) for part in parts], dim=1)

    def views(self, joined: Tensor) -> list[Tensor]:
        """Return a joined tensor's part for each input, in that input's shape; views, where `joined` is in one piece.

        Parameters
        ----------
        joined : torch.Tensor
            Batch first, of any number of samples.
        """
        if self.alone:
            return [joined]
        views, first = [], 0
        for shape in self.shapes:
            views.append(joined.narrow(1, first, prod(shape)).reshape(len(joined), *shape))
            first += prod(shape)
        return views

    def points(self, joined: Tensor) -> list[Tensor]:
        """Return copies of the parts, in memory of their own: what the model is called with."""
        if self.alone:
            return [joined.clone()]
        return [view.clone(memory_format=self._format(view)) for view in self.views(joined)]

    def _format(self, view: Tensor) -> torch.memory_format:
        last = self.pictures_last and view.dim() == len("NCHW")
        return torch.channels_last if last else torch.contiguous_format

    def call(self, module: nn.Module, points: Sequence[Tensor]) -> Any:
        """Return what a module makes of its inputs."""
        if self.holder is dict:
            return module(**dict(zip(self.keys, points, strict=True)))
        return module(*points)

    def held(self, parts: Sequence[T]) -> Any:
        """Return one thing per input as the inputs were given: in a tuple, a list, a dict, or by itself."""
        if self.holder is None:
            return parts[0]
        return dict(zip(self.keys, parts, strict=True)) if self.holder is dict else self.holder(parts)

    def for_each(self, given: Any, what: str) -> list[Any]:
        """Return what a parameter says of each input: the same of all, or one by one, held as the inputs are.

        Raises
        ------
        ValueError
            If it has not one entry per input.
        """
        if self.alone:
            return [given]
        if isinstance(given, Mapping) and self.holder is dict and set(given) == set(self.keys):
            return [given[key] for key in self.keys]
        if isinstance(given, (tuple, list)) and self.holder is not dict and len(given) == len(self.names):
            return list(given)
        if isinstance(given, (Mapping, tuple, list)) or np.ndim(given) > 0:
            form = f"a dict with the keys {', '.join(map(repr, self.keys))}" if self.holder is dict else "a tuple"
            raise ValueError(f"{what} must be one for all inputs, or {form} with one entry per input, as x is")
        return [given] * len(self.names)

    def described(self) -> str:
        """Return the shapes of one sample's inputs, for messages."""
        return ", ".join(f"{name} {tuple(shape)}" for name, shape in zip(self.names, self.shapes, strict=True))
