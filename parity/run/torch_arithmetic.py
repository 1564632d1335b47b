"""How torch's arithmetic runs: how float64 rounds, set before its first matrix product, and its threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def round_equal_windows_equally() -> None:
    """Let equal windows of an image give equal sums in float64, as they do in TensorFlow.

    torch's float64 convolutions go through MKL, whose fast kernels round the same sum differently at different
    places of an image. Where an image is flat, as a digit's background is, max-pool windows tie exactly, and that
    rounding would decide who wins: gradients at points such as x / 3 move by 0.1 to 0.5 %. MKL's compatible mode
    ends that and is several times slower, so it is for small models. It is read when MKL is first used; a value
    that the user has set stays.
    """
    os.environ.setdefault("MKL_CBWR", "COMPATIBLE")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads meanwhile."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
