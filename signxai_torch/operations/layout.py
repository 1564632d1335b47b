"""Memory formats: on a CPU, pictures in float32 go through convolutions faster with the channels last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor

from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.watch import ReadsMemoryError

T = TypeVar("T")
Place = Literal["numpy", "torch"]
"""Where maps are wanted: as arrays, or as tensors on the device of the input."""
# What torch says where a model's forward calls view() on a tensor that does not lie as one piece in its own order.
NEEDS_ITS_OWN = "view size is not compatible"


class Layout:
    """Runs computations with the channels last in memory until one turns out to need the layout that it was given.

    The numbers are the same, added in another order: results agree within rounding. A model whose forward calls
    ``view()`` may be unable; it is then run as it was given, now and for every later run of this object.

    Parameters
    ----------
    inputs : Inputs, optional
        What a joined tensor is made of, whose pictures then get that layout.
    """

    def __init__(self, inputs: Inputs | None = None) -> None:
        self._able, self._inputs = True, inputs or Inputs()

    def run(self, compute: Callable[[Tensor], T], x: Tensor) -> T:
        """Return ``compute(x)``, with `x` in the faster layout if that is possible.

        `compute` must not keep anything of a run that raises.
        """
        try:
            with self._faster(x) as other:
                if other is not None:
                    return compute(other)
        except RuntimeError as error:
            if NEEDS_ITS_OWN not in str(error) and not isinstance(error, ReadsMemoryError):
                raise
            self._able = False
        return compute(x)

    @contextmanager
    def _faster(self, x: Tensor) -> Iterator[Tensor | None]:
        """Yield `x` for the faster layout, None if there is none."""
        if not self._able:
            yield None
        elif self._inputs.alone:
            other = channels_last(x)
            yield None if other is x else other
        elif not _is_faster_last(x) or all(len(shape) != len("CHW") for shape in self._inputs.shapes):
            yield None
        else:
            self._inputs.pictures_last = True
            try:
                yield x
            finally:
                self._inputs.pictures_last = False


def _is_faster_last(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu"


def channels_last(x: Tensor) -> Tensor:
    """Return contiguous pictures in float32 on a CPU with the channels last in memory, anything else as it is."""
    pictures = x.dim() == len("NCHW") and _is_faster_last(x)
    if not pictures or not x.is_contiguous():
        return x
    _, channels, height, width = x.shape
    last = (height * width * channels, 1, width * channels, channels)
    if x.stride() == last:
        return x
    # Of one channel, or one place, the same memory is both, and convolutions take it for what its strides say.
    both = x.is_contiguous(memory_format=torch.channels_last)
    return x.as_strided(x.shape, last) if both else x.contiguous(memory_format=torch.channels_last)


def like(result: Tensor, x: Tensor) -> Tensor:
    """Return a result in one piece if `x` is."""
    return result.contiguous() if x.is_contiguous() else result


def owned(results: Iterable[Tensor], to: Place = "numpy") -> list[Any]:
    """Return maps none of which shares memory with another or within itself, or holds more than its values.

    Maps may come expanded (a rule that gives every channel the same), or several times.
    """
    taken: set[int] = set()
    maps: list[Any] = []
    for one in results:
        result = one.detach() if to == "torch" else one.detach().cpu()
        memory = result.untyped_storage()
        if memory.nbytes() != result.numel() * result.element_size() or memory.data_ptr() in taken:
            result = result.clone(memory_format=torch.contiguous_format)
        taken.add(result.untyped_storage().data_ptr())
        maps.append(result if to == "torch" else result.numpy())
    return maps


def handed_over(maps: Iterable[Tensor], inputs: Inputs, to: Place = "numpy") -> list[Any]:
    """Return maps as arrays or tensors, see `owned`; each held as the inputs are, where there are several."""
    parts = [inputs.views(relevance) for relevance in maps]
    handed = iter(owned((view for views in parts for view in views), to))
    return [inputs.held([next(handed) for _ in views]) for views in parts]


def check_place(to: object) -> None:
    """Raise ValueError if maps cannot be wanted there."""
    if to not in get_args(Place):
        raise ValueError(f"to={to!r}: maps come as 'numpy' arrays, or as 'torch' tensors on the device of the input")


def with_settled_strides(x: Tensor) -> Tensor:
    """Return the same memory with the strides of axes of one place as torch itself sets them.

    Such an axis may have any stride, and `unsqueeze(0)` of a picture with the channels last gives it one that
    torch 2.14's BatchNorm2d takes for another layout: its gradient in eval mode is then wrong without a word.
    """
    if 1 not in x.shape:
        return x
    formats = [torch.contiguous_format, *([torch.channels_last] if x.dim() == 4 else [])]
    for memory_format in formats:
        if x.is_contiguous(memory_format=memory_format):
            strides = torch.empty(x.shape, device="meta", memory_format=memory_format).stride()
            return x.as_strided(x.shape, strides, x.storage_offset())
    return x
