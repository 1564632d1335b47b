"""The linear map of a layer: its output and its transpose for parts of its weights.

LRP rules need ``L(u; A, p)``, the layer without activation applied to some input `u` with a part `A` of its
weights (the positive ones, their squares, ...) and a part `p` of its bias, and the vector-Jacobian product of
that map. `linear_map` gives both for an operation, whose weight is the *effective* one: what the function was called
with, whatever the model made it from. Dense layers and convolutions go straight to torch's kernels, other functions and
modules that are declared to be one layer through autograd.

Parts of weights are made anew in every call and never kept between calls: dense layers make them block by block of
rows into one small piece of memory, convolutions hold the last part of one layer while its rule runs. So no copy of
the weights stays in memory, and none can go stale when a model is trained on or its weights are replaced. What it
costs to make them is part of what `make bench` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from signxai_torch.operations.kind import Kind
from signxai_torch.operations.operation import (
    Operation,
    Place,
    filled,
    is_plain_convolution,
    memory_format,
    sizes_of,
)

PARTS: dict[str, Callable[..., Tensor]] = {
    "all": lambda weight, out=None: weight,
    "positive": lambda weight, out=None: torch.clamp(weight, min=0, out=out),
    "negative": lambda weight, out=None: torch.clamp(weight, max=0, out=out),
    "square": lambda weight, out=None: torch.square(weight, out=out),
    "ones": lambda weight, out=None: torch.ones_like(weight),
    "none": lambda weight, out=None: torch.zeros_like(weight),
}
"""How a part of the weights is made from them; `out` is memory that may be used for it."""


Division = Callable[[Tensor, Tensor], Tensor]


class LinearMap(Protocol):
    """A layer as a linear map; `part` is a key of `PARTS`."""

    def apply(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        """Return the map of `inputs` (N, ...) under a part of the weights, with parts of the bias."""

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """Return the map of all ones in the shape of `like`, broadcastable to the layer's output."""

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """Return the transposed map of `relevance`, in the shape of the layer's input `like`.

        The result may be an expanded tensor: several places of it may share memory.
        """

    def spread(self, relevance: Tensor, part: str, like: Tensor, divide: Division) -> Tensor:
        """Return the transposed map of ``divide(relevance, apply_ones)``; the two may share the making of the part."""

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
        self.made: dict[tuple[str, torch.memory_format], Tensor] = {}

    def get(self, part: str, like: Tensor) -> Tensor:
        """Return a part in the memory format of the tensor it will meet, or every convolution would reorder it."""
        wanted = memory_format(like)
        if (part, wanted) not in self.made:
            memory = None if part == "all" else torch.empty_like(self.weight, memory_format=wanted)
            made = PARTS[part](self.weight, out=memory).contiguous(memory_format=wanted)
            self.made = {(part, wanted): made}  # one extra copy of the weight at a time
        return self.made[part, wanted]


BLOCK = 2**20
"""How many weights of a dense layer become a part at once: few enough to stay near the processor."""


class DenseMap:
    """`torch.nn.functional.linear`.

    Parts of its weights are made block by block of rows and never held as a whole: the weights of a dense layer are
    read once from memory as it is, and a copy of them would cost more than the product.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self._bias = weight, bias

    def _blocks(self, part: str) -> Iterator[tuple[slice, Tensor]]:
        weight = self.weight
        rows = len(weight) if part == "all" else min(max(1, BLOCK // weight.shape[1]), len(weight))
        memory = weight.new_empty(0 if part == "all" else (rows, weight.shape[1]))
        for first in range(0, len(weight), rows):
            block = slice(first, min(first + rows, len(weight)))
            yield block, PARTS[part](weight[block], out=memory[: block.stop - first])

    def apply(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        """See `LinearMap.apply`."""
        added = self.bias(bias, inputs)
        outputs = [F.linear(inputs, weight, added if len(weight) == len(self.weight) else None)
                   for _, weight in self._blocks(part)]  # fmt: skip
        if len(outputs) == 1:
            return outputs[0]
        joined = torch.cat(outputs, dim=-1)
        return joined if added is None else joined.add_(added)

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply_ones`."""
        if part == "ones":
            return like.new_full((1,), self.weight.shape[1])
        return torch.cat([weight.sum(dim=1) for _, weight in self._blocks(part)])

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """See `LinearMap.transpose`."""
        if part == "ones":
            return relevance.sum(dim=-1, keepdim=True).expand_as(like)
        return self._collect(relevance, part, like, lambda values, weight: values)

    def spread(self, relevance: Tensor, part: str, like: Tensor, divide: Division) -> Tensor:
        """See `LinearMap.spread`."""
        if part == "ones":
            return self.transpose(divide(relevance, self.apply_ones(like, part)), part, like)
        return self._collect(relevance, part, like, lambda values, weight: divide(values, weight.sum(dim=1)))

    def _collect(self, relevance: Tensor, part: str, like: Tensor, prepare: Division) -> Tensor:
        """Return the transposed map of what `prepare` makes of the relevance of each block and its weights."""
        flat = relevance.reshape(-1, relevance.shape[-1])
        total: Tensor | None = None
        for block, weight in self._blocks(part):
            values = prepare(flat[:, block], weight)
            total = values @ weight if total is None else total.addmm_(values, weight)
        assert total is not None
        return total.reshape(like.shape)

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """See `LinearMap.bias`."""
        return None if self._bias is None else _sum_of_parts(self._bias, parts)


class ConvolutionMap:
    """`conv1d`, `conv2d` and `conv3d` with zero padding of equal sides."""

    def __init__(self, operation: Operation) -> None:
        weight: Tensor = operation.argument("weight")
        self.dimensions = weight.dim() - 2
        self.groups: int = operation.argument("groups", 1)
        self.stride, self.padding, self.dilation = (
            sizes_of(operation, name, self.dimensions) for name in ("stride", "padding", "dilation")
        )
        self.kernel_size, self.in_channels = weight.shape[2:], weight.shape[1] * self.groups
        self.parts, self._bias = _Parts(weight), operation.argument("bias")

    def apply(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        """See `LinearMap.apply`."""
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.dimensions - 1]
        added = None if self._bias is None else _sum_of_parts(self._bias, bias)
        return convolve(
            inputs, self.parts.get(part, inputs), added, self.stride, self.padding, self.dilation, self.groups
        )  # type: ignore[operator, no-any-return]

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply_ones`.

        All channels and samples of the input are alike, so the sum of the weights over them will do; only zero
        padding makes places differ, and it does so along each axis for itself.
        """
        if part == "ones":
            response = like.new_full((1, *self.kernel_size), self.in_channels // self.groups)
        else:
            response = self.parts.get(part, like).sum(dim=1)
        for axis in reversed(range(self.dimensions)):  # the channel ends up last
            response = torch.tensordot(self._inside(axis, like), response, dims=([1], [-1]))
        return response.movedim(-1, 0).unsqueeze(0).contiguous(memory_format=memory_format(like))

    def spread(self, relevance: Tensor, part: str, like: Tensor, divide: Division) -> Tensor:
        """See `LinearMap.spread`."""
        return self.transpose(divide(relevance, self.apply_ones(like, part)), part, like)

    def _inside(self, axis: int, like: Tensor) -> Tensor:
        """Return 1 where a tap of the kernel lies on the input, 0 where it lies on the padding: (outputs, taps)."""
        size = like.shape[2 + axis]
        kernel, stride, padding, dilation = (
            int(one[axis]) for one in (self.kernel_size, self.stride, self.padding, self.dilation)
        )
        outputs = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        first = torch.arange(outputs, device=like.device).unsqueeze(1) * stride - padding
        position = first + torch.arange(kernel, device=like.device) * dilation
        return ((position >= 0) & (position < size)).to(like.dtype)

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """See `LinearMap.transpose`."""
        groups, channels = self.groups, self.in_channels
        if part != "ones":
            return self._transpose(relevance, self.parts.get(part, like), like, groups)
        # Every input channel of a group gets the same: transpose one channel for the group's summed relevance.
        summed = relevance.unflatten(1, (groups, -1)).sum(dim=2)
        kernel = like.new_ones((groups, 1, *self.kernel_size))
        one = self._transpose(summed, kernel, like[:, :: channels // groups], groups)
        return one.repeat_interleave(channels // groups, dim=1) if groups > 1 else one.expand_as(like)

    def _transpose(self, relevance: Tensor, weight: Tensor, like: Tensor, groups: int) -> Tensor:
        gradients = torch.ops.aten.convolution_backward(
            relevance, like, weight, None, self.stride, self.padding, self.dilation, False, [0] * self.dimensions,
            groups, [True, False, False],
        )  # fmt: skip
        return gradients[0]  # type: ignore[no-any-return]

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """See `LinearMap.bias`."""
        if self._bias is None:
            return None
        bias = _sum_of_parts(self._bias, parts)
        return None if bias is None else bias.reshape(-1, *[1] * self.dimensions)


class _AutogradMap:
    """A map whose transpose autograd takes."""

    def _run(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        raise NotImplementedError

    def apply(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        """See `LinearMap.apply`."""
        return self._run(inputs, part, bias)

    def apply_ones(self, like: Tensor, part: str) -> Tensor:
        """See `LinearMap.apply_ones`."""
        return self._run(torch.ones_like(like), part)

    def transpose(self, relevance: Tensor, part: str, like: Tensor) -> Tensor:
        """See `LinearMap.transpose`."""
        with torch.enable_grad():
            point = like.detach().requires_grad_()
            return torch.autograd.grad(self._run(point, part), point, relevance)[0]

    def spread(self, relevance: Tensor, part: str, like: Tensor, divide: Division) -> Tensor:
        """See `LinearMap.spread`."""
        return self.transpose(divide(relevance, self.apply_ones(like, part)), part, like)


class FunctionMap(_AutogradMap):
    """A function of an input and constants, linear in the input: transposed convolutions, products with a constant."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self.weight_place, self.weight = _weight_of(operation)
        self._bias: Tensor | None = operation.argument("bias")
        self._bias_place = (
            operation.function.parameters.index("bias") if "bias" in operation.function.parameters else -1
        )

    def _run(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        changed: dict[Any, Any] = {self.weight_place: PARTS[part](self.weight)}
        if self._bias is not None:
            total = _sum_of_parts(self._bias, bias)
            place = "bias" if "bias" in self.operation.keywords else self._bias_place
            changed[place] = torch.zeros_like(self._bias) if total is None else total
        arguments, keywords = filled(
            self.operation.arguments, self.operation.keywords, (*self.operation.places, *changed),
            (inputs, *changed.values()),
        )  # fmt: skip
        return self.operation.call(*arguments, **keywords)  # type: ignore[no-any-return]

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """See `LinearMap.bias`."""
        if self._bias is None or all(part == "none" for part in parts):
            return None
        return self._run(torch.zeros_like(like), "none", parts)


def _weight_of(operation: Operation) -> tuple[Place, Tensor]:
    """Return the constant that an operation multiplies its input by, and where it stands."""
    if "weight" in operation.function.parameters:
        by_name = "weight" in operation.keywords
        return ("weight" if by_name else operation.function.parameters.index("weight")), operation.argument("weight")
    standing: list[tuple[int | str, Any]] = [*enumerate(operation.arguments), *operation.keywords.items()]
    for place, one in standing:
        if isinstance(one, Tensor):
            return place, one
        if isinstance(one, (list, tuple)):
            for index, inner in enumerate(one):
                if isinstance(inner, Tensor):
                    return (place, index), inner
    raise TypeError(f"{operation} multiplies by no constant")


class ModuleMap(_AutogradMap):
    """A module that is declared to be one kernel layer: separable or asymmetrically padded convolutions."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def _run(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        parameters = {}
        for name, value in self.module.named_parameters():
            if _is_bias(name):
                total = _sum_of_parts(value, bias)
                parameters[name] = torch.zeros_like(value) if total is None else total
            else:
                parameters[name] = PARTS[part](value)
        return torch.func.functional_call(self.module, parameters, (inputs,))  # type: ignore[no-any-return]

    def apply(self, inputs: Tensor, part: str, bias: Sequence[str] = ()) -> Tensor:
        """See `LinearMap.apply`; what a bias inside of the module adds goes through its weights as they are."""
        image, added = self._run(inputs, part), self.bias(bias, inputs)
        return image if added is None else image + added

    def bias(self, parts: Sequence[str], like: Tensor) -> Tensor | None:
        """See `LinearMap.bias`."""
        if all(part == "none" for part in parts) or not any(map(_is_bias, dict(self.module.named_parameters()))):
            return None
        return self._run(torch.zeros_like(like), "all", parts)


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2].startswith("bias")


def linear_map(operation: Operation) -> LinearMap:
    """Return the linear map of an operation that has weights.

    Parameters
    ----------
    operation : Operation
        Of one of the kinds in `signxai_torch.operations.kind.KERNELS`.
    """
    if operation.declared is not None:
        return ModuleMap(operation.declared)
    if operation.function.name == "linear":
        return DenseMap(operation.argument("weight"), operation.argument("bias"))
    if operation.kind is Kind.CONVOLUTION and is_plain_convolution(operation):
        return ConvolutionMap(operation)
    return FunctionMap(operation)
