"""Layers that pool, normalise, bend or move values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.builder import Builder

LARGEST_SIDE = 10


def pooling(b: Builder, y: str) -> str:
    axes = b.axes(y)
    if axes == 0:
        return y
    kind = b.of("Max", "Average")
    largest = 2 if (kind == "Average" and b.exact) or axes == 3 else 3  # windows of 1, 2, 4 and 8 places divide exactly
    config = {
        "pool_size": b.sizes(axes, 1, largest),
        "strides": b.sizes(axes, 1, 2) if axes != 2 else [b.integer(1, 2)] * 2,
        "padding": b.of("valid", "same"),
    }
    return b.add(f"{kind}Pooling{axes}D", y, **config)


def normalization(b: Builder, y: str) -> str:
    return b.add("BatchNormalization", y, epsilon=2.0**-10, scale=b.of(True, True, False), center=b.of(True, False))


def activation_layer(b: Builder, y: str) -> str:
    kind = b.of("Activation", "ReLU", "LeakyReLU", "training only", *(() if b.exact else ("ELU",)))
    if kind == "training only":
        kind = b.of("Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity",
                    *((f"SpatialDropout{b.axes(y)}D",) if b.axes(y) else ()))  # fmt: skip
    settings: dict[str, dict[str, Any]] = {
        "LeakyReLU": {"alpha": 0.25},
        "GaussianNoise": {"stddev": 0.5},
        **{name: {"rate": 0.5} for name in ("Dropout", "GaussianDropout", "AlphaDropout")},
        **{f"SpatialDropout{axes}D": {"rate": 0.5} for axes in (1, 2, 3)},
    }
    config = {"activation": b.activation()} if kind == "Activation" else settings.get(kind, {})
    return b.add(kind, y, **config)


def margins(b: Builder, y: str) -> str:
    axes = b.axes(y)
    if axes == 0:
        return y
    kind, key = b.of(("ZeroPadding", "padding"), ("Cropping", "cropping"))
    pairs = [b.sizes(2, 0, 2 if axes < 3 else 1) for _ in range(axes)]
    return b.add(f"{kind}{axes}D", y, **{key: pairs if axes > 1 else pairs[0]})


def moved(b: Builder, y: str) -> str:
    shape = b.shapes[y]
    if len(shape) == 3 and b.flag():
        return b.add("Reshape", y, target_shape=[shape[0] * shape[1], shape[2]])
    if len(shape) > 1:
        return b.add("Permute", y, dims=b.draw(st.permutations(range(1, len(shape) + 1))))
    return y


def enlarged(b: Builder, y: str) -> str:
    axes = b.axes(y)
    if axes == 0 or max(b.shapes[y]) > LARGEST_SIDE // 2:
        return y
    if axes == 1:
        return b.add("UpSampling1D", y, size=b.integer(1, 3))
    config: dict[str, Any] = {"size": b.sizes(axes, 1, 2)}
    if axes == 2 and not b.exact and b.flag():
        config["interpolation"] = "bilinear"
    return b.add(f"UpSampling{axes}D", y, **config)
