"""Output shapes of the layers that the fuzzer draws, Keras layout without batch axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Shape = tuple[int, ...]


def output_shape(kind: str, config: dict[str, Any], inputs: Sequence[Shape]) -> Shape:
    """Return what a layer makes of its inputs; sizes under 1 mean that it does not fit."""
    shape = inputs[0]
    spatial, channels = shape[:-1], shape[-1]
    match kind.rstrip("123D") if kind.endswith("D") else kind:
        case "Conv" | "SeparableConv" | "LocallyConnected":
            return (*_slide(spatial, config["kernel_size"], config["strides"], config), config["filters"])
        case "DepthwiseConv":
            filters = channels * config["depth_multiplier"]
            return (*_slide(spatial, config["kernel_size"], config["strides"], config), filters)
        case "MaxPooling" | "AveragePooling":
            return (*_slide(spatial, config["pool_size"], config["strides"], config), channels)
        case "ZeroPadding":
            return (*(n + sum(pair) for n, pair in zip(spatial, _pairs(config["padding"]), strict=True)), channels)
        case "Cropping":
            return (*(n - sum(pair) for n, pair in zip(spatial, _pairs(config["cropping"]), strict=True)), channels)
        case "UpSampling":
            sizes = config["size"] if isinstance(config["size"], list) else [config["size"]]
            return (*(n * size for n, size in zip(spatial, sizes, strict=True)), channels)
        case "GlobalAveragePooling" | "GlobalMaxPooling":
            return (channels,)
        case _:
            return _further(kind, config, inputs)


def _further(kind: str, config: dict[str, Any], inputs: Sequence[Shape]) -> Shape:
    shape = inputs[0]
    match kind:
        case "Conv1DTranspose" | "Conv2DTranspose" | "Conv3DTranspose":
            more = [max(k - s, 0) if config["padding"] == "valid" else 0
                    for k, s in zip(config["kernel_size"], config["strides"], strict=True)]  # fmt: skip
            sizes = zip(shape[:-1], config["strides"], more, strict=True)
            return (*(n * s + extra for n, s, extra in sizes), config["filters"])
        case "Permute":
            return tuple(shape[axis - 1] for axis in config["dims"])
        case "Reshape":
            return tuple(config["target_shape"])
        case "Flatten":
            return (math.prod(shape),)
        case "Dense":
            return (*shape[:-1], config["units"])
        case "Embedding":
            return (*shape, config["output_dim"])
        case "RepeatVector":
            return (config["n"], *shape)
        case "Resizing" | "CenterCrop":
            return (config["height"], config["width"], shape[-1])
        case "Concatenate":
            return (*shape[:-1], sum(one[-1] for one in inputs))
        case "Multiply":
            return tuple(max(sizes) for sizes in zip(*inputs, strict=True))
        case "Dot":
            return (shape[1], inputs[1][1])
        case "LSTM" | "GRU" | "SimpleRNN":
            return (*shape[: 1 if config["return_sequences"] else 0], config["units"])
        case "Bidirectional":
            one = _further(config["layer"]["class_name"], config["layer"]["config"], inputs)
            return (*one[:-1], one[-1] * (2 if config["merge_mode"] == "concat" else 1))
        case "TFOpLambda" | "SlicingOpLambda":
            return _operation(config["function"], config["told"], shape)
        case "TimeDistributed":
            return (shape[0], *output_shape(config["layer"]["class_name"], config["layer"]["config"], [shape[1:]]))
        case _:
            return shape


def _operation(function: str, told: dict[str, Any], shape: Shape) -> Shape:
    """Return what an operation makes of one tensor, by NumPy's function of the same kind."""
    x = np.empty((1, *shape))
    match function:
        case "__operators__.getitem":
            made = x[tuple(slice(one["start"], one["stop"], one["step"]) for one in told["slice_spec"])]
        case "math.reduce_mean" | "math.reduce_max" | "math.reduce_sum" | "math.reduce_variance":
            made = x.max(told["axis"], keepdims=told["keepdims"])
        case "tile":
            made = np.tile(x, told["multiples"])
        case "repeat":
            made = np.repeat(x, told["repeats"], told["axis"])
        case _:
            made = x
    return made.shape[1:]


def _slide(spatial: Shape, kernel: Sequence[int], strides: Sequence[int], config: dict[str, Any]) -> Shape:
    dilation = config.get("dilation_rate", [1] * len(spatial))
    sizes = []
    for n, k, s, d in zip(spatial, kernel, strides, dilation, strict=True):
        reach = (k - 1) * d + 1
        sizes.append(-(-n // s) if config["padding"] != "valid" else (n - reach) // s + 1)
    return tuple(sizes)


def _pairs(margins: Any) -> list[Any]:
    return margins if isinstance(margins[0], list) else [margins]
