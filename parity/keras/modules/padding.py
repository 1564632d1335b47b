"""The margins that TensorFlow pads, which may be uneven, or depend on a size that is open until the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class OpenMargin:
    """The margin of `same` padding on an axis whose size is known only when the model runs.

    Attributes
    ----------
    reach
        How far the window reaches, dilation included.
    stride
        How far it moves.
    """

    reach: int
    stride: int


FixedMargins = tuple[tuple[int, int], ...]
"""(before, after) per spatial axis, in the order of the axes."""
Margins = tuple[tuple[int, int] | OpenMargin, ...]
"""The same, where an axis may be open."""


def same_margin(size: int, reach: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's margin of `same` padding: as small as possible, its odd place at the end."""
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def pad_argument(margins: FixedMargins) -> list[int]:
    """Return margins in the order of `torch.nn.functional.pad`: last axis first."""
    return [size for pair in reversed(margins) for size in pair]


def fixed(margins: Margins, sizes: Sequence[int]) -> FixedMargins:
    """Return the margins around spatial axes of these sizes."""
    return tuple(
        same_margin(size, margin.reach, margin.stride) if isinstance(margin, OpenMargin) else margin
        for margin, size in zip(margins, sizes, strict=True)
    )


def padded(x: Tensor, margins: Margins, value: float = 0.0) -> Tensor:
    """Return `(N, C, *space)` with margins around its spatial axes."""
    return F.pad(x, pad_argument(fixed(margins, x.shape[2:])), value=value)
