"""Normalisation by constants and by each sample's own statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST_SQUARE = 1e-12
"""The least square of a length that vectors are divided by, in TensorFlow."""
LEAST_SQUARE_OF_KERAS_3 = 1e-24
"""The same in Keras 3."""


def unit_length(x: Tensor, axes: Sequence[int], least_square: float = LEAST_SQUARE) -> Tensor:
    """Return a tensor whose values along some axes have the Euclidean length 1, or next to 0 where all are 0."""
    squares = x.square().sum(dim=list(axes), keepdim=True)
    return x * torch.rsqrt(squares.clamp(min=least_square))


class Affine(nn.Module):
    """`x * scale + offset`, by constants that broadcast over `(N, C, ...)`; either may be None."""

    signxai_operation: ClassVar[str] = "unchanged"
    scale: Tensor | None
    offset: Tensor | None

    def __init__(self, scale: Tensor | None, offset: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("offset", offset)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(N, C, ...)`."""
        if self.scale is not None:
            x = x * self.scale
        return x if self.offset is None else x + self.offset

    def extra_repr(self) -> str:
        """Show which there are in `print(model)`."""
        return f"scale={self.scale is not None}, offset={self.offset is not None}"


class Standardize(nn.Module):
    """`(x - mean) / deviation`, or back, by constants that broadcast over `(N, C, ...)`."""

    signxai_operation: ClassVar[str] = "unchanged"
    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, invert: bool) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.invert = invert

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(N, C, ...)`."""
        return self.mean + x * self.deviation if self.invert else (x - self.mean) / self.deviation

    def extra_repr(self) -> str:
        """Show the direction in `print(model)`."""
        return f"invert={self.invert}"


class AxesNorm(nn.Module):
    """Keras `LayerNormalization`: mean 0 and variance 1 over any axes of a sample, then scale and offset.

    Parameters
    ----------
    axes
        In torch layout, batch axis 0.
    epsilon
        Added to the variance.
    weight, bias
        They broadcast over `(N, C, ...)`; None for 1 and 0.
    """

    signxai_operation: ClassVar[str] = "unchanged"

    def __init__(self, axes: Sequence[int], epsilon: float, weight: Tensor | None, bias: Tensor | None) -> None:
        super().__init__()
        self.axes = tuple(axes)
        self.epsilon = epsilon
        self.weight = None if weight is None else nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(N, C, ...)`."""
        kept = [axis for axis in range(x.dim()) if axis not in self.axes]
        order = [*kept, *self.axes]
        back = [order.index(axis) for axis in range(x.dim())]
        last = x.permute(order)
        normal = F.layer_norm(last, last.shape[len(kept) :], eps=self.epsilon).permute(back)
        if self.weight is not None:
            normal = normal * self.weight
        return normal if self.bias is None else normal + self.bias

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"axes={self.axes}, epsilon={self.epsilon}"


class GroupNorm(nn.GroupNorm):
    """`GroupNorm` as one layer."""

    signxai_operation: ClassVar[str] = "unchanged"


class UnitNorm(nn.Module):
    """Keras `UnitNormalization`: values along some axes, in torch layout, brought to the Euclidean length 1."""

    signxai_operation: ClassVar[str] = "unchanged"

    def __init__(self, axes: Sequence[int], least_square: float = LEAST_SQUARE) -> None:
        super().__init__()
        self.axes, self.least_square = tuple(axes), least_square

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(N, C, ...)`."""
        return unit_length(x, self.axes, self.least_square)

    def extra_repr(self) -> str:
        """Show the axes in `print(model)`."""
        return f"axes={self.axes}"
