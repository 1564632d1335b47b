"""Resizing as TensorFlow does it: pixels are squares, coordinates and bilinear values are float32 in every dtype."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

Cuts = tuple[tuple[int, int], ...]
_HALF = np.float32(0.5)


def centre_of_shape(size: tuple[int, int], target: tuple[int, int]) -> Cuts:
    """Return what to cut off an image so that its largest middle part of the target's shape is left.

    Parameters
    ----------
    size, target
        Height and width.
    """
    kept = (
        min(size[0], int(np.float32(size[1] * target[0]) / np.float32(target[1]))),
        min(size[1], int(np.float32(size[0] * target[1]) / np.float32(target[0]))),
    )
    starts = tuple((there - left) // 2 for there, left in zip(size, kept, strict=True))
    return tuple((start, there - start - left) for start, there, left in zip(starts, size, kept, strict=True))


class _Resizing(nn.Module):
    """Base: cuts margins off `(N, C, H, W)`, then brings it to another height and width."""

    signxai_operation: ClassVar[str] = "derivative"

    def __init__(self, margins: Cuts, target: tuple[int, int]) -> None:
        super().__init__()
        self.margins = margins
        self.target = target

    def cropped(self, x: Tensor) -> Tensor:
        """Return the part that is resized."""
        for axis, (before, after) in enumerate(self.margins, start=2):
            x = x.narrow(axis, before, x.shape[axis] - before - after)
        return x

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"margins={self.margins}, target={self.target}"


class NearestResize(_Resizing):
    """The nearest pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Resize `(N, C, H, W)`."""
        x = self.cropped(x)
        for axis, places in enumerate(self.target, start=2):
            centres = (np.arange(places, dtype=np.float32) + _HALF) * _step(x.shape[axis], places)
            nearest = np.minimum(np.floor(centres).astype(np.int64), x.shape[axis] - 1)
            x = x.index_select(axis, torch.from_numpy(nearest).to(x.device))
        return x


class Resize(_Resizing):
    """Bilinear, without antialiasing."""

    def forward(self, x: Tensor) -> Tensor:
        """Resize `(N, C, H, W)`."""
        made: Tensor = _Bilinear.apply(self.cropped(x), self.target)
        return made


def _step(size: int, places: int) -> np.float32:
    return np.float32(size) / np.float32(places)


def _neighbours(size: int, places: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for each new place along an axis, its two neighbours and how far it lies from the first."""
    centres = (np.arange(places, dtype=np.float32) + _HALF) * _step(size, places) - _HALF
    below = np.floor(centres)
    first = np.maximum(below, 0).astype(np.int64)
    second = np.minimum(np.ceil(centres), size - 1).astype(np.int64)
    return tuple(torch.from_numpy(one).to(device) for one in (first, second, centres - below))  # type: ignore[return-value]


class _Bilinear(torch.autograd.Function):
    """TensorFlow's ResizeBilinear and its gradient, rounding step by step as it does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: tuple[int, int]) -> Tensor:
        ctx.size, ctx.target, ctx.dtype = x.shape[2:], target, x.dtype
        top, bottom, down = _neighbours(x.shape[2], target[0], x.device)
        left, right, across = _neighbours(x.shape[3], target[1], x.device)
        values = x.to(torch.float32)

        def row(places: Tensor) -> Tensor:
            line = values.index_select(2, places)
            start, end = line.index_select(3, left), line.index_select(3, right)
            return start + (end - start) * across

        above, below = row(top), row(bottom)
        return (above + (below - above) * down[:, None]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *arriving: Tensor) -> tuple[Tensor, None]:
        gradient = arriving[0].to(torch.float32)
        (height, width), target = ctx.size, ctx.target
        top, bottom, down = _neighbours(height, target[0], gradient.device)
        left, right, across = _neighbours(width, target[1], gradient.device)
        down = down[:, None]
        # By new place, then by neighbour: the order in which TensorFlow adds up.
        places = torch.stack([top[:, None] * width + left, top[:, None] * width + right,
                              bottom[:, None] * width + left, bottom[:, None] * width + right], dim=-1)  # fmt: skip
        parts = torch.stack([gradient * (1 - down) * (1 - across), gradient * (1 - down) * across,
                             gradient * down * (1 - across), gradient * down * across], dim=-1)  # fmt: skip
        result = torch.zeros(*gradient.shape[:2], height * width, dtype=torch.float32, device=gradient.device)
        result.index_add_(2, places.flatten(), parts.flatten(2))
        return result.reshape(*gradient.shape[:2], height, width).to(ctx.dtype), None
