"""What the functions of torch are to attribution: one table from a function to its kind of operation."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class Kind(enum.Enum):
    """What an operation is to the rules."""

    DENSE = "dense"
    CONVOLUTION = "conv"
    PRODUCT_OF_MATRICES = "product of matrices"
    NORM = "batch normalisation"
    NORMALIZE = "normalisation"
    SUM = "sum"
    AVERAGE = "average"
    MAXIMUM = "maximum"
    ACTIVATION = "activation"
    SCALE = "scale"
    PRODUCT = "product"
    QUOTIENT = "quotient"
    MOVE = "move"
    SOFTMAX = "softmax"
    ATTENTION = "attention"
    UNCHANGED = "layer that keeps the shape"
    DERIVATIVE = "layer taken by its derivative"
    EMBEDDING = "embedding of tokens"
    RECURRENCE = "recurrence"
    UNKNOWN = "unknown"


KERNELS = (Kind.DENSE, Kind.CONVOLUTION)
"""The kinds of operations that have weights."""
OPENED_BY_DEEP_LIFT = (Kind.UNCHANGED, Kind.DERIVATIVE)
"""Kinds that the references' LRP treats as one layer, whatever it computes; DeepLIFT follows what it computes."""


@dataclass(frozen=True)
class Function:
    """A function of torch as the table knows it.

    Attributes
    ----------
    name : str
        Its name; methods of tensors and in-place forms share that of the function.
    kind : Kind
        What it is to the rules if one argument depends on the input; `signxai_torch.operations.recorder` tells
        products from scales.
    parameters : tuple of str
        The names of its first arguments by place, as far as anybody asks for them.
    transparent : bool
        Whether an operation behind it still sees the model's input: it moves values and loses none.
    gate : bool
        Whether it squashes values between bounds, or is a statistic of many values, so that what is multiplied by its
        result is scaled and not joined with it.
    of_each_value : bool
        Whether it is a module that computes one function of each value, so that DeepLIFT need not look inside.
    """

    name: str
    kind: Kind
    parameters: tuple[str, ...] = ()
    transparent: bool = False
    gate: bool = False
    of_each_value: bool = False


_POOL = ("input", "kernel_size", "stride", "padding")
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")

_ACTIVATIONS = """relu relu6 leaky_relu elu selu celu gelu silu mish softplus softsign hardswish hardtanh threshold
prelu rrelu
logsigmoid hardshrink softshrink tanhshrink clamp clamp_min clamp_max clip exp log sqrt rsqrt square abs sin cos
erf erfc log1p expm1 reciprocal pow neg negative float_power sign round floor ceil nan_to_num sinh cosh atan exp2
log2 log10"""
_GATES = "sigmoid tanh hardsigmoid"
_SEEN_THROUGH = """view reshape permute transpose flatten unflatten squeeze unsqueeze expand expand_as swapaxes
swapdims movedim
moveaxis t contiguous clone to float double view_as reshape_as ravel T mT adjoint type type_as cpu cuda
broadcast_to atleast_1d atleast_2d atleast_3d alias long int"""
_MOVES = """cat concat concatenate stack hstack vstack dstack split split_with_sizes chunk tensor_split unbind
narrow select
index_select gather take take_along_dim masked_select __getitem__ flip fliplr flipud roll rot90 repeat
repeat_interleave tile pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle unfold fold diagonal
diag_embed masked_fill where tril triu interpolate upsample grid_sample sort topk broadcast_tensors as_strided
column_stack row_stack unsafe_chunk unsafe_split slice_scatter select_scatter index_add index_copy index_fill
index_put scatter scatter_add masked_scatter __setitem__ copy_ fill_ zero_ put_ meshgrid half bfloat16
combinations"""
_STATISTICS = "norm vector_norm std var std_mean"
_PRODUCTS = "matmul mm bmm mv dot einsum tensordot"
_TABLE: tuple[Function, ...] = (
    Function("linear", Kind.DENSE, ("input", "weight", "bias")),
    *(Function(f"conv{n}d", Kind.CONVOLUTION, _CONVOLUTION) for n in (1, 2, 3)),
    *(Function(f"conv_transpose{n}d", Kind.CONVOLUTION, _TRANSPOSED) for n in (1, 2, 3)),
    *(Function(name, Kind.PRODUCT_OF_MATRICES) for name in _PRODUCTS.split()),
    Function("addmm", Kind.DENSE, ("bias", "input", "weight")),
    Function("baddbmm", Kind.DENSE, ("bias", "input", "weight")),
    Function("addcmul", Kind.SCALE, ("value", "tensor1", "tensor2")),
    *(Function(name, Kind.UNKNOWN, ("input", "p", "dim", "keepdim"), gate=True) for name in _STATISTICS.split()),
    Function("batch_norm", Kind.NORM,
             ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")),
    Function("layer_norm", Kind.NORMALIZE, ("input", "normalized_shape", "weight", "bias", "eps")),
    Function("rms_norm", Kind.NORMALIZE, ("input", "normalized_shape", "weight", "eps")),
    Function("group_norm", Kind.NORMALIZE, ("input", "num_groups", "weight", "bias", "eps")),
    Function("instance_norm", Kind.NORMALIZE,
             ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps")),
    Function("normalize", Kind.NORMALIZE, ("input", "p", "dim", "eps")),
    Function("local_response_norm", Kind.NORMALIZE, ("input", "size", "alpha", "beta", "k")),
    *(Function(name, Kind.SUM, ("input", "other")) for name in ["add", "sub", "subtract", "rsub"]),
    *(Function(f"{adaptive}avg_pool{n}d", Kind.AVERAGE, _POOL) for n in (1, 2, 3) for adaptive in ("", "adaptive_")),
    *(Function(name, Kind.AVERAGE, ("input", "dim", "keepdim")) for name in ("mean", "sum")),
    *(Function(f"max_pool{n}d{also}", Kind.MAXIMUM, _POOL) for n in (1, 2, 3) for also in ("", "_with_indices")),
    *(Function(f"adaptive_max_pool{n}d{also}", Kind.MAXIMUM) for n in (1, 2, 3) for also in ("", "_with_indices")),
    *(Function(name, Kind.MAXIMUM, ("input", "dim", "keepdim")) for name in ["amax", "amin", "max", "min"]),
    *(Function(name, Kind.MAXIMUM, ("input", "other")) for name in ["maximum", "minimum", "fmax", "fmin"]),
    *(Function(name, Kind.ACTIVATION) for name in _ACTIVATIONS.split()),
    Function("rdiv", Kind.ACTIVATION),
    Function("dropout", Kind.ACTIVATION),
    *(Function(name, Kind.ACTIVATION, gate=True) for name in _GATES.split()),
    Function("glu", Kind.PRODUCT, ("input", "dim")),
    *(Function(name, Kind.PRODUCT, ("input", "other")) for name in ("mul", "multiply")),
    *(Function(name, Kind.QUOTIENT, ("input", "other")) for name in ("div", "divide", "true_divide")),
    *(Function(name, Kind.MOVE, transparent=True) for name in _SEEN_THROUGH.split()),
    Function("pad", Kind.MOVE, ("input", "pad", "mode", "value"), transparent=True),
    *(Function(name, Kind.MOVE) for name in _MOVES.split()),
    Function("embedding", Kind.EMBEDDING, ("input", "weight")),
    *(Function(name, Kind.SOFTMAX, ("input", "dim"), gate=True) for name in ["softmax", "log_softmax", "softmin"]),
    Function("scaled_dot_product_attention", Kind.ATTENTION, ("query", "key", "value")),
)  # fmt: skip

_PLACES: tuple[ModuleType | type, ...] = (torch, F, Tensor, torch._C._nn, torch.special, torch.linalg)
_SPELLINGS = {"__iadd__": "add", "__add__": "add", "__radd__": "add", "__sub__": "sub", "__isub__": "sub",
              "__rsub__": "rsub", "__mul__": "mul", "__imul__": "mul", "__rmul__": "mul", "__truediv__": "div",
              "__itruediv__": "div", "__pow__": "pow", "__ipow__": "pow", "__neg__": "neg", "__abs__": "abs",
              "__rtruediv__": "rdiv", "__rdiv__": "rdiv", "__rpow__": "exp", "__matmul__": "matmul",
              "__rmatmul__": "matmul",
              "expit": "sigmoid"}  # fmt: skip


def _spellings(function: Function) -> Iterator[Callable[..., Any]]:
    names = [function.name, f"{function.name}_"]
    names += [other for other, name in _SPELLINGS.items() if name == function.name]
    for place in _PLACES:
        for name in names:
            spelled = getattr(place, name, None)
            if callable(spelled):
                yield spelled
            elif spelled is not None and hasattr(spelled, "__get__"):
                yield spelled.__get__


FUNCTIONS: dict[Any, Function] = {spelled: one for one in _TABLE for spelled in _spellings(one)}
"""The table, by every function, method and in-place form that torch has of it."""
UNKNOWN = Function("", Kind.UNKNOWN)
PARTS = Function("the cut into inputs", Kind.MOVE, transparent=True)
"""What makes a model's several inputs of the one tensor that explanations see; no part of the model."""
ROWS = Function("the logits in a row", Kind.MOVE, transparent=True)
"""What puts the axes of an output in a row; no part of the model either."""
BY_NAME = {one.name: one for one in _TABLE}
