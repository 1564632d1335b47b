"""Layers with a kernel."""

from __future__ import annotations

from typing import Any

from tests.fuzz.builder import Builder


def convolution(b: Builder, y: str, filters: int | None = None, keep: bool = False) -> str:
    """A convolution of any kind; `keep` keeps the spatial sizes."""
    axes = b.axes(y)
    if axes == 0:
        return dense(b, y, filters)
    kinds = ["Conv", "Conv"]
    if axes < 3:
        kinds += ["Separable"] + ["Depthwise"] * (filters is None)
    kind = b.of(*kinds)
    config: dict[str, Any] = {
        "kernel_size": b.sizes(axes, 1, 4 if axes < 3 else 2),
        "strides": [1 if keep else b.integer(1, 2)] * axes,
        "padding": "same" if keep else b.of("same", "valid"),
        "activation": b.activation(),
        "use_bias": b.of(True, True, False),
    }
    if config["strides"][0] == 1 and axes < 3 and b.seldom():
        config["dilation_rate"] = [2] * axes
    if axes == 1 and kind == "Conv" and b.seldom():
        config["padding"] = "causal"
    if kind == "Depthwise":
        return b.add(f"DepthwiseConv{axes}D", y, **config, depth_multiplier=b.integer(1, 2))
    config["filters"] = filters or b.integer(2, 4)
    if kind == "Separable":
        config["depth_multiplier"] = b.integer(1, 2)
    return b.add(f"{'Conv' if kind == 'Conv' else 'SeparableConv'}{axes}D", y, **config)


def dense(b: Builder, y: str, units: int | None = None) -> str:
    return b.add(
        "Dense", y, units=units or b.integer(2, 6), activation=b.activation(), use_bias=b.of(True, True, False)
    )


def transposed(b: Builder, y: str) -> str:
    axes = b.axes(y)
    if axes == 0 or max(b.shapes[y]) > 12:
        return y
    stride = b.integer(1, 2)
    return b.add(
        f"Conv{axes}DTranspose", y, filters=b.integer(2, 3), kernel_size=b.sizes(axes, 1, 3), strides=[stride] * axes,
        padding=b.of("same", "valid"), activation=b.activation(), use_bias=b.of(True, True, False),
    )  # fmt: skip


def locally_connected(b: Builder, y: str) -> str:
    axes = b.axes(y)
    if axes not in (1, 2) or max(b.shapes[y]) > 9:
        return y
    return b.add(
        f"LocallyConnected{axes}D", y, filters=b.integer(1, 2), kernel_size=b.sizes(axes, 1, 3),
        strides=[b.integer(1, 2)] * axes, padding="valid", implementation=1, activation=b.activation(),
        use_bias=b.of(True, True, False),
    )  # fmt: skip
