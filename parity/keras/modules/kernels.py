"""Layers with weights that torch itself lacks.

Where a module only adds TensorFlow's padding to a torch module it is a subclass of it, so that whatever is
attached by module type finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from parity.keras.modules.padding import Margins, padded


class _PaddedConv(_ConvNd):
    """A convolution that pads zeros unevenly (`same` with an even kernel or a stride, or `causal`).

    Parameters
    ----------
    margins
        Zeros before and after, per spatial axis.
    *args, **kwargs
        As for torch's convolution, without `padding`.
    """

    signxai_operation: ClassVar[str] = "conv"

    def __init__(self, margins: Margins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve `(N, C, *space)`."""
        convolved: Tensor = super().forward(padded(x, self.margins))
        return convolved

    def extra_repr(self) -> str:
        """Add the margins to torch's text."""
        return f"{super().extra_repr()}, margins={self.margins}"


class PaddedConv1d(_PaddedConv, nn.Conv1d):
    """`Conv1d` that pads zeros unevenly, over `(N, C, T)`."""


class PaddedConv2d(_PaddedConv, nn.Conv2d):
    """`Conv2d` that pads zeros unevenly, over `(N, C, H, W)`."""


class PaddedConv3d(_PaddedConv, nn.Conv3d):
    """`Conv3d` that pads zeros unevenly, over `(N, C, D, H, W)`."""


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
        wider = padded(x, self.margins)
        depthwise = convolve(wider, self.depthwise_weight, None, self.stride, 0, self.dilation, groups=groups)
        return convolve(depthwise, self.pointwise_weight, self.bias)

    def extra_repr(self) -> str:
        """Show the sizes in `print(model)`."""
        depthwise, pointwise = tuple(self.depthwise_weight.shape), tuple(self.pointwise_weight.shape)
        return f"{depthwise}, {pointwise}, stride={self.stride}, dilation={self.dilation}, margins={self.margins}"


class ChannelLinear(nn.Linear):
    """Keras `Dense` on more than one axis: the linear map acts on the channels of every position.

    It is one layer, axes moved and all, so that an activation behind it is known to be behind a kernel (deep Taylor).
    """

    signxai_operation: ClassVar[str] = "dense"

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, ...)` to `(N, units, ...)`."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)
