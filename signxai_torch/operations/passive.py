"""Functions of torch that are no operations: facts about tensors, comparisons, and ways out of the graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_METHODS = """size dim stride numel nelement is_contiguous is_floating_point is_complex storage_offset get_device
data_ptr __len__ __hash__ __repr__ element_size is_pinned untyped_storage item tolist __bool__ __int__ __index__
__float__ __contains__ new_zeros new_ones new_empty new_full new_tensor retain_grad register_hook argmax argmin eq ne
__eq__ __ne__ is_same_size requires_grad_ isnan isinf isfinite is_set_to argsort
all any __format__ __reduce_ex__ __deepcopy__"""
_PROPERTIES = """shape device dtype ndim layout is_cuda requires_grad grad_fn is_leaf is_quantized is_sparse is_meta
is_nested grad is_mkldnn is_mps itemsize nbytes _version _base output_nr"""
_FUNCTIONS = """is_tensor is_floating_point is_complex numel zeros_like ones_like empty_like full_like rand_like
randn_like _assert argmax argmin eq ne isnan isinf isfinite argsort allclose equal is_nonzero result_type
can_cast logical_and logical_or logical_not all any"""


_COMPARED = "gt ge lt le __gt__ __ge__ __lt__ __le__ greater less greater_equal less_equal"


def _held(place: Any, names: str) -> list[Any]:
    return [getattr(place, name) for name in names.split() if hasattr(place, name)]


COMPARISONS: frozenset[Any] = frozenset([*_held(Tensor, _COMPARED), *_held(torch, _COMPARED)])
"""What makes masks of values; a product with such a mask may be an activation that somebody wrote by hand."""
PASSIVE: frozenset[Any] = frozenset(
    [
        *COMPARISONS,
        *_held(Tensor, _METHODS),
        *(one.__get__ for one in _held(Tensor, _PROPERTIES)),
        *_held(torch, _FUNCTIONS),
        torch._C._set_grad_enabled,  # `torch.no_grad()` must stay what it is
    ]
)
"""Facts about a tensor, or answers that no relevance goes through: nothing to note."""
_READ = """item tolist __bool__ __int__ __index__ __float__ __contains__ argmax argmin eq ne __eq__ __ne__ isnan isinf
isfinite is_set_to argsort all any __format__ __repr__ __reduce_ex__ __deepcopy__ grad _assert allclose equal is_nonzero
rand_like randn_like logical_and logical_or logical_not"""
READS_VALUES: frozenset[Any] = COMPARISONS | frozenset([*_held(Tensor, _READ), *_held(torch, _READ)])
"""What tells values, by which a model may choose what it computes, or draws new ones."""
CUTS: frozenset[Any] = frozenset([Tensor.detach, Tensor.detach_, torch.detach, Tensor.data.__get__])  # type: ignore[attr-defined]
"""What takes a tensor out of the graph."""
LEAVES_TORCH: frozenset[Any] = frozenset(_held(Tensor, "numpy __array__ __dlpack__"))
"""What hands values to code that cannot be watched."""
