"""Products of matrices, and sums of products along any axes, spelled as layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from parity.keras.functions.parts import ALL_PLACES, part
from parity.keras.functions.shapes import concatenate, reshape, transpose
from parity.keras.functions.spelling import (
    Arguments,
    Composition,
    NotSpelledError,
    OpenSizeError,
    Spelled,
    Tensor,
    refuse_settings,
)

_MATRIX = 2
_MOST_MATRICES = 64


def matmul(arguments: Arguments) -> tuple[Spelled, ...]:
    """Product of two matrices per sample, either of them turned; or of as many pairs of them as an axis before has."""
    refuse_settings(arguments, "transpose_a", "transpose_b")
    names = next((pair for pair in (("x1", "x2"), ("a", "b"), ("x", "y")) if pair[0] in arguments), ())
    tensors = [tensor for name in names if isinstance(tensor := arguments.get(name), Tensor)]
    turned = bool(arguments.get("transpose_a")), bool(arguments.get("transpose_b"))
    if len(tensors) != 2 or len({len(tensor.shape) for tensor in tensors}) > 1 or len(tensors[0].shape) < _MATRIX:
        raise NotSpelledError("multiplies something else than two tensors of matrices of as many axes")
    if len(tensors[0].shape) > _MATRIX:
        return _each_pair(tensors, turned)
    axes = [1 if turned[0] else 2, 2 if turned[1] else 1]
    return (Spelled("Dot", {"axes": axes, "normalize": False}, tuple(tensor.name for tensor in tensors)),)


def _each_pair(tensors: Sequence[Tensor], turned: tuple[bool, bool]) -> tuple[Spelled, ...]:
    """Take the matrices of the axes before apart, multiply each pair, and join the products."""
    shapes = [_known(tensor) for tensor in tensors]
    before = shapes[0][:-_MATRIX]
    count = math.prod(before)
    if shapes[1][:-_MATRIX] != before or count > _MOST_MATRICES:
        raise NotSpelledError(
            f"multiplies {shapes[0]} by {shapes[1]}: as many matrices of both, and no more than {_MOST_MATRICES}, are "
            "spelled"
        )
    composition = Composition()
    rows = [
        _reshaped(composition, tensor, (count, *shape[-_MATRIX:]))
        for tensor, shape in zip(tensors, shapes, strict=True)
    ]
    sizes = [shape[-_MATRIX:][::-1] if turn else shape[-_MATRIX:] for shape, turn in zip(shapes, turned, strict=True)]
    made = sizes[0][0], sizes[1][1]
    products = []
    for place in range(count):
        pair = [
            composition.add(part, {"x": row, "slice_spec": [ALL_PLACES, place]}, shape[-_MATRIX:])
            for row, shape in zip(rows, shapes, strict=True)
        ]
        told = {"a": pair[0], "b": pair[1], "transpose_a": turned[0], "transpose_b": turned[1]}
        product = composition.add(matmul, told, made)
        products.append(_reshaped(composition, product, (1, *made)))
    joined = composition.add(concatenate, {"values": products, "axis": 1}, (count, *made)) if count > 1 else products[0]
    _reshaped(composition, joined, (*before, *made))
    return composition.layers


def einsum(arguments: Arguments) -> tuple[Spelled, ...]:
    """``einsum`` of two tensors, by one product of matrices per sample and per place that both have."""
    subscripts, left, right = (arguments.get(name) for name in ("subscripts", "x1", "x2"))
    if not isinstance(subscripts, str) or not isinstance(left, Tensor) or not isinstance(right, Tensor):
        raise NotSpelledError("multiplies something else than two tensors")
    read, _, result = subscripts.replace(" ", "").partition("->")
    labels = read.split(",")
    sizes = _sizes(labels, (left, right), result, subscripts)
    both = [label for label in labels[0][1:] if label in labels[1]]
    kept, summed = [label for label in both if label in result], [label for label in both if label not in result]
    alone = [[label for label in axes[1:] if label not in both] for axes in labels]

    composition = Composition()

    def grouped(tensor: Tensor, axes: str, *groups: list[str]) -> Tensor:
        """Lay the axes of each group along one."""
        order = [label for group in groups for label in group]
        moved = _permuted(composition, tensor, [axes[1:].index(label) for label in order])
        return _reshaped(composition, moved, tuple(math.prod(sizes[label] for label in group) for group in groups))

    first = grouped(left, labels[0], kept, alone[0], summed)
    second = grouped(right, labels[1], kept, summed, alone[1])
    shape = (*first.shape[:2], second.shape[2])
    product = composition.add(matmul, {"a": first, "b": second}, shape)
    made = [*kept, *alone[0], *alone[1]]
    product = _reshaped(composition, product, tuple(sizes[label] for label in made))
    _permuted(composition, product, [made.index(label) for label in result[1:]])
    return composition.layers


def _sizes(labels: list[str], tensors: tuple[Tensor, Tensor], result: str, subscripts: str) -> dict[str, int]:
    """Return the size of each label but the batch's."""
    sizes: dict[str, int] = {}
    alike = len(labels) == 2 and "." not in subscripts and bool(result)
    for axes, tensor in zip(labels, tensors, strict=False):
        alike = alike and len(axes) == len(tensor.shape) + 1 and axes[0] == result[0] and len(set(axes)) == len(axes)
        for label, size in zip(axes[1:], _known(tensor), strict=False):
            alike = alike and sizes.setdefault(label, size) == size
    if not alike or set(result) - {result[:1]} - sizes.keys() or len(set(result)) < len(result):
        raise NotSpelledError(f"is told {subscripts!r}; two tensors with the batch first, in all three, are supported")
    if any(label not in result for axes in labels for label in axes if sum(label in other for other in labels) == 1):
        raise NotSpelledError(f"is told {subscripts!r}, which adds up an axis of one tensor alone")
    return sizes


def _known(tensor: Tensor) -> tuple[int, ...]:
    sizes = tuple(size for size in tensor.shape if size is not None)
    if len(sizes) < len(tensor.shape):
        raise OpenSizeError("multiplies matrices of an open size")
    return sizes


def _reshaped(composition: Composition, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tensor.shape == shape:
        return tensor
    told: dict[str, Any] = {"tensor": tensor, "shape": [-1, *shape]}
    return composition.add(reshape, told, shape)


def _permuted(composition: Composition, tensor: Tensor, order: Sequence[int]) -> Tensor:
    if list(order) == list(range(len(order))):
        return tensor
    told = {"a": tensor, "perm": [0, *(axis + 1 for axis in order)]}
    return composition.add(transpose, told, tuple(tensor.shape[axis] for axis in order))
