"""Handlers: layers that move, cut, join or pass numbers without weights, and batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.keras.handlers.activations import torch_axis
from parity.keras.handlers.layer import Built, Layer, Order, Value, Variable, fill
from parity.keras.handlers.merging import broadcast
from parity.keras.modules.merging import zennits_sum
from parity.keras.modules.moving import Concatenate, Crop, Rearrange, TrainingOnly
from parity.keras.modules.padding import pad_argument

_ZERO_PAD = {1: nn.ZeroPad1d, 2: nn.ZeroPad2d, 3: nn.ZeroPad3d}
_BATCH_NORM: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]] = {3: nn.BatchNorm2d, 4: nn.BatchNorm3d}


def nothing(layer: Layer) -> Built:
    """`InputLayer`."""
    return Built(layer.input)


def training_only(layer: Layer) -> Built:
    """Noise, regularization, `Identity`: layers to both references, so kept as a module."""
    return Built(layer.input, (("", TrainingOnly()),))


def dropout(layer: Layer) -> Built:
    """`Dropout`: kept as a module, because the layer list of the references counts it."""
    rate = layer.config.number("rate")
    if not 0 <= rate <= 1:
        raise layer.fail(f"'rate' is {rate}, expected 0 to 1")
    return Built(layer.input, (("", nn.Dropout(rate)),))


def flatten(layer: Layer) -> Built:
    """`Flatten`: torch flattens channels first; the next layer with weights re-orders them."""
    layer.require_channels_last()
    sizes = tuple(layer.known(size, "input shape") for size in layer.input.shape)
    order = layer.input.order if len(sizes) == 1 else flatten_order(sizes)
    return Built(Value((math.prod(sizes),), order), (("", nn.Flatten()),))


def flatten_order(sizes: tuple[int, ...]) -> Order | None:
    """Return the Keras position (channels last) of every torch feature (channels first) after `Flatten`.

    None where the two orders are the same.
    """
    if sizes[-1] == 1 or math.prod(sizes[:-1]) == 1:
        return None
    positions = np.arange(math.prod(sizes), dtype=np.int64).reshape(sizes)
    return np.moveaxis(positions, -1, 0).ravel()


def reshape(layer: Layer) -> Built:
    """`Reshape`, in Keras's order of the numbers."""
    sizes = [layer.known(size, "input shape") for size in layer.input.shape]
    target = layer.node.config.get("target_shape")
    target = [target] if type(target) is int else target
    if not (isinstance(target, list) and target and all(type(n) is int and (n > 0 or n == -1) for n in target)):
        raise layer.fail(f"'target_shape' is {target!r}, expected positive integers and at most one -1")
    fixed = math.prod(n for n in target if n != -1)
    if target.count(-1) == 1 and math.prod(sizes) % fixed == 0:
        target = [math.prod(sizes) // fixed if n == -1 else n for n in target]
    if math.prod(target) != math.prod(sizes) or -1 in target:
        raise layer.fail(f"{sizes} cannot be reshaped to {target}")
    module = Rearrange(to_keras_axes(len(sizes)), target, to_torch_axes(len(target)))
    return Built(Value(tuple(target)), (("", module),))


def permute(layer: Layer) -> Built:
    """`Permute`: axes count from 1, without the batch."""
    shape = layer.input.shape
    dims = layer.node.config.get("dims")
    if not (isinstance(dims, list) and sorted(map(str, dims)) == sorted(str(i + 1) for i in range(len(shape)))):
        raise layer.fail(f"'dims' is {dims!r}, expected the numbers 1 to {len(shape)} in some order")
    to_keras, to_torch = to_keras_axes(len(shape)), to_torch_axes(len(shape))
    keras_order = [0, *dims]
    order = [to_keras[keras_order[axis]] for axis in to_torch]
    return Built(Value(tuple(shape[d - 1] for d in dims)), (("", Rearrange(order, None, None)),))


def zero_padding(layer: Layer) -> Built:
    """`ZeroPadding1D`, `ZeroPadding2D`, `ZeroPadding3D`."""
    axes = _spatial_axes(layer)
    margins = layer.config.margins("padding", axes)
    sides: Any = tuple(pad_argument(margins))
    module = _ZERO_PAD[axes](sides)
    spatial = tuple(
        None if size is None else size + before + after
        for size, (before, after) in zip(layer.input.shape, margins, strict=False)
    )
    return Built(Value((*spatial, layer.input.shape[-1])), (("", module),))


def cropping(layer: Layer) -> Built:
    """`Cropping1D`, `Cropping2D`, `Cropping3D`."""
    margins = layer.config.margins("cropping", _spatial_axes(layer))
    spatial: list[int | None] = []
    for size, (before, after) in zip(layer.input.shape, margins, strict=False):
        if size is not None and size - before - after < 1:
            raise layer.fail(f"it crops {before} + {after} of {size}, nothing is left")
        spatial.append(None if size is None else size - before - after)
    return Built(Value((*spatial, layer.input.shape[-1])), (("", Crop(margins)),))


def add(layer: Layer) -> Built:
    """`Add`: the inputs arrive stacked along a last axis."""
    return Built(Value(broadcast(layer), layer.inputs[0].order), (("", zennits_sum()),))


def concatenate(layer: Layer) -> Built:
    """`Concatenate` along any axis but the batch."""
    dim = torch_axis(layer, layer.node.config.get("axis", -1))
    if dim != 1 and any(value.masked for value in layer.inputs):
        raise layer.fail(
            "it joins sequences with masks (of Masking, or Embedding with mask_zero=True) along another axis than the "
            "last, which is not supported. Rebuild the model without masks there"
        )
    shapes = [value.shape for value in layer.inputs]
    axis = len(shapes[0]) - 1 if dim == 1 else dim - 2
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes if len(shape) == len(shapes[0])}
    if len(rest) != 1 or any(len(shape) != len(shapes[0]) for shape in shapes):
        raise layer.fail(f"the shapes {shapes} do not match beside the axis {axis + 1}")
    sizes = [shape[axis] for shape in shapes]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    shape = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])
    return Built(Value(shape, _joined_order(layer.inputs)), (("", Concatenate(dim)),))


def batch_normalization_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Scale, offset, moving mean and variance."""
    names = [name for name, key in (("gamma", "scale"), ("beta", "center")) if config.get(key) is not False]
    moving = (Variable("moving_mean", trainable=False), Variable("moving_variance", trainable=False))
    return (*(Variable(name) for name in names), *moving)


def batch_normalization(layer: Layer) -> Built:
    """`BatchNormalization` over its moving statistics, on any axes."""
    shape = layer.input.shape
    rank = layer.rank(1, 2, 3, 4)
    if layer.node.config.get("renorm") or layer.node.config.get("virtual_batch_size"):
        raise layer.fail("'renorm' and 'virtual_batch_size' are not supported. Rebuild the layer without them")
    axes = layer.node.config.get("axis", -1)
    axes = axes if isinstance(axes, list) else [axes]
    torch_axes = sorted(torch_axis(layer, axis) for axis in axes)
    keras_axes = sorted(rank if axis == 1 else axis - 1 for axis in torch_axes)
    if len(set(keras_axes)) != len(axes) or not axes:
        raise layer.fail(f"'axis' is {axes!r}, expected different axes")
    sizes = [layer.known(shape[axis - 1], "size along 'axis'") for axis in keras_axes]
    stored = tuple(sizes)
    if len(sizes) > 1:  # Keras keeps every axis then, the batch included
        along = dict(zip(keras_axes, sizes, strict=True))
        stored = tuple(along.get(axis, 1) for axis in range(rank + 1))
    features = math.prod(sizes)
    values = {name: layer.weight(name, stored).reshape(features) for name in layer.stored}
    if layer.input.order is not None:
        values = {name: value[layer.input.order] for name, value in values.items()}
    epsilon = layer.config.number("epsilon", 1e-3)
    if (values["moving_variance"] + epsilon).min() <= 0:
        raise layer.fail("'moving_variance' + epsilon is not positive: the file is damaged, save the model again")
    channels_only = keras_axes == [rank]
    kind = _BATCH_NORM.get(rank, nn.BatchNorm1d) if channels_only else nn.BatchNorm1d
    module = kind(features, eps=epsilon, device="meta")
    one, zero = np.ones(features), np.zeros(features)
    fill(
        module,
        weight=layer.tensor(values.get("gamma", one)),
        bias=layer.tensor(values.get("beta", zero)),
        running_mean=layer.tensor(values["moving_mean"]),
        running_var=layer.tensor(values["moving_variance"]),
        num_batches_tracked=torch.tensor(0),
    )
    value = Value(shape, layer.input.order)
    if channels_only:
        return Built(value, (("", module),))
    return Built(value, _around_channels(layer, keras_axes, module))


def _around_channels(layer: Layer, axes: list[int], module: nn.Module) -> tuple[tuple[str, nn.Module], ...]:
    """Bring other axes into the channels' place and back, so that the module itself stays torch's own."""
    shape = [layer.known(size, "input shape") for size in layer.input.shape]
    rank = len(shape)
    rest = [axis for axis in range(1, rank + 1) if axis not in axes]
    keras_order = [0, *axes, *rest]
    to_keras, to_torch = to_keras_axes(rank), to_torch_axes(rank)
    before = [to_keras[axis] for axis in keras_order]
    merged = [math.prod(shape[a - 1] for a in axes), math.prod(shape[a - 1] for a in rest)]
    split = [shape[axis - 1] for axis in (*axes, *rest)]
    after = [keras_order.index(axis) for axis in to_torch]
    return (
        ("_before", Rearrange(before, merged, None)),
        ("", module),
        ("_after", Rearrange(None, split, after)),
    )


def _spatial_axes(layer: Layer) -> int:
    layer.require_channels_last()
    axes = int(layer.node.class_name[-2])
    layer.rank(axes + 1)
    return axes


def _joined_order(inputs: tuple[Value, ...]) -> Order | None:
    if all(value.order is None for value in inputs):
        return None
    parts = []
    start = 0
    for value in inputs:
        size = value.shape[0]
        assert size is not None  # only flattened features have an order
        parts.append(start + (np.arange(size) if value.order is None else value.order))
        start += size
    return np.concatenate(parts)


def to_keras_axes(rank: int) -> list[int]:
    """Return the axes of a torch tensor (batch first) in Keras's order."""
    return [0, *range(2, rank + 1), 1]


def to_torch_axes(rank: int) -> list[int]:
    """Return the axes of a Keras tensor (batch first) in torch's order."""
    return [0, rank, *range(1, rank)]
