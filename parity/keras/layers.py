"""The torch modules that torch itself lacks.

Where a module only adds TensorFlow's padding to a torch module it is a subclass of it, so that whatever is
attached by module type finds it. What is one layer in Keras, whatever functions it takes here, declares that to the
port with the class attribute `signxai_operation` (`signxai_torch.operations.declared`). All take and return torch
layout: `(N, C, H, W)`, `(N, C, T)`, `(N, F)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SQRT_2_FLOAT32 = float(np.float32(2**0.5))

Margins = tuple[tuple[int, int], ...]
"""(before, after) per spatial axis, in the order of the axes."""


def pad_argument(margins: Margins) -> list[int]:
    """Return margins in the order of `torch.nn.functional.pad`: last axis first."""
    return [size for pair in reversed(margins) for size in pair]


class PaddedConv1d(nn.Conv1d):
    """`Conv1d` that pads zeros unevenly (`same` with an even kernel or stride 2, or `causal`).

    Parameters
    ----------
    margins
        Zeros before and after, per spatial axis.
    *args, **kwargs
        As for `torch.nn.Conv1d`, without `padding`.
    """

    signxai_operation: ClassVar[str] = "conv"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve `(N, C, T)`."""
        return super().forward(F.pad(x, pad_argument(self.margins)))

    def extra_repr(self) -> str:
        """Add the margins to torch's text."""
        return f"{super().extra_repr()}, margins={self.margins}"


class PaddedConv2d(nn.Conv2d):
    """`Conv2d` that pads zeros unevenly (`same` with an even kernel or stride 2).

    Parameters
    ----------
    margins
        Zeros before and after, per spatial axis (height, width).
    *args, **kwargs
        As for `torch.nn.Conv2d`, without `padding`.
    """

    signxai_operation: ClassVar[str] = "conv"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve `(N, C, H, W)`."""
        return super().forward(F.pad(x, pad_argument(self.margins)))

    def extra_repr(self) -> str:
        """Add the margins to torch's text."""
        return f"{super().extra_repr()}, margins={self.margins}"


class SeparableConv(nn.Module):
    """Depthwise, then pointwise convolution, then bias: one linear layer, in one or two spatial dimensions.

    Parameters
    ----------
    depthwise_weight
        `(channels * multiplier, 1, *kernel)`.
    pointwise_weight
        `(filters, channels * multiplier, 1, ...)`.
    bias
        `(filters,)` or None.
    stride, dilation
        Of the depthwise convolution, per spatial axis.
    margins
        Zeros before and after, per spatial axis.
    """

    signxai_operation: ClassVar[str] = "conv"

    def __init__(
        self,
        depthwise_weight: Tensor,
        pointwise_weight: Tensor,
        bias: Tensor | None,
        stride: Sequence[int],
        dilation: Sequence[int],
        margins: Margins,
    ) -> None:
        super().__init__()
        self.depthwise_weight = nn.Parameter(depthwise_weight, requires_grad=False)
        self.pointwise_weight = nn.Parameter(pointwise_weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.stride = tuple(stride)
        self.dilation = tuple(dilation)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `(N, C, T)` or `(N, C, H, W)`."""
        convolve = F.conv1d if self.depthwise_weight.dim() == 3 else F.conv2d
        groups = x.shape[1]
        padded = F.pad(x, pad_argument(self.margins))
        depthwise = convolve(padded, self.depthwise_weight, None, self.stride, 0, self.dilation, groups=groups)
        return convolve(depthwise, self.pointwise_weight, self.bias)

    def extra_repr(self) -> str:
        """Show the sizes in `print(model)`."""
        depthwise, pointwise = tuple(self.depthwise_weight.shape), tuple(self.pointwise_weight.shape)
        return f"{depthwise}, {pointwise}, stride={self.stride}, dilation={self.dilation}, margins={self.margins}"


class ChannelLinear(nn.Linear):
    """Keras `Dense` on more than one axis: the linear map acts on the channels of every position."""

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, ...)` to `(N, units, ...)`."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class PaddedMaxPool1d(nn.MaxPool1d):
    """`MaxPool1d` whose uneven margins never win (they are minus infinity)."""

    signxai_operation: ClassVar[str] = "maximum"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, T)`."""
        pooled: Tensor = super().forward(F.pad(x, pad_argument(self.margins), value=float("-inf")))
        return pooled


class PaddedMaxPool2d(nn.MaxPool2d):
    """`MaxPool2d` whose uneven margins never win (they are minus infinity)."""

    signxai_operation: ClassVar[str] = "maximum"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, H, W)`."""
        pooled: Tensor = super().forward(F.pad(x, pad_argument(self.margins), value=float("-inf")))
        return pooled


def _count(x: Tensor, margins: Margins) -> Tensor:
    """Return ones with margins of zeros; pooled, they say which part of a window holds data."""
    return F.pad(torch.ones_like(x[:1, :1]), pad_argument(margins))


class PaddedAvgPool1d(nn.AvgPool1d):
    """`AvgPool1d` over uneven margins, which are not counted."""

    signxai_operation: ClassVar[str] = "average"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, T)`."""
        pooled: Tensor = super().forward(F.pad(x, pad_argument(self.margins)))
        return pooled / super().forward(_count(x, self.margins))


class PaddedAvgPool2d(nn.AvgPool2d):
    """`AvgPool2d` over uneven margins, which are not counted."""

    signxai_operation: ClassVar[str] = "average"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(N, C, H, W)`."""
        pooled: Tensor = super().forward(F.pad(x, pad_argument(self.margins)))
        return pooled / super().forward(_count(x, self.margins))


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


class GlobalMaxPool(nn.AdaptiveMaxPool2d):
    """Maximum over all spatial axes; tied maxima share the gradient equally, as in TensorFlow.

    Max-pooling by type, in one or two spatial dimensions.

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


class Crop(nn.Module):
    """Cut margins off the spatial axes."""

    def __init__(self, margins: Margins) -> None:
        super().__init__()
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Crop `(N, C, T)` or `(N, C, H, W)`."""
        for axis, (before, after) in enumerate(self.margins, start=2):
            x = x.narrow(axis, before, x.shape[axis] - before - after)
        return x

    def extra_repr(self) -> str:
        """Show the margins in `print(model)`."""
        return f"margins={self.margins}"


class Rearrange(nn.Module):
    """Permute, reshape, permute: Keras `Reshape` and `Permute` seen from torch layout.

    Parameters
    ----------
    before
        Order of the axes (batch axis 0 first) before reshaping, or None.
    shape
        New shape without the batch axis, or None to keep it.
    after
        Order of the axes after reshaping, or None.
    """

    def __init__(self, before: Sequence[int] | None, shape: Sequence[int] | None, after: Sequence[int] | None) -> None:
        super().__init__()
        self.before = None if before is None else tuple(before)
        self.shape = None if shape is None else tuple(shape)
        self.after = None if after is None else tuple(after)

    def forward(self, x: Tensor) -> Tensor:
        """Rearrange `(N, ...)`."""
        if self.before is not None:
            x = x.permute(self.before)
        if self.shape is not None:
            x = x.reshape(x.shape[0], *self.shape)
        return x if self.after is None else x.permute(self.after)

    def extra_repr(self) -> str:
        """Show the steps in `print(model)`."""
        return f"{self.before}, {self.shape}, {self.after}"


class FeatureOrder(nn.Module):
    """Put flattened features into another order.

    Parameters
    ----------
    index
        `index[i]` is the position in the input of output feature `i`.
    """

    index: Tensor

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Reorder `(N, F)`."""
        return x.index_select(1, self.index)


class Concatenate(nn.Module):
    """Join several tensors along one axis.

    Parameters
    ----------
    dim
        The axis in torch layout, batch axis 0.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *tensors: Tensor) -> Tensor:
        """Concatenate in the given order."""
        return torch.cat(tensors, self.dim)


class BoundedReLU(nn.ReLU6):
    """Keras `ReLU` with a threshold, or with an upper bound other than 6; an activation by type, like `ReLU6`.

    `x` where `threshold <= x < max_value`, `max_value` above, `negative_slope * (x - threshold)` below.
    """

    signxai_operation: ClassVar[str] = "rectifier"

    def __init__(self, max_value: float | None, negative_slope: float, threshold: float) -> None:
        super().__init__()
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        positive = torch.relu(x) if self.threshold == 0 else x * (x > self.threshold).to(x.dtype)
        if self.max_value is not None:
            positive = positive.clamp(max=self.max_value)
        if self.negative_slope == 0:
            return positive
        return positive - self.negative_slope * torch.relu(self.threshold - x)

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"max_value={self.max_value}, negative_slope={self.negative_slope}, threshold={self.threshold}"


class PositionPReLU(nn.PReLU):
    """`PReLU` with a slope per position, or shared over some axes only: `weight` broadcasts over `(N, ...)`."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(N, ...)`."""
        return torch.relu(x) - self.weight * torch.relu(-x)


class Exponential(nn.Softsign):
    """`exp(x)`; an activation by type, like all that torch has."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return x.exp()


class TensorFlowGELU(nn.GELU):
    """`gelu` as TensorFlow 2 computes it: the square root of 2 is rounded to float32, also in float64."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return 0.5 * x * (1.0 + torch.erf(x / _SQRT_2_FLOAT32))


class HardSigmoid(nn.Hardsigmoid):
    """Keras 2's `hard_sigmoid`: `0.2 * x + 0.5` cut to 0..1 (Keras 3 and torch use `x / 6 + 0.5`)."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return (0.2 * x + 0.5).clamp(0.0, 1.0)


class TrainingOnly(nn.Dropout):
    """A Keras layer without weights that passes values on as they are: noise outside training, regularization."""

    def __init__(self) -> None:
        super().__init__(0.0)
