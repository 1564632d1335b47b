"""Layers that prepare images and numbers, and those that normalise by the sample's own statistics."""

from __future__ import annotations

from tests.fuzz.builder import Builder


def rescaled(b: Builder, y: str) -> str:
    kind = b.of("Rescaling", "LayerScale", *(() if b.exact else ("Normalization",)))
    channels = b.shapes[y][-1]
    match kind:
        case "Rescaling":
            return b.add(kind, y, scale=b.of(0.5, -0.25, 2.0), offset=b.of(0.0, 0.25))
        case "LayerScale":
            return b.add(kind, y, init_values=0.5, projection_dim=channels)
    return b.add(kind, y, axis=[-1], mean=None, variance=None)


def resized(b: Builder, y: str) -> str:
    if b.axes(y) != 2:
        return y
    height, width, _ = b.shapes[y]
    if b.flag():
        return b.add("CenterCrop", y, height=b.integer(1, height), width=b.integer(1, width))
    how = "nearest" if b.exact else b.of("bilinear", "nearest")
    return b.add("Resizing", y, height=b.integer(2, 8), width=b.integer(2, 8), interpolation=how)


def normalized_by_sample(b: Builder, y: str) -> str:
    if b.exact:
        return y
    channels = b.shapes[y][-1]
    kind = b.of("LayerNormalization", "GroupNormalization", "UnitNormalization")
    match kind:
        case "LayerNormalization":
            return b.add(kind, y, axis=[b.axes(y) + 1], epsilon=1e-3, scale=b.flag(), center=b.flag())
        case "GroupNormalization":
            groups = b.of(*(n for n in range(1, channels + 1) if channels % n == 0))
            return b.add(kind, y, groups=groups, axis=-1, epsilon=1e-3, scale=b.flag(), center=b.flag())
    return b.add(kind, y, axis=[b.axes(y) + 1])
