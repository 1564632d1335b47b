"""Masks as Keras 3 writes them into a file: operations that compare, and their result as an argument of layers.

They say again what `Masking` and `Embedding` make and layers pass on, which the converter follows by itself. So no
layer is made of them; it is only seen to that each call is told the mask of what it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from parity.keras.graph import Node

Mask = frozenset[tuple[str, float]]
"""What is compared: a step counts where each of these nodes has another value than that beside it."""
MASK_ARGUMENTS = ("mask", "query_mask", "value_mask", "key_mask")
"""The names under which layers are told masks."""
OTHERWISE = ("joined or passed on as by Keras 3 alone", 0.0)
"""Among what is compared: this mask is not the one that Keras 2 would make."""
PASSED_BY_KERAS_3 = ("Rescaling", "Normalization", "Identity")
"""Layers at which masks end in Keras 2."""
ANOTHER_MASK = (
    "it has another mask than Keras 2, and so the references, make of what it reads: Keras 3 passes masks through "
    "other layers, and joins them otherwise. Rebuild the model without a mask there"
)
_NOWHERE: Mask = frozenset({("", 0.0)})
_COMPARES = "ops.NotEqual"
_ZEROS = "ops.ZerosLike"
_JOINED = ("ops.Any", "ops.All", "ops.LogicalOr", "ops.LogicalAnd", "ops.ExpandDims", "ops.Squeeze", "ops.Concatenate",
           "ops.Stack", "ops.ConvertToTensor")  # fmt: skip
MASK_CLASSES = (_COMPARES, _ZEROS, *_JOINED)


def mask_of(node: Node, reads: Sequence[Mask | None]) -> Mask | None:
    """Return the mask that an operation makes, or None if it makes none.

    Keras 3.3 counts a step where all tensors of a merge count, Keras 3.8 where one does. Both are the same where all
    have one mask, and nothing else is a mask here.

    Parameters
    ----------
    node
        The operation.
    reads
        The mask that each of its tensors is, None for those that are values.
    """
    masks = {mask for mask in reads if mask is not None}
    if node.class_name == _COMPARES and len(reads) == 1 and not masks:
        value = _constant(node.call.arguments)
        return None if value is None else frozenset({(node.inbound[0], value)})
    if node.class_name == _ZEROS:  # of a mask or of values: "or" with it changes nothing
        return _NOWHERE
    if node.class_name not in _JOINED or None in reads:
        return None
    counted = masks - {_NOWHERE}
    return counted.pop() if len(counted) == 1 else None


def _constant(arguments: Sequence[Any]) -> float | None:
    if len(arguments) == 2 and isinstance(arguments[1], int | float):
        return float(arguments[1])
    return None
