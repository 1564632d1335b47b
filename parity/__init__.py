"""The harness that holds PyTorch explanations to their TensorFlow originals.

Importing this package costs nothing: the reference process imports it too, where torch does not exist.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.metrics import compare as compare

__all__ = ["compare"]

# torch's float64 convolutions go through MKL, whose fast kernels round the same sum differently at different
# places of an image. Where an image is flat, max-pool windows tie exactly, and that rounding would decide who
# wins: on a digit's background the gradient moves by 0.1 to 0.5 %. In MKL's compatible mode equal windows give
# equal sums, as they do in TensorFlow. It must be set before MKL is first used.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")


def __getattr__(name: str) -> Any:
    if name == "compare":
        from parity.metrics import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
