"""Pooling with TensorFlow's margins, and global pooling."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parity.keras.modules.padding import Margins, pad_argument


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
