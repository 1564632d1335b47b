"""Random weights of the layers that the fuzzer draws, by the names that Keras gives its variables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.fuzz.shapes import Shape, output_shape

Tensors = dict[str, np.ndarray]
Rng = np.random.Generator
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


def weights(kind: str, config: dict[str, Any], shape: Shape, rng: Rng, exact: bool) -> Tensors:
    """Return what a layer of a class has, in Keras' order, given the shape of what it reads first."""
    channels = shape[-1]
    match kind:
        case "BatchNormalization":
            return _normalization(config, channels, rng, exact)
        case "Normalization":
            return {
                "mean": rng.normal(size=channels).astype(np.float32),
                "variance": rng.uniform(0.3, 2, channels).astype(np.float32),
                "count": np.asarray(7, dtype=np.int64),
            }
        case "LayerScale":
            return {"gamma": (rng.choice([-0.5, 0.5, 1.0, 2.0], channels)).astype(np.float32)}
        case "LayerNormalization" | "GroupNormalization":
            return _scale_and_offset(config, channels, rng, exact)
        case "Embedding":
            return {"embeddings": kernel((config["input_dim"], config["output_dim"]), rng, exact, zeros=0)}
        case "Attention" if config["use_scale"]:
            return {"scale": np.float32(rng.normal(1, 0.3))}
        case "AdditiveAttention" if config["use_scale"]:
            return {"scale": rng.normal(1, 0.3, channels).astype(np.float32)}
        case "LSTM" | "GRU" | "SimpleRNN":
            return _cell(kind, config, channels, rng)
        case "Bidirectional":
            inner = config["layer"]
            return {
                f"{way}_{name}": values
                for way in ("forward", "backward")
                for name, values in _cell(inner["class_name"], inner["config"], channels, rng).items()
            }
        case "TimeDistributed":
            return weights(config["layer"]["class_name"], config["layer"]["config"], shape[1:], rng, exact)
        case _:
            return _kernels(kind, config, shape, rng, exact)


def _kernels(kind: str, config: dict[str, Any], shape: Shape, rng: Rng, exact: bool) -> Tensors:
    channels, window = shape[-1], tuple(config.get("kernel_size", ()))
    multiplier = config.get("depth_multiplier", 1)
    made: dict[str, Shape]
    bias = (config.get("filters", config.get("units", 0)),)
    match kind:
        case "DepthwiseConv1D" | "DepthwiseConv2D":
            made, bias = {"depthwise_kernel": (*window, channels, multiplier)}, (channels * multiplier,)
        case "SeparableConv1D" | "SeparableConv2D":
            wide = channels * multiplier
            made = {"depthwise_kernel": (*window, channels, multiplier),
                    "pointwise_kernel": (*(1,) * len(window), wide, *bias)}  # fmt: skip
        case "Conv1DTranspose" | "Conv2DTranspose" | "Conv3DTranspose":
            made = {"kernel": (*window, *bias, channels)}
        case "LocallyConnected1D" | "LocallyConnected2D":
            places = output_shape(kind, config, [shape])[:-1]
            made = {"kernel": (math.prod(places), math.prod(window) * channels, *bias)}
            bias = (*places, *bias)
        case "Dense" | "Conv1D" | "Conv2D" | "Conv3D":
            made = {"kernel": (*window, channels, *bias)}
        case _:
            return {}
    tensors = {name: kernel(size, rng, exact) for name, size in made.items()}
    if config["use_bias"]:
        tensors["bias"] = kernel(bias, rng, exact, zeros=0.1)
    return tensors


def kernel(size: tuple[int, ...], rng: Rng, exact: bool, zeros: float = 0.15) -> np.ndarray:
    """Return values of both signs and some exact zeros, as float32."""
    if exact:
        values = rng.integers(1, 5, size) * rng.choice([-0.25, 0.25], size)
    else:
        values = rng.normal(size=size) / math.sqrt(max(math.prod(size[:-1]), 1))
    values[rng.random(size) < zeros] = 0
    return values.astype(np.float32)


def _cell(kind: str, config: dict[str, Any], channels: int, rng: Rng) -> Tensors:
    units = config["units"]
    wide = GATES[kind] * units
    made = {"kernel": kernel((channels, wide), rng, False), "recurrent_kernel": kernel((units, wide), rng, False)}
    if config["use_bias"]:
        made["bias"] = kernel((2, wide) if config.get("reset_after") else (wide,), rng, False)
    return made


def _scale_and_offset(config: dict[str, Any], channels: int, rng: Rng, exact: bool) -> Tensors:
    tensors: Tensors = {}
    if config["scale"]:
        tensors["gamma"] = rng.choice([-0.5, 0.5, 1.0, 2.0], channels) if exact else rng.normal(1, 0.3, channels)
    if config["center"]:
        tensors["beta"] = rng.integers(-4, 5, channels) / 4 if exact else rng.normal(size=channels)
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def _normalization(config: dict[str, Any], channels: int, rng: Rng, exact: bool) -> Tensors:
    tensors = _scale_and_offset(config, channels, rng, exact)
    mean = rng.integers(-4, 5, channels) / 4 if exact else rng.normal(size=channels)
    # Where the variance plus epsilon is a power of 4, its root is exact.
    exact_variance = rng.choice([0.25, 1.0, 4.0], channels) - config["epsilon"]
    variance = exact_variance if exact else rng.uniform(0.3, 2.0, channels)
    return {**tensors, "moving_mean": mean.astype(np.float32), "moving_variance": variance.astype(np.float32)}
