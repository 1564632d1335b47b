"""One operation of a forward pass, as rules see it: what it read, what it made, and how to run it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor

from signxai_torch.operations.cached import cached_property
from signxai_torch.operations.kind import KERNELS, ROWS, Function, Kind
from signxai_torch.operations.refusal import UnhookedOperationError


@dataclass(eq=False, slots=True)
class Memory:
    """What tensors share that lie in one piece of memory.

    Attributes
    ----------
    overwritten : str
        Where the model changed it through one of them, which leaves the others behind; empty if it did not.
    shared : bool
        Whether more than one tensor lies there.
    """

    overwritten: str = ""
    shared: bool = False


@dataclass(eq=False, repr=False, slots=True)
class Value:
    """A tensor of the forward pass that depends on the model's input.

    Attributes
    ----------
    maker : Operation or None
        The operation that made it; None for the model's input.
    index : int
        Which of that operation's results it is.
    memory : Memory
        What it shares with its views.
    sees_input : bool
        Whether it is the model's input, up to reshaping, permuting and zero padding.
    cut : str
        Why no gradient goes through it (`detach`, `no_grad`) and where, empty if one does.
    kept : torch.Tensor or None
        Its values, where a rule needs them.
    version : int
        How often they had been changed in place when they were kept.
    """

    maker: Operation | None
    index: int = 0
    memory: Memory = field(default_factory=Memory)
    sees_input: bool = False
    cut: str = ""
    kept: Tensor | None = None
    version: int = 0

    def keep(self, tensor: Tensor) -> None:
        """Keep the values, unless they are a ReLU's of values that are kept: those are made again when needed."""
        if self.kept is None and not self._is_made_again:
            self.kept, self.version = tensor, tensor._version

    @property
    def _is_made_again(self) -> bool:
        maker = self.maker
        return maker is not None and maker.function.name == "relu" and maker.sources[0].kept is not None

    @property
    def tensor(self) -> Tensor:
        """The values."""
        if self.kept is not None:
            if self.kept._version != self.version:
                raise RuntimeError(
                    f"what {self.maker or 'the model'} computed was changed in place by code that is not torch's own "
                    "(TorchScript, an autograd.Function); rules need it as it was"
                )
            return self.kept
        assert self.maker is not None, "the values of the model's input are always kept"
        if self.maker.function.name == "relu":
            return self.maker.sources[0].tensor.relu()
        raise RuntimeError(f"nobody kept what {self.maker} made")


Place = int | str | tuple[int | str, int]
"""Where an argument stands: by place or by name, or inside of a list that stands there."""


@dataclass(eq=False, repr=False)
class Operation:
    """One call of a function, or of a module that is declared to be one layer.

    Attributes
    ----------
    function : Function
        What the table says of it.
    kind : Kind
        What it is to the rules here: a product with a constant is a scale.
    call : callable
        The function itself.
    arguments, keywords : tuple, dict
        What it was called with; tensors that depend on the input stand as None.
    places : tuple
        Where those stood.
    sources : tuple of Value
        What they were, in that order.
    results : tuple of Value
        What it made.
    module : str
        The path of the module in whose forward it was called.
    unit : int
        The number of the call of the innermost module without children, or of the operation itself outside of such.
    where : str
        The user's file and line, where somebody asked for it while it ran.
    cut : str
        Where the gradient of another argument was cut, empty if it was not.
    masked : bool
        Whether an argument is a mask made by comparing values that depend on the input.
    extra : torch.Tensor or None
        What its gradient needs besides: the places of the maxima of max-pooling.
    memory_format : torch.memory_format
        That of what it read.
    graph : tuple, optional
        Its result and inputs in autograd's graph, where the operation itself was out of sight.
    """

    function: Function
    kind: Kind
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    places: tuple[Place, ...]
    sources: tuple[Value, ...]
    shapes: tuple[torch.Size, ...] = ()
    results: tuple[Value, ...] = ()
    shape: tuple[int, ...] = ()
    module: str = ""
    module_type: str = ""
    declared: Any = None
    unit: int = 0
    where: str = ""
    cut: str = ""
    masked: bool = False
    extra: Tensor | None = None
    memory_format: torch.memory_format = torch.contiguous_format
    graph: tuple[Tensor, tuple[Tensor, ...]] | None = None

    def __str__(self) -> str:
        name = self.module_type if self.declared is not None else self.function.name or _name_of(self.call)
        return f"{name} in {self.module or 'the model'}{f' ({self.where})' if self.where else ''}"

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What it read that depends on the model's input."""
        return tuple(source.tensor for source in self.sources)

    @property
    def output(self) -> Tensor:
        """What it made; made again if nobody kept it."""
        result = self.results[0]
        if result.kept is not None or self.function.name == "relu":
            return result.tensor
        return first_tensor(self.run(*self.inputs))

    @property
    def sees_input(self) -> bool:
        """Whether it reads the model's input, up to reshaping, permuting and zero padding."""
        return self.sources[0].sees_input

    @cached_property
    def keeps_shape(self) -> bool:
        """Whether it made a tensor of the shape of what it read."""
        return self.shapes[0] == self.shape

    def argument(self, name: str, default: Any = None) -> Any:
        """Return an argument by its name in the table; a tensor that depends on the input is None."""
        if name in self.keywords:
            return self.keywords[name]
        names = self.function.parameters
        place = names.index(name) if name in names else len(self.arguments)
        return self.arguments[place] if place < len(self.arguments) else default

    def run(self, *inputs: Tensor) -> Any:
        """Run it again on other tensors, all else being the same."""
        arguments, keywords = filled(self.arguments, self.keywords, self.places, inputs)
        return self.call(*arguments, **keywords)

    def gradient(self, arriving: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        """Return the vector-Jacobian product for each input; None where an input has no part in it.

        Parameters
        ----------
        arriving : sequence of torch.Tensor or None
            One per result.
        """
        if self.graph is not None:
            return torch.autograd.grad(self.graph[0], self.graph[1], arriving[0], retain_graph=True)
        if self.quick is not None and arriving[0] is not None:
            return self.quick(self, arriving[0])
        return self.gradient_at(self.inputs, arriving)

    @cached_property
    def quick(self) -> Quick | None:
        """How its gradient is taken without running it again, None where it must be."""
        row = _QUICK.get(self.function.name) if self.declared is None else None
        return row.gradient if row is not None and row.applies(self) else None

    @property
    def gradient_needs_inputs(self) -> bool:
        """Whether the gradient needs what it read."""
        if self.graph is not None:
            return False
        return self.quick is None or _QUICK[self.function.name].needs_inputs

    def like_input(self, arriving: Tensor) -> Tensor:
        """Return a tensor in the shape and memory format of what it read; its values mean nothing."""
        return torch.empty(
            self.shapes[0], dtype=arriving.dtype, device=arriving.device, memory_format=self.memory_format
        )

    def gradient_at(self, inputs: Sequence[Tensor], arriving: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        """Return the vector-Jacobian product at other inputs."""
        if not inputs[0].is_floating_point():
            return self._gradient_of_tokens(inputs, arriving)
        with torch.enable_grad():
            points = [one.detach().requires_grad_() for one in inputs]
            # A function that changes its argument is handed one that may be changed.
            made = list(tensors_of(self.run(*[point.view_as(point) for point in points])))
        if not made and self.kind is Kind.MOVE and arriving[0] is not None:  # cast to whole numbers
            return (arriving[0],)
        pairs = [(one, given) for one, given in zip(made, arriving, strict=False) if given is not None]
        outputs = [one for one, _ in pairs if one.requires_grad]
        given = [values for one, values in pairs if one.requires_grad]
        found = torch.autograd.grad(outputs, points, given, allow_unused=True) if outputs else (None,) * len(points)
        if self.kind is Kind.UNKNOWN and all(one is None for one in found):
            raise UnhookedOperationError(
                f"the model computes {self}, which has no gradient (a quantised layer has none); use the model that it "
                "was made from"
            )
        return found

    def _gradient_of_tokens(
        self, inputs: Sequence[Tensor], arriving: Sequence[Tensor | None]
    ) -> tuple[Tensor | None, ...]:
        """Return what arrives at tokens, moved back to where they were: numbers that stand for them are moved along."""
        like = next(one for one in arriving if one is not None)
        with torch.enable_grad():
            points = [
                torch.zeros(one.shape, dtype=like.dtype, device=like.device, requires_grad=True) for one in inputs
            ]
            made = list(tensors_of(self.run(*points)))
        if not made:  # another type of whole numbers
            return (like,)
        pairs = [(one, given) for one, given in zip(made, arriving, strict=True) if given is not None]
        return torch.autograd.grad([one for one, _ in pairs], points, [given for _, given in pairs], allow_unused=True)


def _name_of(call: Callable[..., Any]) -> str:
    return str(getattr(call, "__name__", call))


def tensors_of(made: Any) -> Iterator[Tensor]:
    """Yield the floating point tensors of what a function returned, in order."""
    if isinstance(made, Tensor):
        if made.is_floating_point():
            yield made
    elif isinstance(made, (tuple, list)):
        for one in made:
            yield from tensors_of(one)


def first_tensor(made: Any) -> Tensor:
    """Return the first floating point tensor of what a function returned."""
    return next(tensors_of(made))


def filled(
    arguments: tuple[Any, ...], keywords: dict[str, Any], places: Sequence[Place], tensors: Sequence[Tensor]
) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments with tensors put where places say."""
    by_place, by_name = list(arguments), dict(keywords)
    for place, tensor in zip(places, tensors, strict=True):
        outer, inner = place if isinstance(place, tuple) else (place, None)
        holder: Any = by_name if isinstance(outer, str) else by_place
        if inner is None:
            holder[outer] = tensor
        else:
            holder[outer] = [*holder[outer][:inner], tensor, *holder[outer][inner + 1 :]]
    return by_place, by_name


def memory_format(x: Tensor) -> torch.memory_format:
    """Return `torch.channels_last` for pictures stored so, else `torch.contiguous_format`."""
    pictures = len("NCHW") == x.dim()
    if pictures and x.is_contiguous(memory_format=torch.channels_last):
        # Of one channel both are the same memory. Convolutions go by the strides: with the channels last theirs is 1.
        one_channel = x.shape[1] == 1 and x.shape[2:].numel() > 1
        if not x.is_contiguous() or (one_channel and x.stride(1) == 1):
            return torch.channels_last
    return torch.contiguous_format


Quick = Callable[[Operation, Tensor], tuple[Tensor | None, ...]]


@dataclass(frozen=True)
class _Gradient:
    """A vector-Jacobian product that needs no second run of the function, and where it holds."""

    gradient: Quick
    applies: Callable[[Operation], bool] = lambda operation: True
    needs_inputs: bool = False


def _linear(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    return (arriving @ operation.argument("weight"),)


def _convolution(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    axes = operation.argument("weight").dim() - 2
    stride, padding, dilation = (sizes_of(operation, name, axes) for name in ("stride", "padding", "dilation"))
    gradients = torch.ops.aten.convolution_backward(
        arriving, operation.like_input(arriving), operation.argument("weight"), None, stride, padding, dilation, False,
        [0] * axes, operation.argument("groups", 1), [True, False, False],
    )  # fmt: skip
    return (gradients[0],)


def is_plain_convolution(operation: Operation) -> bool:
    """Return whether an operation is a convolution of a batch with as many zeros on both sides of an axis."""
    weight = operation.argument("weight")
    return (
        operation.declared is None
        and operation.function.name in ("conv1d", "conv2d", "conv3d")
        and isinstance(weight, Tensor)
        and len(operation.shapes[0]) == weight.dim()
        and not isinstance(operation.argument("padding", 0), str)
    )


def sizes_of(operation: Operation, name: str, axes: int) -> list[int]:
    """Return a convolution's stride, padding or dilation, one number per axis."""
    given = operation.argument(name, 0 if name == "padding" else 1)
    sizes = [int(one) for one in given] if isinstance(given, (tuple, list)) else [int(given)]
    return sizes * axes if len(sizes) == 1 else sizes


def _relu(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    return (torch.ops.aten.threshold_backward(arriving, operation.inputs[0], 0),)


def _reshaped(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    return (arriving.reshape(operation.shapes[0]),)


def _concatenated(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    dim = operation.keywords.get("dim", operation.arguments[1] if len(operation.arguments) > 1 else 0)
    return torch.split(arriving, [shape[dim] for shape in operation.shapes], dim)


def _joins_live_tensors(operation: Operation) -> bool:
    joined = operation.arguments[0] if operation.arguments else ()
    return len(joined) == len(operation.sources) and operation.keywords.keys() <= {"dim"}


def _sum(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    return tuple(arriving.sum_to_size(shape) for shape in operation.shapes)


def _max_pooled(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    *sizes, ceil_mode = _pool(operation)
    return (
        torch.ops.aten.max_pool2d_with_indices_backward(
            arriving, operation.like_input(arriving), *map(_pair, sizes), ceil_mode, operation.extra
        ),
    )


def _max_pooled_sequence(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    kernel, stride, padding, dilation, ceil_mode = _pool(operation)
    assert operation.extra is not None
    flat = torch.ops.aten.max_pool2d_with_indices_backward(
        arriving.unsqueeze(-2), operation.like_input(arriving).unsqueeze(-2), [1, _first(kernel)], [1, _first(stride)],
        [0, _first(padding)], [1, _first(dilation)], ceil_mode, operation.extra.unsqueeze(-2),
    )  # fmt: skip
    return (flat.squeeze(-2),)


def _pool(operation: Operation) -> tuple[Any, Any, Any, Any, bool]:
    """Return the kernel, stride, padding, dilation and ceil_mode of a max-pooling."""
    kernel, stride, padding = (operation.argument(name) for name in ("kernel_size", "stride", "padding"))
    dilation = operation.keywords.get("dilation", _at(operation.arguments, 4, 1))
    ceil_mode = operation.keywords.get("ceil_mode", _at(operation.arguments, 5, False))
    return kernel, stride or kernel, padding or 0, dilation, ceil_mode


def _first(given: Any) -> int:
    return int(given[0] if isinstance(given, (tuple, list)) else given)


def _averaged(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    return ((arriving / prod(operation.shapes[0][2:])).expand(operation.shapes[0]),)


def _averages_whole_maps(operation: Operation) -> bool:
    return set(operation.shape[2:]) == {1} and len(operation.shape) == len(operation.shapes[0])


def _at(arguments: tuple[Any, ...], place: int, default: Any) -> Any:
    return arguments[place] if len(arguments) > place else default


def _pair(given: Any) -> list[int]:
    return list(given) if isinstance(given, (tuple, list)) else [given, given]


def factor_of_normalization(operation: Operation) -> Tensor:
    """Return what a batch normalisation multiplies each channel by, one number per channel."""
    factor: Tensor = (operation.argument("running_var") + operation.argument("eps", 1e-5)).rsqrt()
    weight = operation.argument("weight")
    return factor if weight is None else factor * weight


def _normalized(operation: Operation, arriving: Tensor) -> tuple[Tensor, ...]:
    shape = (1, -1, *[1] * (arriving.dim() - 2))
    return (arriving * factor_of_normalization(operation).reshape(shape),)


_QUICK: dict[str, _Gradient] = {
    "linear": _Gradient(_linear),
    **{f"conv{n}d": _Gradient(_convolution, is_plain_convolution) for n in (1, 2, 3)},
    "relu": _Gradient(_relu, needs_inputs=True),
    "cat": _Gradient(_concatenated, _joins_live_tensors),
    "add": _Gradient(_sum, lambda operation: not operation.keywords),
    "max_pool2d": _Gradient(_max_pooled, lambda operation: operation.extra is not None),
    "max_pool1d": _Gradient(_max_pooled_sequence, lambda operation: operation.extra is not None),
    **{f"adaptive_avg_pool{n}d": _Gradient(_averaged, _averages_whole_maps) for n in (1, 2, 3)},
    "batch_norm": _Gradient(_normalized, lambda operation: operation.argument("running_var") is not None),
    **dict.fromkeys(("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"), _Gradient(_reshaped)),
    ROWS.name: _Gradient(_reshaped),
}


def is_kernel(operation: Operation) -> bool:
    """Return whether an operation has weights."""
    return operation.kind in KERNELS
