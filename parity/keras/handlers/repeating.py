"""Handlers: layers that make more of the same values."""

from __future__ import annotations

from torch import nn

from parity.keras.handlers.layer import Built, Layer, Value
from parity.keras.modules.moving import Bilinear, Repeat, RepeatVector


def up_sampling(layer: Layer) -> Built:
    """`UpSampling1D`, `UpSampling2D`, `UpSampling3D`."""
    layer.require_channels_last()
    axes = int(layer.node.class_name[-2])
    layer.rank(axes + 1)
    sizes = layer.config.sizes("size", axes, 2)
    how = layer.config.text("interpolation", "nearest") if axes == 2 else "nearest"
    module: nn.Module
    if how == "nearest":
        module = Repeat(sizes)
    elif how == "bilinear":
        module = Bilinear(sizes)
    else:
        raise layer.fail(
            f"'interpolation' is {how!r}, whose weights TensorFlow rounds or tabulates in a way of its own (or whose "
            "gradient it lacks), so it would not be converted exactly. Use 'nearest' or 'bilinear'"
        )
    spatial = tuple(
        None if side is None else side * size for side, size in zip(layer.input.shape[:-1], sizes, strict=True)
    )
    return Built(Value((*spatial, layer.input.shape[-1])), (("", module),))


def repeat_vector(layer: Layer) -> Built:
    """`RepeatVector`."""
    layer.rank(1)
    count = layer.config.integer("n")
    if count < 1:
        raise layer.fail(f"'n' is {count}, expected a positive integer")
    return Built(Value((count, *layer.input.shape)), (("", RepeatVector(count)),))
