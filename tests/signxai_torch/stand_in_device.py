"""A device that stands in for a GPU: its tensors lie in ordinary memory, and are refused beside those of a processor.

torch offers a backend in Python for this (`torch.utils.backend_registration`). What a model computes there is computed
on the processor, so maps must be the same; a tensor that was made in the wrong place ends in an error, as on a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "elsewhere"
_setup = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
OFFERED = _setup is not None
"""Whether this version of torch offers a backend in Python."""
aten = torch.ops.aten
# What takes indices and scalars of the processor on a GPU too, or moves between the two.
_MIXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_to_copy", "copy_")
_kept: list[Any] = []  # a registration ends with its library


class Elsewhere(Tensor):
    """A tensor that is elsewhere."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> Elsewhere:
        made = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        made.inner = inner
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"Elsewhere({self.inner})"

    @property
    def data(self) -> Tensor:  # type: ignore[override]
        return Elsewhere(self.inner)

    @data.setter
    def data(self, other: Elsewhere) -> None:
        self.inner = other.inner
        Tensor.data.__set__(self, other)  # type: ignore[attr-defined]

    def untyped_storage(self) -> Any:
        return self.inner.untyped_storage()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


def install() -> None:
    """Register the device; once in a process."""
    if _kept or _setup is None:
        return
    _setup(NAME)
    library = torch.library.Library("aten", "IMPL")
    _kept.append(library)
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("empty.memory_format", _empty, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")


def moved(tensor: Tensor) -> Tensor:
    """Return a tensor that is elsewhere."""
    return Elsewhere(tensor.detach().clone())


def moved_model(model: nn.Module) -> nn.Module:
    """Bring all tensors of a model elsewhere, and return it."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(moved(parameter), parameter.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else moved(buffer)
    return model


class Device(TorchDispatchMode):
    """Lets `torch.zeros(..., device=x.device)` and `x.to(device)` work inside."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_elsewhere(kwargs.get("device")) or any(
            isinstance(one, Elsewhere) for one in tree_leaves((args, kwargs))
        ):
            return _run(function, args, kwargs)
        return function(*args, **kwargs)


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    elsewhere = [one for one in tensors if isinstance(one, Elsewhere)]
    here = [one for one in tensors if not isinstance(one, Elsewhere) and one.dim() > 0]
    if elsewhere and here and function._schema.name.removeprefix("aten::") not in _MIXING:
        raise RuntimeError(f"Expected all tensors to be on the same device, but {function} got some of the processor.")
    if function is aten.copy_.default:
        function(_inner(args[0]), _inner(args[1]), *args[2:])
        return args[0]
    made = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    device = kwargs.get("device")
    if not (_is_elsewhere(device) if device is not None else elsewhere):
        return made
    if elsewhere and made is getattr(args[0], "inner", None):
        return args[0]  # it works in place
    return tree_map(lambda one: Elsewhere(one) if isinstance(one, Tensor) else one, made)


def _is_elsewhere(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _inner(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value.inner if isinstance(value, Elsewhere) else value


def _empty_strided(size: Any, stride: Any, dtype: Any = None, **_: Any) -> Tensor:
    return Elsewhere(torch.empty_strided(size, stride, dtype=dtype))


def _empty(size: Any, dtype: Any = None, **_: Any) -> Tensor:
    return Elsewhere(torch.empty(size, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _inner(target).copy_(_inner(source))
    return target
