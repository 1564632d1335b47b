"""What moves, cuts, joins or passes values on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
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
