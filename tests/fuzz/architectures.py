"""Hypothesis strategies: random networks of the converter's layers, as plain data.

A case is JSON: `{"input": shape, "layers": [{"class", "name", "from", "config"}], "sequential", "exact", "seed",
"methods"}`. Weights and inputs follow from `seed`.

In an exact case all numbers are small multiples of powers of two, and only layers that keep them so are drawn. Every
sum is then exact in float64 whatever its order, so ties between windows, pre-activations of exactly 0 and
denominators of exactly 0 are ties and zeros on both sides: what the frameworks make of them is compared, not how they
round. In the other cases numbers are generic, and everything is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.methods import EXACT_METHODS, METHODS
from tests.fuzz.shapes import Shape, output_shape

Case = dict[str, Any]
LARGEST_FLAT = 160
EXACT_ACTIVATIONS = ("relu", "relu", "linear")
ACTIVATIONS = (*EXACT_ACTIVATIONS, "relu", "tanh", "elu", "sigmoid", "exponential")


class Builder:
    """Draws layers one after another and knows the shape of each."""

    def __init__(self, draw: Callable[..., Any], shape: Shape, exact: bool) -> None:
        self.draw, self.exact = draw, exact
        self.shapes: dict[str, Shape] = {"x": shape}
        self.layers: list[dict[str, Any]] = []

    def add(self, kind: str, *inbound: str, **config: Any) -> str:
        shape = output_shape(kind, config, [self.shapes[name] for name in inbound])
        if min(shape) < 1 or len(shape) > 3:
            return inbound[0]
        name = f"{kind.lower()}_{len(self.layers) + 1}"
        self.layers.append({"class": kind, "name": name, "from": list(inbound), "config": config})
        self.shapes[name] = shape
        return name

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def sizes(self, axes: int, low: int, high: int) -> list[int]:
        return [self.integer(low, high) for _ in range(axes)]

    def activation(self) -> str:
        choices = EXACT_ACTIVATIONS if self.exact else ACTIVATIONS
        if any(one["config"].get("activation") == "exponential" for one in self.layers):
            choices = ACTIVATIONS[:-1]  # one is enough: exp(exp(exp(x))) is infinite
        return str(self.of(*choices))


def dimensions(builder: Builder, name: str) -> int:
    return len(builder.shapes[name]) - 1


def convolution(b: Builder, y: str, filters: int | None = None, keep: bool = False) -> str:
    """A convolution of any kind; `keep` keeps the spatial sizes."""
    axes = dimensions(b, y)
    if axes == 0:
        return dense(b, y, filters)
    kinds = ("Conv", "Conv", "Separable") + (("Depthwise",) if axes == 2 and filters is None else ())
    kind = b.of(*kinds)
    config: dict[str, Any] = {
        "kernel_size": b.sizes(axes, 1, 4),
        "strides": [1 if keep else b.integer(1, 2)] * axes,
        "padding": "same" if keep else b.of("same", "valid"),
        "activation": b.activation(),
        "use_bias": b.of(True, True, False),
    }
    if config["strides"][0] == 1 and b.integer(0, 3) == 0:
        config["dilation_rate"] = [2] * axes
    if axes == 1 and kind == "Conv" and b.integer(0, 3) == 0:
        config["padding"] = "causal"
    if kind == "Depthwise":
        return b.add("DepthwiseConv2D", y, **config, depth_multiplier=b.integer(1, 2))
    config["filters"] = filters or b.integer(2, 4)
    if kind == "Separable":
        config["depth_multiplier"] = b.integer(1, 2)
    return b.add(f"{'Conv' if kind == 'Conv' else 'SeparableConv'}{axes}D", y, **config)


def dense(b: Builder, y: str, units: int | None = None) -> str:
    return b.add(
        "Dense", y, units=units or b.integer(2, 6), activation=b.activation(), use_bias=b.of(True, True, False)
    )


def pooling(b: Builder, y: str) -> str:
    axes = dimensions(b, y)
    if axes == 0:
        return y
    kind = b.of("Max", "Average")
    largest = 2 if kind == "Average" and b.exact else 3  # windows of 1, 2 and 4 places divide exactly
    config = {
        "pool_size": b.sizes(axes, 1, largest),
        "strides": b.sizes(axes, 1, 2) if axes == 1 else [b.integer(1, 2)] * 2,
        "padding": b.of("valid", "same"),
    }
    return b.add(f"{kind}Pooling{axes}D", y, **config)


def normalization(b: Builder, y: str) -> str:
    return b.add("BatchNormalization", y, epsilon=2.0**-10, scale=b.of(True, True, False), center=b.of(True, False))


def activation_layer(b: Builder, y: str) -> str:
    kind = b.of("Activation", "ReLU", "LeakyReLU", "training only", *(() if b.exact else ("ELU",)))
    if kind == "training only":
        kind = b.of("Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity")
    settings: dict[str, dict[str, Any]] = {
        "LeakyReLU": {"alpha": 0.25},
        "GaussianNoise": {"stddev": 0.5},
        **{name: {"rate": 0.5} for name in ("Dropout", "GaussianDropout", "AlphaDropout")},
    }
    config = {"activation": b.activation()} if kind == "Activation" else settings.get(kind, {})
    return b.add(kind, y, **config)


def margins(b: Builder, y: str) -> str:
    axes = dimensions(b, y)
    if axes == 0:
        return y
    kind, key = b.of(("ZeroPadding", "padding"), ("Cropping", "cropping"))
    pairs = [b.sizes(2, 0, 2) for _ in range(axes)]
    return b.add(f"{kind}{axes}D", y, **{key: pairs if axes == 2 else pairs[0]})


def moved(b: Builder, y: str) -> str:
    shape = b.shapes[y]
    if len(shape) == 3 and b.flag():
        return b.add("Reshape", y, target_shape=[shape[0] * shape[1], shape[2]])
    if len(shape) > 1:
        return b.add("Permute", y, dims=b.draw(st.permutations(range(1, len(shape) + 1))))
    return y


def residual(b: Builder, y: str) -> str:
    """x + f(x), or f(x) + g(x)."""
    one = convolution(b, y, filters=b.shapes[y][-1], keep=True)
    other = y if b.flag() else convolution(b, y, filters=b.shapes[y][-1], keep=True)
    if other == one:
        return y
    return b.add("Add", *b.draw(st.permutations([one, other])))


def joined(b: Builder, y: str) -> str:
    """[x, f(x)], or [f(x), g(x)], along the channels."""
    one = convolution(b, y, keep=True) if dimensions(b, y) == 0 else convolution(b, y, b.integer(2, 3), keep=True)
    other = y if b.flag() else convolution(b, y, b.integer(2, 3), keep=True)
    if other == one:
        return y
    return b.add("Concatenate", *b.draw(st.permutations([one, other])), axis=-1)


BLOCKS = (convolution, convolution, convolution, pooling, pooling, normalization, activation_layer, margins, moved,
          residual, joined)  # fmt: skip


def head(b: Builder, y: str) -> None:
    """From whatever there is to the logits."""
    axes = dimensions(b, y)
    while axes and _product(b.shapes[y]) > LARGEST_FLAT:
        pooled = b.add(f"MaxPooling{axes}D", y, pool_size=[2] * axes, strides=[2] * axes, padding="same")
        if b.shapes[pooled] == b.shapes[y]:
            break
        y = pooled
    if axes:
        places = _product(b.shapes[y][:-1])
        whole = ("GlobalAveragePooling",) if not b.exact or places & (places - 1) == 0 else ()
        kind = b.of("Flatten", "Flatten", "GlobalMaxPooling", *whole)
        y = b.add(kind if kind == "Flatten" else f"{kind}{axes}D", y)
    if b.flag():
        y = dense(b, y)
    end = b.of("attribute", "layer", "neither", "neither")
    last = b.of("softmax", b.activation())
    attribute = last if end == "attribute" else "linear"
    y = b.add("Dense", y, units=b.integer(1, 4), activation=attribute, use_bias=True)
    if end == "layer":
        kind = b.of("Activation", "ReLU", "LeakyReLU") if last == "relu" else "Activation"
        settings = {"Activation": {"activation": last}, "LeakyReLU": {"alpha": 0.25}}
        b.add(kind, y, **settings.get(kind, {}))


def _product(shape: Shape) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


@st.composite
def cases(draw: Callable[..., Any], blocks: tuple[Callable[[Builder, str], str], ...] = BLOCKS) -> Case:
    """Draw a case: one to eight blocks before the classifier, and some methods."""
    exact = draw(st.booleans())
    what = draw(st.sampled_from(("image", "image", "image", "series", "features")))
    channels = st.integers(2, 3)
    if what == "image":
        height = draw(st.integers(4, 9))
        # Only square images show what sizes that are equal do, such as Grad-CAM, which is transposed on all others.
        square = draw(st.integers(0, 3)) == 0
        width = height if square else draw(st.integers(4, 9).filter(lambda n: n != height))
        shape: Shape = (height, width, draw(channels))
    else:
        shape = (draw(st.integers(6, 17)), draw(channels)) if what == "series" else (draw(st.integers(3, 9)),)
    b = Builder(draw, shape, exact)
    y = "x"
    for _ in range(draw(st.integers(1, 6))):
        if len(b.layers) >= 8:
            break
        y = draw(st.sampled_from(blocks))(b, y)
    head(b, y)
    before = ["x", *(layer["name"] for layer in b.layers)]
    straight = all(layer["from"] == [producer] for producer, layer in zip(before, b.layers, strict=False))
    names = EXACT_METHODS if exact else METHODS
    return {
        "input": list(shape),
        "layers": b.layers,
        "sequential": straight and draw(st.booleans()),
        "exact": exact,
        "seed": draw(st.integers(0, 2**20)),
        "methods": draw(st.lists(st.sampled_from(names), min_size=6, max_size=9, unique=True)),
    }
