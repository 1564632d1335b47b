"""The margins that TensorFlow pads, which may be uneven."""

from __future__ import annotations

Margins = tuple[tuple[int, int], ...]
"""(before, after) per spatial axis, in the order of the axes."""


def pad_argument(margins: Margins) -> list[int]:
    """Return margins in the order of `torch.nn.functional.pad`: last axis first."""
    return [size for pair in reversed(margins) for size in pair]
