"""Convolutions whose kernel is another at each place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from parity.keras.modules.padding import FixedMargins, padded


class LocallyConnected(nn.Module):
    """A convolution that shares no weights between places: one linear layer.

    Parameters
    ----------
    weight
        `(places, filters, channels, window)`: places of the output and of the window in row-major order.
    bias
        `(filters, *space)` of the output, or None.
    kernel, stride, output
        Sizes per spatial axis.
    margins
        Zeros before and after, per spatial axis.
    """

    signxai_operation: ClassVar[str] = "conv"

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        kernel: Sequence[int],
        stride: Sequence[int],
        output: Sequence[int],
        margins: FixedMargins,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.kernel, self.stride, self.output = tuple(kernel), tuple(stride), tuple(output)
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, *space)`."""
        windows = padded(x, self.margins)
        for axis, (size, step) in enumerate(zip(self.kernel, self.stride, strict=True), start=2):
            windows = windows.unfold(axis, size, step)
        places, _, channels, window = self.weight.shape
        windows = windows.reshape(len(x), channels, places, window)
        mapped = torch.einsum("ncpk,pfck->nfp", windows, self.weight)
        mapped = mapped.reshape(len(x), -1, *self.output)
        return mapped if self.bias is None else mapped + self.bias

    def extra_repr(self) -> str:
        """Show the sizes in `print(model)`."""
        return f"{tuple(self.weight.shape)}, kernel={self.kernel}, stride={self.stride}, margins={self.margins}"
