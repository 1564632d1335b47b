"""Activations that torch itself lacks, or computes otherwise."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

_SQRT_2_FLOAT32 = float(np.float32(2**0.5))


class BoundedReLU(nn.ReLU6):
    """Keras `ReLU` with a threshold, or with an upper bound other than 6; an activation by type, like `ReLU6`.

    `x` where `threshold <= x < max_value`, `max_value` above, `negative_slope * (x - threshold)` below.
    """

    signxai_operation: ClassVar[str] = "rectifier"

    def __init__(self, max_value: float | None, negative_slope: float, threshold: float) -> None:
        super().__init__()
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        positive = torch.relu(x) if self.threshold == 0 else x * (x > self.threshold).to(x.dtype)
        if self.max_value is not None:
            positive = positive.clamp(max=self.max_value)
        if self.negative_slope == 0:
            return positive
        return positive - self.negative_slope * torch.relu(self.threshold - x)

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"max_value={self.max_value}, negative_slope={self.negative_slope}, threshold={self.threshold}"


class PositionPReLU(nn.PReLU):
    """`PReLU` with a slope per position, or shared over some axes only: `weight` broadcasts over `(N, ...)`."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(N, ...)`."""
        return torch.relu(x) - self.weight * torch.relu(-x)


class Exponential(nn.Softsign):
    """`exp(x)`; an activation by type, like all that torch has."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return x.exp()


class TensorFlowGELU(nn.GELU):
    """`gelu` as TensorFlow 2 computes it: the square root of 2 is rounded to float32, also in float64."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return 0.5 * x * (1.0 + torch.erf(x / _SQRT_2_FLOAT32))


class HardSigmoid(nn.Hardsigmoid):
    """Keras 2's `hard_sigmoid`: `0.2 * x + 0.5` cut to 0..1 (Keras 3 and torch use `x / 6 + 0.5`)."""

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return (0.2 * x + 0.5).clamp(0.0, 1.0)
