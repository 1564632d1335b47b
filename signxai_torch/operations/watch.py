"""Watching a forward pass: every function of torch that a model calls goes through here.

`Watch` changes as little as possible: it answers batch normalisation and dropout as in eval mode, lets batch norms read
a copy where torch's gradient would be wrong, keeps autocast off, and refuses what would be explained wrongly without a
word. `signxai_torch.operations.recorder` also notes what is computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from signxai_torch.operations.counting import Count
from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.kind import BY_NAME, FUNCTIONS, Kind
from signxai_torch.operations.refusal import UnhookedOperationError, users_line

if TYPE_CHECKING:
    from typing_extensions import Self

_DROPOUTS = {getattr(F, name) for name in
             ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")}  # fmt: skip
_DROPOUTS |= {torch.dropout, torch.dropout_, torch.alpha_dropout, torch.feature_dropout, torch.feature_alpha_dropout}
_BATCH_NORMS: tuple[Callable[..., Any], ...] = (F.batch_norm, torch.batch_norm)
_SWITCHED = {*_BATCH_NORMS, F.rrelu, F.instance_norm} | _DROPOUTS
READS_MEMORY = {torch.as_strided, Tensor.as_strided}
_CONVOLUTIONS = {function for function, row in FUNCTIONS.items() if row.name in ("conv1d", "conv2d", "conv3d")}
_SOFTMAXES = {function for function, row in FUNCTIONS.items() if row.kind is Kind.SOFTMAX}
_LOOKED_AT = _SWITCHED | READS_MEMORY | _CONVOLUTIONS


class ReadsMemoryError(RuntimeError):
    """A model reads its input in the order in which it lies in memory, so it must lie as it was given."""

    def __init__(self) -> None:
        super().__init__(
            "the model reads its input in the order in which it lies in memory (as_strided); give it in one piece: "
            "x.contiguous()"
        )


class Watch(TorchFunctionMode):
    """Watches a forward pass whose gradient autograd takes.

    Parameters
    ----------
    points : sequence of torch.Tensor
        The model's inputs as the model is handed them.
    inputs : Inputs
        What they are called, and whether they lie as they were given.
    count : Count, optional
        Counts what the functions make.
    """

    def __init__(self, points: Sequence[Tensor], inputs: Inputs, count: Count | None = None) -> None:
        super().__init__()
        self.points, self.inputs, self.count = points, inputs, count
        self.device = points[0].device.type
        self._softmax: tuple[str, Tensor] | None = None
        # Flags of one forward pass, and no switches of torch: an interrupt may leave them as they are, and a mode on
        # torch's stack, which all means nothing once the pass is over.
        self.over = self.paused = False
        self._depths: list[int] = []

    def __enter__(self) -> Self:
        self._depths.append(torch._C._len_torch_function_stack())
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *_: object) -> None:
        # Torch pops and pushes modes while they answer, and an interrupt comes at any moment between.
        depth = self._depths.pop()
        while torch._C._len_torch_function_stack() > depth:
            torch._C._pop_torch_function_stack()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `torch.overrides.TorchFunctionMode`."""
        keywords = kwargs or {}
        if self.over or self.paused:
            return function(*args, **keywords)
        if function in _LOOKED_AT:
            if function in _DROPOUTS:
                return args[0] if args else keywords["input"]
            args, keywords = self.settled(function, args, keywords)
            function = IN_ORDER.get(function, function)
        if autocast_is_on(self.device):
            with torch.autocast(self.device, enabled=False):
                made = function(*args, **keywords)
        else:
            made = function(*args, **keywords)
        if self.count is not None:
            self.count.note(function, args, made)
        if function in _SOFTMAXES:
            self._softmax = (f"{function.__name__} ({users_line()})" if users_line() else function.__name__, made)
        return made

    def softmax_of(self, output: Tensor) -> str:
        """Return the name and place of the softmax that made a tensor, up to reshaping; empty if none did."""
        if self._softmax is None or self._softmax[1].data_ptr() != output.data_ptr():
            return ""
        return self._softmax[0] if self._softmax[1].numel() == output.numel() else ""

    def settled(
        self, function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as in eval mode.

        Raises
        ------
        ReadsMemoryError
            If the function reads memory in its order.
        UnhookedOperationError
            If it mixes the samples of the batch, or takes the batch for something else.
        """
        if function in READS_MEMORY:
            if not self.inputs.in_order or not all(point.is_contiguous() for point in self.points):
                raise ReadsMemoryError
            return args, keywords
        if function in _CONVOLUTIONS:
            first = args[0] if args else keywords.get("input")
            self.check_batch_axis(function, first)
            return args, keywords
        if function in _BATCH_NORMS:
            return _batch_norm_as_in_eval(function, args, keywords)
        return (args, keywords) if function is F.instance_norm else _replaced(function, args, keywords, training=False)

    def check_batch_axis(self, function: Callable[..., Any], first: Any) -> None:
        """Refuse the model's own input without a batch axis, which a convolution takes for one sample."""
        axes = int(FUNCTIONS[function].name[-2]) + 1
        if not isinstance(first, Tensor) or first.dim() != axes:
            return
        for name, point in zip(self.inputs.names, self.points, strict=True):
            if first.shape == point.shape:
                raise ValueError(
                    f"{name} of shape {tuple(point.shape)} has no batch axis: the model's convolution takes it for a "
                    f"single sample; use {name}.unsqueeze(0)"
                )

    def rows(self, logits: Tensor) -> Tensor:
        """Return the logits with all axes of one sample in a row; that is no part of the model."""
        return logits.flatten(1)


def _batch_norm_as_in_eval(
    function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    names = BY_NAME["batch_norm"].parameters if function is F.batch_norm else (
        "input", "weight", "bias", "running_mean", "running_var", "training")  # fmt: skip
    given = dict(zip(names, args, strict=False)) | keywords
    if given.get("running_mean") is None:
        raise UnhookedOperationError(
            f"batch_norm without running statistics ({users_line()}) takes the batch's, so no sample would be "
            "explained as if alone; give it running_mean and running_var"
        )
    return _replaced(function, args, keywords, training=False)


def _on_samples_in_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a batch norm that reads a copy where torch would get its gradient wrong.

    Where the channels of a single sample lie last, and the step to the next sample is none that such a batch has, as in
    stacked frames, torch 2.14 returns a gradient whose values stand in another order.
    """

    @wraps(function)
    def batch_norm(input: Tensor, *args: Any, **keywords: Any) -> Any:  # noqa: A002 - torch's own name
        if len(input) == 1 and input.stride(0) != input.numel():
            input = input.clone(memory_format=torch.contiguous_format)  # noqa: A001
        return function(input, *args, **keywords)

    return batch_norm


IN_ORDER: Mapping[Callable[..., Any], Callable[..., Any]] = {
    function: _on_samples_in_order(function) for function in _BATCH_NORMS
}
"""By function of torch, what is called in its place."""


def _replaced(
    function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any], **changed: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments with some of them changed, by place where they stand so."""
    places = places_of(function)
    by_place, by_name = list(args), dict(keywords)
    for name, value in changed.items():
        place = places.get(name)
        if place is not None and place < len(by_place):
            by_place[place] = value
        elif name in by_name or place is None:
            by_name[name] = value
    return tuple(by_place), by_name


@cache
def places_of(function: Callable[..., Any]) -> Mapping[str, int]:
    """Return from a function's argument names to their places; empty where Python cannot tell."""
    if function is torch.batch_norm:
        return {"training": 5}
    try:
        return {name: place for place, name in enumerate(inspect.signature(function).parameters)}
    except (TypeError, ValueError):
        return {}


def autocast_is_on(device: str) -> bool:
    """Return whether torch would compute in half precision."""
    try:
        return bool(torch.is_autocast_enabled(device))
    except TypeError:  # torch before 2.4 has one function per device
        return bool(torch.is_autocast_cpu_enabled() if device == "cpu" else torch.is_autocast_enabled())


def is_watching() -> bool:
    """Return whether this thread is inside of an explanation already."""
    return any(isinstance(mode, Watch) and not mode.over for mode in _get_current_function_mode_stack())


def others_watch() -> bool:
    """Return whether the caller has modes on that may change what torch's functions do, such as a default device."""
    if torch._C._len_torch_dispatch_stack():
        return True
    # An interrupt may have left a watch there, which means nothing any more.
    return bool(torch._C._len_torch_function_stack()) and any(
        not (isinstance(mode, Watch) and mode.over) for mode in _get_current_function_mode_stack()
    )


class _Told(TorchFunctionMode):
    """Notes which functions torch tells of."""

    def __init__(self) -> None:
        super().__init__()
        self.functions: list[Any] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.functions.append(function)
        return function(*args, **(kwargs or {}))


@cache
def tells_of_indexing() -> bool:
    """Return whether torch tells of `x[...]` on tensors without a gradient, such as tokens; from 2.4 on it does."""
    tokens = torch.zeros(2, dtype=torch.int64)
    with _Told() as told:
        tokens[:1]
    return Tensor.__getitem__ in told.functions
