"""Tokens and masks: what looks vectors up, and what says which steps of a sequence count."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class TokenEmbedding(nn.Embedding):
    """Keras `Embedding`: a vector per token; tokens arrive as numbers and are cut to whole ones, as Keras does."""

    signxai_operation: ClassVar[str] = "embedding"

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens `(N, T)` to `(N, D, T)`.

        Raises
        ------
        IndexError
            If a token has no vector.
        """
        tokens = x.long()
        wrong = tokens[(tokens < 0) | (tokens >= self.num_embeddings)]
        if len(wrong):
            raise IndexError(
                f"token {int(wrong[0])} has no vector in this embedding of {self.num_embeddings}: "
                f"tokens go from 0 to {self.num_embeddings - 1}"
            )
        tokens = tokens.movedim(1, -1) if tokens.dim() > 2 else tokens
        return super().forward(tokens).movedim(-1, 1)


class TokenMask(nn.Module):
    """The mask of `Embedding(mask_zero=True)`: steps of another token than 0 count."""

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens `(N, T)` to a mask of their shape."""
        return x.ne(0)


class Masking(nn.Module):
    """Keras `Masking`: steps that hold one value throughout become zeros.

    Parameters
    ----------
    value
        That value.
    """

    signxai_operation: ClassVar[str] = "unchanged"

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Mask `(N, C, T)`."""
        return x * x.ne(self.value).any(1, keepdim=True).to(x.dtype)

    def extra_repr(self) -> str:
        """Show the value in `print(model)`."""
        return f"value={self.value}"


class StepMask(nn.Module):
    """The mask of `Masking`: steps that hold another value somewhere count."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, T)` to `(N, T)`."""
        return x.ne(self.value).any(1)


class MaskOfAll(nn.Module):
    """The mask of a layer that reads several masked tensors: what counts in all of them."""

    def forward(self, *masks: Tensor) -> Tensor:
        """Join masks `(N, T)`."""
        return torch.stack(masks).all(0)


class MaskedAveragePool1d(nn.Module):
    """`GlobalAveragePooling1D` of a masked sequence: the mean of the steps that count.

    Parameters
    ----------
    keep_axes
        Whether the time axis stays, with size 1.
    """

    signxai_operation: ClassVar[str] = "average"

    def __init__(self, keep_axes: bool) -> None:
        super().__init__()
        self.keep_axes = keep_axes

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Average `(N, C, T)` over the steps that are on in `(N, T)`."""
        counts = mask.to(x.dtype)[:, None]
        return (x * counts).sum(2, keepdim=self.keep_axes) / counts.sum(2, keepdim=self.keep_axes)
