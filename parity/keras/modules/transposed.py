"""Transposed convolutions with TensorFlow's margins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from parity.keras.modules.padding import FixedMargins, pad_argument

_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


class _CroppedConvTranspose(_ConvTransposeNd):
    """A transposed convolution whose result is cut, or widened by zeros, unevenly; the bias comes after that.

    Parameters
    ----------
    crops
        How many places are cut off before and after, per spatial axis; negative: so many zeros come there.
    *args, **kwargs
        As for torch's transposed convolution, without `padding` and `output_padding`.
    """

    signxai_operation: ClassVar[str] = "conv"

    def __init__(self, crops: FixedMargins, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.crops = crops

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve `(N, C, *space)`."""
        convolve = _TRANSPOSED[x.dim() - 2]
        whole = convolve(x, self.weight, None, self.stride, dilation=self.dilation)
        cut = F.pad(whole, pad_argument(tuple((-before, -after) for before, after in self.crops)))
        return cut if self.bias is None else cut + self.bias.reshape(-1, *[1] * (x.dim() - 2))

    def extra_repr(self) -> str:
        """Add the crops to torch's text."""
        return f"{super().extra_repr()}, crops={self.crops}"


class CroppedConvTranspose1d(_CroppedConvTranspose, nn.ConvTranspose1d):
    """`ConvTranspose1d` that is cut unevenly, over `(N, C, T)`."""


class CroppedConvTranspose2d(_CroppedConvTranspose, nn.ConvTranspose2d):
    """`ConvTranspose2d` that is cut unevenly, over `(N, C, H, W)`."""


class CroppedConvTranspose3d(_CroppedConvTranspose, nn.ConvTranspose3d):
    """`ConvTranspose3d` that is cut unevenly, over `(N, C, D, H, W)`."""
