"""The linear map of a layer: its output and its transpose for parts of its weights.

LRP rules need ``L(u; A, p)``, the layer without activation applied to some input `u` with a part `A` of its
weights (the positive ones, their squares, ...) and a part `p` of its bias, and the vector-Jacobian product of
that map. `linear_map` gives both for a module; dense layers and convolutions go straight to torch's kernels,
any other module that is linear in its input goes through `torch.func.functional_call` and autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "all": lambda weight: weight,
    "positive": lambda weight: weight.clamp(min=0),
    "negative": lambda weight: weight.clamp(max=0),
    "square": torch.square,
    "ones": torch.ones_like,
    "none": torch.zeros_like,
}
"""How a part of the weights is made from them."""


class LinearMap(Protocol):
    """A layer as a linear map; `part` is a key of `PARTS`."""

    def apply(self, inputs: Tensor, part: str) -> Tensor:
        """Return the map of `inputs` (N, ...) under a part of the weights, without bias."""

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """Return the map of all ones in the shape of `like`, broadcastable to the layer's output."""

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """Return the transposed map of `relevance`, in the shape of the layer's input `like`."""

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """Return the sum of parts of the bias for an input `like`, broadcastable to the output; None if zero."""


def _sum_of_parts(bias: Tensor, parts: Sequence[str]) -> Tensor | None:
    kept = sorted(part for part in parts if part != "none")
    if not kept:
        return None
    if kept == ["negative", "positive"]:
        return bias
    return sum((PARTS[part](bias) for part in kept), torch.zeros_like(bias))


class _Parts:
    """The parts of a weight while a rule runs; the last one made is kept for the next use, and no other."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.made: dict[str, Tensor] = {}

    def __getitem__(self, part: str) -> Tensor:
        if part not in self.made:
            self.made = {part: PARTS[part](self.weight)}  # one extra copy of the weight at a time
        return self.made[part]


class DenseMap:
    """`torch.nn.Linear`."""

    def __init__(self, module: nn.Linear) -> None:
        self.module = module
        self.parts = _Parts(module.weight)

    def apply(self, inputs: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply`."""
        return F.linear(inputs, self.parts[part])

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply_ones`."""
        if part == "ones":
            return like.new_full((1,), self.module.in_features)
        return self.parts[part].sum(dim=1)

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """See `LinearMap.transpose`."""
        if part == "ones":
            return relevance.sum(dim=-1, keepdim=True).expand_as(like)
        return torch.matmul(relevance, self.parts[part])

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """See `LinearMap.bias`."""
        return None if self.module.bias is None else _sum_of_parts(self.module.bias, parts)


class ConvolutionMap:
    """`torch.nn.Conv1d`, `Conv2d` and `Conv3d` with zero padding of equal sides."""

    def __init__(self, module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        self.module = module
        self.dimensions = len(module.kernel_size)
        self.parts = _Parts(module.weight)

    def apply(self, inputs: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply`."""
        return self._convolve(inputs, self.parts[part], self.module.groups)

    def _convolve(self, inputs: Tensor, weight: Tensor, groups: int) -> Tensor:
        m = self.module
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.dimensions - 1]
        return convolve(inputs, weight, None, m.stride, m.padding, m.dilation, groups)  # type: ignore[operator, no-any-return]

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply_ones`.

        All channels and samples of the input are alike, so one channel and the sum of its weights will do; only
        zero padding makes places differ.
        """
        if part == "ones":
            kernel = like.new_full((1, 1, *self.module.kernel_size), self.module.in_channels // self.module.groups)
        else:
            kernel = self.parts[part].sum(dim=1, keepdim=True)
        return self._convolve(like.new_ones((1, 1, *like.shape[2:])), kernel, 1)

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """See `LinearMap.transpose`."""
        groups, channels = self.module.groups, self.module.in_channels
        if part != "ones":
            return self._transpose(relevance, self.parts[part], like, groups)
        # Every input channel of a group gets the same: transpose one channel for the group's summed relevance.
        summed = relevance.unflatten(1, (groups, -1)).sum(dim=2)
        kernel = like.new_ones((groups, 1, *self.module.kernel_size))
        one = self._transpose(summed, kernel, like[:, :: channels // groups], groups)
        return one.repeat_interleave(channels // groups, dim=1) if groups > 1 else one.expand_as(like)

    def _transpose(self, relevance: Tensor, weight: Tensor, like: Tensor, groups: int) -> Tensor:
        m = self.module
        gradients = torch.ops.aten.convolution_backward(
            relevance, like, weight, None, m.stride, m.padding, m.dilation, False, [0] * self.dimensions, groups,
            [True, False, False],
        )  # fmt: skip
        return gradients[0]  # type: ignore[no-any-return]

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """See `LinearMap.bias`."""
        if self.module.bias is None:
            return None
        bias = _sum_of_parts(self.module.bias, parts)
        return None if bias is None else bias.reshape(-1, *[1] * self.dimensions)


class GeneralMap:
    """Any module that is linear in its one input: pooling, sums, separable or asymmetrically padded layers."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def _run(self, inputs: Tensor, part: str, bias: Sequence[str] = ("none",)) -> Tensor:
        parameters = {}
        for name, value in self.module.named_parameters():
            if _is_bias(name):
                total = _sum_of_parts(value, bias)
                parameters[name] = torch.zeros_like(value) if total is None else total
            else:
                parameters[name] = PARTS[part](value)
        # The class's own forward: the hooks on the instance must not run again.
        named = {f"module.{name}": value for name, value in parameters.items()}
        return torch.func.functional_call(_Unhooked(self.module), named, (inputs,))  # type: ignore[no-any-return]

    def apply(self, inputs: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply`."""
        return self._run(inputs, part)

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply_ones`."""
        return self._run(torch.ones_like(like), part)

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """See `LinearMap.transpose`."""
        with torch.enable_grad():
            point = like.detach().requires_grad_()
            return torch.autograd.grad(self._run(point, part), point, relevance)[0]

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """See `LinearMap.bias`."""
        if all(part == "none" for part in parts) or not any(map(_is_bias, dict(self.module.named_parameters()))):
            return None
        return self._run(torch.zeros_like(like), "all", parts)


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2].startswith("bias")


class _Unhooked(nn.Module):
    """Calls a module's `forward` without the hooks registered on it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        return self.module.forward(inputs)  # type: ignore[no-any-return]


def linear_map(module: nn.Module) -> LinearMap:
    """Return the linear map of a layer.

    Parameters
    ----------
    module : torch.nn.Module
        A dense layer, a convolution, or any module that is linear in its one input (up to a parameter whose
        name starts with ``bias``).
    """
    if type(module) is nn.Linear:
        return DenseMap(module)
    if type(module) in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        convolution: nn.Conv2d = module  # type: ignore[assignment]
        if convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str):
            return ConvolutionMap(convolution)
    return GeneralMap(module)
