"""What makes one tensor of several, element by element or by products along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from parity.keras.modules.normalization import unit_length


class Merge(nn.Module):
    """Base of the layers that join tensors value by value; shapes broadcast as in Keras.

    A tensor with fewer axes gets axes of one place before its own, behind the batch; the channels stay channels.
    """

    signxai_operation: ClassVar[str] = "derivative"

    def forward(self, *tensors: Tensor) -> Tensor:
        """Join tensors `(N, C, ...)`."""
        axes = max(tensor.dim() for tensor in tensors)
        return self.merge([with_axes(tensor, axes) for tensor in tensors])

    def merge(self, tensors: Sequence[Tensor]) -> Tensor:
        """Join tensors of as many axes."""
        raise NotImplementedError


def with_axes(tensor: Tensor, axes: int) -> Tensor:
    """Return a tensor with axes of one place behind the channels, so that it has as many as asked for."""
    for _ in range(axes - tensor.dim()):
        tensor = tensor.unsqueeze(2)
    return tensor


def zennits_sum() -> nn.Module:
    """Return zennit's sum of tensors stacked along a last axis, which its users' composites know."""
    from zennit.layer import Sum  # zennit imports torchvision, which a network without a sum does not wait for

    return Sum(-1)  # type: ignore[no-any-return]


def is_zennits_sum(module: nn.Module) -> bool:
    """Return whether a module takes its inputs stacked; asks no network without sums to import zennit."""
    return type(module).__module__ == "zennit.layer" and type(module).__name__ == "Sum"


class Multiply(Merge):
    """The product."""

    def merge(self, tensors: Sequence[Tensor]) -> Tensor:
        """See `Merge.merge`."""
        product = tensors[0]
        for other in tensors[1:]:
            product = product * other
        return product


class Average(Merge):
    """The mean."""

    def merge(self, tensors: Sequence[Tensor]) -> Tensor:
        """See `Merge.merge`."""
        total = tensors[0]
        for other in tensors[1:]:
            total = total + other
        return total / len(tensors)


class Subtract(Merge):
    """The first minus the second."""

    def merge(self, tensors: Sequence[Tensor]) -> Tensor:
        """See `Merge.merge`."""
        return tensors[0] - tensors[1]


class Maximum(Merge):
    """The largest value; of equal ones the first takes the whole gradient, as in TensorFlow (torch shares it)."""

    def merge(self, tensors: Sequence[Tensor]) -> Tensor:
        """See `Merge.merge`."""
        largest = tensors[0]
        for other in tensors[1:]:
            largest = torch.where(largest >= other, largest, other)
        return largest


class Minimum(Merge):
    """The smallest value; of equal ones the first takes the whole gradient, as in TensorFlow (torch shares it)."""

    def merge(self, tensors: Sequence[Tensor]) -> Tensor:
        """See `Merge.merge`."""
        smallest = tensors[0]
        for other in tensors[1:]:
            smallest = torch.where(smallest <= other, smallest, other)
        return smallest


class ScaledSum(nn.Module):
    """`x + scale * residual`: what joins the branches of InceptionResNetV2."""

    signxai_operation: ClassVar[str] = "derivative"

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        """Join two tensors of one shape."""
        return x + residual * self.scale

    def extra_repr(self) -> str:
        """Show the factor in `print(model)`."""
        return f"scale={self.scale}"


class Dot(nn.Module):
    """Sums of products along one axis of each of two tensors.

    Parameters
    ----------
    axes
        The axis of each tensor in Keras layout, batch axis 0.
    normalize
        Whether both are brought to length 1 along that axis before.
    """

    signxai_operation: ClassVar[str] = "derivative"

    def __init__(self, axes: tuple[int, int], normalize: bool) -> None:
        super().__init__()
        self.axes = axes
        self.normalize = normalize

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return `(N, channels, ...)`: the axes that are left of x, then those of y, in Keras's order of axes."""
        x, y = x.movedim(1, -1), y.movedim(1, -1)
        if self.normalize:
            x, y = unit_length(x, [self.axes[0]]), unit_length(y, [self.axes[1]])
        x, y = x.movedim(self.axes[0], -1), y.movedim(self.axes[1], 1)
        rest = (*x.shape[1:-1], *y.shape[2:])
        product = torch.bmm(x.reshape(len(x), -1, x.shape[-1]), y.reshape(*y.shape[:2], -1))
        return product.reshape(len(x), *(rest or (1,))).movedim(-1, 1)

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"axes={self.axes}, normalize={self.normalize}"
