"""Output shapes of the layers that the fuzzer draws, Keras layout without batch axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Shape = tuple[int, ...]
KERNELS = ("Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "Dense")


def output_shape(kind: str, config: dict[str, Any], inputs: Sequence[Shape]) -> Shape:
    """Return what a layer makes of its inputs; sizes under 1 mean that it does not fit."""
    shape = inputs[0]
    spatial, channels = shape[:-1], shape[-1]
    match kind:
        case "Conv1D" | "Conv2D" | "SeparableConv1D" | "SeparableConv2D" | "DepthwiseConv2D":
            filters = channels * config["depth_multiplier"] if kind == "DepthwiseConv2D" else config["filters"]
            return (*_slide(spatial, config["kernel_size"], config["strides"], config), filters)
        case "MaxPooling1D" | "MaxPooling2D" | "AveragePooling1D" | "AveragePooling2D":
            return (*_slide(spatial, config["pool_size"], config["strides"], config), channels)
        case "ZeroPadding1D" | "ZeroPadding2D":
            return (*(n + sum(pair) for n, pair in zip(spatial, _pairs(config["padding"]), strict=True)), channels)
        case "Cropping1D" | "Cropping2D":
            return (*(n - sum(pair) for n, pair in zip(spatial, _pairs(config["cropping"]), strict=True)), channels)
        case "Permute":
            return tuple(shape[axis - 1] for axis in config["dims"])
        case "Reshape":
            return tuple(config["target_shape"])
        case "Flatten":
            return (_product(shape),)
        case "GlobalAveragePooling1D" | "GlobalAveragePooling2D" | "GlobalMaxPooling1D" | "GlobalMaxPooling2D":
            return (channels,)
        case "Dense":
            return (*spatial, config["units"])
        case "Concatenate":
            return (*spatial, sum(one[-1] for one in inputs))
        case _:
            return shape


def _slide(spatial: Shape, kernel: Sequence[int], strides: Sequence[int], config: dict[str, Any]) -> Shape:
    dilation = config.get("dilation_rate", [1] * len(spatial))
    sizes = []
    for n, k, s, d in zip(spatial, kernel, strides, dilation, strict=True):
        reach = (k - 1) * d + 1
        sizes.append(-(-n // s) if config["padding"] != "valid" else (n - reach) // s + 1)
    return tuple(sizes)


def _pairs(margins: Any) -> list[Any]:
    return margins if isinstance(margins[0], list) else [margins]


def _product(shape: Shape) -> int:
    total = 1
    for n in shape:
        total *= n
    return total
