"""Functions of each value that no layer of Keras computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class _NothingOfNothing(torch.autograd.Function):
    """A function whose derivative follows from its result, and counts for nothing where no gradient arrives.

    TensorFlow has it so for roots and reciprocals: at 0, where the derivative is infinite, the gradient is 0 and not
    "no number" if nothing arrives there, such as behind the standard deviation of equal values.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, function: str) -> Tensor:
        return _OF_RESULTS[function][0](x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.function = inputs[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (y,) = ctx.saved_tensors
        (gradient,) = gradients
        slope = _OF_RESULTS[ctx.function][1](y)
        return torch.where(gradient == 0, torch.zeros_like(gradient), gradient * slope), None


_OF_RESULTS: Mapping[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "sqrt": (torch.sqrt, lambda y: 0.5 / y),
    "rsqrt": (torch.rsqrt, lambda y: -0.5 * y**3),
    "reciprocal": (torch.reciprocal, lambda y: -y * y),
}
"""Functions, and their derivatives by their results."""


class _Stop(torch.autograd.Function):
    """The same values, which hand no gradient on; `detach` would leave the input out of the graph."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return torch.zeros_like(gradients[0])


def _of_result(function: str) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        result: Tensor = _NothingOfNothing.apply(x, function)
        return result

    return apply


POINTWISE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "math.log": torch.log,
    "math.log1p": torch.log1p,
    "math.expm1": torch.expm1,
    "math.sqrt": _of_result("sqrt"),
    "math.rsqrt": _of_result("rsqrt"),
    "math.reciprocal": _of_result("reciprocal"),
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
    "math.sign": torch.sign,
    "math.floor": torch.floor,
    "math.ceil": torch.ceil,
    "math.round": torch.round,
    "stop_gradient": _Stop.apply,
}
"""By the name that Keras 2.12 writes. It keeps such a function as a layer, which both references call as any other."""


SOFTMAX = "nn.softmax"
"""The operation that works along the last axis; Keras 2.12 keeps it as a layer too."""


class OperationSoftmax(nn.Module):
    """A bare softmax inside of a network: to both references a layer like any other without a kernel.

    Parameters
    ----------
    dim
        The axis, batch first.
    """

    signxai_operation: ClassVar[str] = "unchanged"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return x.softmax(self.dim)

    def extra_repr(self) -> str:
        """Show the axis in `print(model)`."""
        return f"dim={self.dim}"


class Pointwise(nn.Module):
    """One function of `POINTWISE`, by its name."""

    signxai_operation: ClassVar[str] = "function"

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return POINTWISE[self.function](x)

    def extra_repr(self) -> str:
        """Show the function in `print(model)`."""
        return self.function
