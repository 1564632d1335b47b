"""What moves, cuts, joins or passes values on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parity.keras.modules.padding import FixedMargins


class Crop(nn.Module):
    """Cut margins off the spatial axes."""

    def __init__(self, margins: FixedMargins) -> None:
        super().__init__()
        self.margins = margins

    def forward(self, x: Tensor) -> Tensor:
        """Crop `(N, C, *space)`."""
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


class TrainingOnly(nn.Dropout):
    """A Keras layer without weights that passes values on as they are: noise outside training, regularization."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Repeat(nn.Module):
    """Repeat each value along the spatial axes: upsampling to the nearest.

    Parameters
    ----------
    sizes
        How often, per spatial axis.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Repeat the values of `(N, C, *space)`."""
        for axis, size in enumerate(self.sizes, start=2):
            x = x.repeat_interleave(size, axis)
        return x

    def extra_repr(self) -> str:
        """Show the sizes in `print(model)`."""
        return f"sizes={self.sizes}"


class RepeatVector(nn.Module):
    """Features as a series that does not change: `(N, F)` to `(N, F, T)`.

    Parameters
    ----------
    count
        The length of the series.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Repeat `(N, F)`."""
        return x.unsqueeze(-1).repeat(1, 1, self.count)

    def extra_repr(self) -> str:
        """Show the length in `print(model)`."""
        return f"count={self.count}"


class Bilinear(nn.Module):
    """Upsampling of images by linear interpolation between the centres of pixels.

    Parameters
    ----------
    sizes
        Factors of height and width.
    """

    signxai_operation: ClassVar[str] = "derivative"

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Resize `(N, C, H, W)`."""
        size = [side * factor for side, factor in zip(x.shape[2:], self.sizes, strict=True)]
        return F.interpolate(x, size, mode="bilinear", align_corners=False)

    def extra_repr(self) -> str:
        """Show the factors in `print(model)`."""
        return f"sizes={self.sizes}"
