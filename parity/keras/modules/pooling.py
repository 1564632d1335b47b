"""Pooling with TensorFlow's margins, and global pooling."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd

from parity.keras.modules.padding import Margins, padded

_Sizes = tuple[int, int, int]


class _PaddedMaxPool(_MaxPoolNd):
    """Max-pooling whose uneven margins never win (they are minus infinity).

    Parameters
    ----------
    margins
        Places before and after, per spatial axis.
    *args, **kwargs
        As for torch's max-pooling, without `padding`.
    """

    signxai_operation: ClassVar[str] = "maximum"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, *space)`."""
        pooled: Tensor = super().forward(padded(x, self.margins, float("-inf")))
        return pooled


class PaddedMaxPool1d(_PaddedMaxPool, nn.MaxPool1d):
    """`MaxPool1d` over `(N, C, T)` whose uneven margins never win."""


class PaddedMaxPool2d(_PaddedMaxPool, nn.MaxPool2d):
    """`MaxPool2d` over `(N, C, H, W)` whose uneven margins never win."""


class PaddedMaxPool3d(nn.MaxPool3d):
    """Max-pooling over `(N, C, D, H, W)`; each of several equal maxima gets the whole gradient, as in TensorFlow.

    That is so in three dimensions only: in one and two TensorFlow's first maximum gets it, as torch's does.

    Parameters
    ----------
    margins
        Places before and after, per spatial axis; they never win.
    kernel_size, stride
        Per spatial axis.
    """

    signxai_operation: ClassVar[str] = "maximum"
    kernel_size: _Sizes
    stride: _Sizes

    def __init__(self, margins: Margins, kernel_size: _Sizes, stride: _Sizes) -> None:
        super().__init__(kernel_size, stride)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, D, H, W)`."""
        wider = padded(x, self.margins, float("-inf"))
        pooled: Tensor = _MaximumToAll.apply(wider, self.kernel_size, self.stride)
        return pooled


class _MaximumToAll(torch.autograd.Function):
    """Max-pooling of three axes whose gradient goes to all that equal the maximum of a window."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: _Sizes, stride: _Sizes) -> Tensor:
        pooled = F.max_pool3d(x, kernel, stride)
        ctx.save_for_backward(x, pooled)
        ctx.kernel, ctx.stride = kernel, stride
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, pooled = ctx.saved_tensors
        gradient = torch.zeros_like(x)
        for offset in product(*(range(size) for size in ctx.kernel)):
            spans = [
                slice(first, first + step * (count - 1) + 1, step)
                for first, step, count in zip(offset, ctx.stride, pooled.shape[2:], strict=True)
            ]
            places = (slice(None), slice(None), *spans)
            gradient[places] += gradients[0] * (x[places] == pooled)
        return gradient, None, None


def _count(x: Tensor, margins: Margins) -> Tensor:
    """Return ones with margins of zeros; pooled, they say which part of a window holds data."""
    return padded(torch.ones_like(x[:1, :1]), margins)


class _PaddedAvgPool(_AvgPoolNd):
    """Average pooling over uneven margins, which are not counted.

    Parameters
    ----------
    margins
        Places before and after, per spatial axis.
    *args, **kwargs
        As for torch's average pooling, without `padding`.
    """

    signxai_operation: ClassVar[str] = "average"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, *space)`."""
        pooled: Tensor = super().forward(padded(x, self.margins))
        counted: Tensor = super().forward(_count(x, self.margins))
        return pooled / counted


class PaddedAvgPool1d(_PaddedAvgPool, nn.AvgPool1d):
    """`AvgPool1d` over `(N, C, T)` and uneven margins, which are not counted."""


class PaddedAvgPool2d(_PaddedAvgPool, nn.AvgPool2d):
    """`AvgPool2d` over `(N, C, H, W)` and uneven margins, which are not counted."""


class PaddedAvgPool3d(_PaddedAvgPool, nn.AvgPool3d):
    """`AvgPool3d` over `(N, C, D, H, W)` and uneven margins, which are not counted."""


class GlobalAvgPool1d(nn.AdaptiveAvgPool1d):
    """Mean over the time axis: `(N, C, T)` to `(N, C)`."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: Tensor) -> Tensor:
        """Average and drop the axis."""
        return super().forward(x).flatten(1)


class GlobalAvgPool2d(nn.AdaptiveAvgPool2d):
    """Mean over height and width: `(N, C, H, W)` to `(N, C)`."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: Tensor) -> Tensor:
        """Average and drop the axes."""
        return super().forward(x).flatten(1)


class GlobalAvgPool3d(nn.AdaptiveAvgPool3d):
    """Mean over depth, height and width: `(N, C, D, H, W)` to `(N, C)`."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: Tensor) -> Tensor:
        """Average and drop the axes."""
        return super().forward(x).flatten(1)


class GlobalMaxPool(nn.AdaptiveMaxPool2d):
    """Maximum over all spatial axes; tied maxima share the gradient equally, as in TensorFlow.

    Max-pooling by type, in any number of spatial dimensions.

    Parameters
    ----------
    keep_axes
        Whether the spatial axes stay, with size 1.
    """

    def __init__(self, keep_axes: bool = False) -> None:
        super().__init__(1)
        self.keep_axes = keep_axes

    def forward(self, x: Tensor) -> Tensor:
        """Reduce `(N, C, ...)` to `(N, C)` or `(N, C, 1, ...)`."""
        return x.amax(dim=tuple(range(2, x.dim())), keepdim=self.keep_axes)
