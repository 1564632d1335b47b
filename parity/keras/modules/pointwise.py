"""Functions of each value that no layer of Keras computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

POINTWISE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "math.log": torch.log,
    "math.log1p": torch.log1p,
    "math.expm1": torch.expm1,
    "math.sqrt": torch.sqrt,
    "math.rsqrt": torch.rsqrt,
    "math.reciprocal": torch.reciprocal,
    "math.sin": torch.sin,
    "math.cos": torch.cos,
    "math.tan": torch.tan,
    "math.asin": torch.asin,
    "math.acos": torch.acos,
    "math.atan": torch.atan,
    "math.sinh": torch.sinh,
    "math.cosh": torch.cosh,
    "math.asinh": torch.asinh,
    "math.acosh": torch.acosh,
    "math.atanh": torch.atanh,
    "math.erf": torch.erf,
    "math.erfc": torch.erfc,
}
"""By the name that Keras 2.12 writes. It keeps such a function as a layer, which both references call as any other."""


class Pointwise(nn.Module):
    """One function of `POINTWISE`, by its name."""

    signxai_operation: ClassVar[str] = "unchanged"

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return POINTWISE[self.function](x)

    def extra_repr(self) -> str:
        """Show the function in `print(model)`."""
        return self.function
