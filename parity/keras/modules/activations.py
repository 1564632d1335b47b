"""Activations that torch itself lacks, or computes otherwise."""

from __future__ import annotations

from typing import Any, ClassVar

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

    signxai_operation: ClassVar[str] = "rectifier"

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
    """`gelu` as TensorFlow computes it: the square root of 2 is rounded to float32, also in float64.

    A file of Keras 3 does not say on what it was trained; the references compute with TensorFlow.
    """

    signxai_operation: ClassVar[str] = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return 0.5 * x * (1.0 + torch.erf(x / _SQRT_2_FLOAT32))


class LogSoftmax(nn.LogSoftmax):
    """`log_softmax`, through which SIGN-XAI hands relevance on as through every activation but a softmax."""

    signxai_operation: ClassVar[str] = "unchanged"


class Sigmoid(nn.Sigmoid):
    """`sigmoid` to half a last digit, as TensorFlow's is near 1; torch's is up to one and a half digits off there.

    Both take the gradient from the output, `y * (1 - y)`. At `x = 17.5` one last digit of `y` in float64 is 4e-9 of
    `1 - y`, and so of a whole map; in float32 it is 0.1 % at `x = 10`.
    """

    signxai_operation: ClassVar[str] = "gate"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        result: Tensor = _ExactSigmoid.apply(x)
        return result


class _ExactSigmoid(torch.autograd.Function):
    """The smaller of the two ends has all its digits; the larger is what it leaves to 1."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        smaller = torch.sigmoid(-x.abs())
        return torch.where(x < 0, smaller, 1 - smaller)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        gradient: Tensor = gradients[0] * y * (1 - y)
        return gradient


class Tanh(nn.Tanh):
    """`tanh` to half a last digit beyond 3, as TensorFlow's is in float64; torch's is up to 0.53 digits off there.

    Both take the gradient from the output, `1 - y * y`: at `x = 7.6` one last digit of `y` in float64 is 2e-10 of it.
    """

    signxai_operation: ClassVar[str] = "gate"

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        result: Tensor = _ExactTanh.apply(x)
        return result


class _ExactTanh(torch.autograd.Function):
    """Far from 0 the result is what a small number, of which a last digit does not matter, leaves to 1."""

    generate_vmap_rule = True
    far = 3.0

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        size = x.abs()
        rest = 1 - 2 / (torch.exp(2 * size) + 1)
        return torch.where(size > _ExactTanh.far, torch.copysign(rest, x), torch.tanh(x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        gradient: Tensor = gradients[0] * (1 - y * y)
        return gradient


class HardSigmoid(nn.Hardsigmoid):
    """Keras' `hard_sigmoid`: `slope * x + 0.5` cut to 0..1; the slope is 0.2 in Keras 2 and 1 / 6 in Keras 3.

    So is torch's own function, but in float64 the derivative that torch gives of it is 1 / 6 of float32.
    """

    signxai_operation: ClassVar[str] = "gate"

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return (self.slope * x + 0.5).clamp(0.0, 1.0)
