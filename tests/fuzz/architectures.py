"""Hypothesis strategies: random networks of the converter's layers, as plain data.

A case is JSON: `{"input": shape, "layers": [{"class", "name", "from", "config"}], "sequential", "exact", "seed",
"methods"}`, and where it is so: "more_inputs" (name -> shape), "tokens" (how many there are), "again" of a layer (the
layer of which it is a further call), "nested" (the layers that stand in a model of their own), "auxiliary" (the layer
that makes another output), "channels_first", and "open" (the first axis has no size in the file). Weights and inputs
follow from `seed`.

In an exact case all numbers are small multiples of powers of two, and only layers that keep them so are drawn. Every
sum is then exact in float64 whatever its order, so ties between windows, pre-activations of exactly 0 and
denominators of exactly 0 are ties and zeros on both sides: what the frameworks make of them is compared, not how they
round. In the other cases numbers are generic, and everything is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from parity.keras.handlers.table import TRAINING_ONLY
from tests.fuzz.blocks import BLOCKS, SPATIAL_BLOCKS, Block
from tests.fuzz.blocks.kernels import dense
from tests.fuzz.builder import Builder, Case
from tests.fuzz.methods import EXACT_METHODS, METHODS
from tests.fuzz.shapes import Shape

LARGEST_FLAT = 160
MOST_LAYERS = 8
MOST_PLACES = 24
"""Of an output that has a row of classes per position, all its numbers."""
TOKENS = 11
OF_SPACE = ("channels_first", "open")
FORMS = ("plain", "plain", "plain", "sequential", "nested", "auxiliary", *OF_SPACE)
"""How a network is put into a file."""
_BY_CHANNELS_FIRST = (
    "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPooling2D", "AveragePooling2D",
    "ZeroPadding2D", "Cropping2D", "UpSampling2D", "GlobalMaxPooling2D", "GlobalAveragePooling2D", "Flatten",
    "BatchNormalization", "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "Add", "Concatenate",
    "Average", "Maximum", "Minimum", "Subtract", "Multiply",
)  # fmt: skip
_OF_ANY_LENGTH = (
    "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "MaxPooling1D",
    "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "ZeroPadding1D", "ZeroPadding2D", "BatchNormalization",
    "Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "Add", "Concatenate", "LSTM", "GRU", "SimpleRNN",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "Dense",
)  # fmt: skip


def head(b: Builder, y: str, any_length: bool) -> None:
    """From whatever there is to the logits, seldom to logits per position."""
    axes = b.axes(y)
    while axes and not any_length and math.prod(b.shapes[y]) > LARGEST_FLAT:
        pooled = b.add(f"MaxPooling{axes}D", y, pool_size=[2] * axes, strides=[2] * axes, padding="same")
        if b.shapes[pooled] == b.shapes[y]:
            break
        y = pooled
    units = b.integer(1, 4)
    per_position = (
        axes > 0 and not any_length and math.prod(b.shapes[y][:-1]) * units <= MOST_PLACES and b.integer(0, 9) == 0
    )
    if axes and not per_position:
        places = math.prod(b.shapes[y][:-1])
        exact_mean = not b.exact or places & (places - 1) == 0
        whole = ("GlobalAveragePooling",) if exact_mean and not _has_a_fixed_mean(b, y) else ()
        flat = () if any_length else ("Flatten", "Flatten")
        kind = b.of(*flat, "GlobalMaxPooling", *whole)
        y = b.add(kind if kind == "Flatten" else f"{kind}{axes}D", y)
    if b.flag():
        y = dense(b, y)
    end = b.of("attribute", "layer", "neither", "neither")
    last = b.of("softmax", b.activation())
    attribute = last if end == "attribute" else "linear"
    y = b.add("Dense", y, units=units, activation=attribute, use_bias=True)
    if end == "layer":
        kind = b.of("Activation", "ReLU", "LeakyReLU") if last == "relu" else "Activation"
        settings = {"Activation": {"activation": last}, "LeakyReLU": {"alpha": 0.25}}
        b.add(kind, y, **settings.get(kind, {}))


def _has_a_fixed_mean(b: Builder, y: str) -> bool:
    """Return whether each channel was normalised by itself: its mean depends on no input, so all maps are rounding."""
    layers = {layer["name"]: layer for layer in b.layers}
    while y in layers and layers[y]["class"] in (*TRAINING_ONLY, "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"):
        y = layers[y]["from"][0]
    normalized = y in layers and layers[y]["class"] == "GroupNormalization"
    return normalized and layers[y]["config"]["groups"] in (-1, b.shapes[y][-1])


def input_shape(draw: Callable[..., Any], what: str) -> Shape:
    """Draw the shape of an input, without the batch axis."""
    channels = st.integers(2, 3)
    match what:
        case "image":
            height = draw(st.integers(4, 9))
            # Only square images show what sizes that are equal do, such as Grad-CAM, which is transposed on all others.
            square = draw(st.integers(0, 3)) == 0
            width = height if square else draw(st.integers(4, 9).filter(lambda n: n != height))
            return (height, width, draw(channels))
        case "volume":
            return (draw(st.integers(2, 5)), draw(st.integers(3, 5)), draw(st.integers(2, 4)), 2)
        case "series":
            return (draw(st.integers(6, 17)), draw(channels))
        case "text":
            return (draw(st.integers(5, 12)),)
    return (draw(st.integers(3, 9)),)


@st.composite
def cases(draw: Callable[..., Any], blocks: tuple[Block, ...] | None = None) -> Case:
    """Draw a case: one to eight blocks before the classifier, and some methods."""
    exact = draw(st.booleans())
    form = draw(st.sampled_from(FORMS))
    what = draw(st.sampled_from(("image", "image", "image", "series", "series", "features", "volume", "text")))
    shape = input_shape(draw, what)
    b = Builder(draw, shape, exact, most_inputs=1 if what == "text" else 2)
    y = "x"
    if what == "text":
        y = b.add("Embedding", y, input_dim=TOKENS, output_dim=b.integer(2, 4))
    for _ in range(draw(st.integers(1, 6))):
        if len(b.layers) >= MOST_LAYERS:
            break
        y = draw(st.sampled_from(blocks or (SPATIAL_BLOCKS if form in OF_SPACE else BLOCKS)))(b, y)
    head(b, y, form == "open")
    names = EXACT_METHODS if exact else METHODS
    case: Case = {
        "input": list(shape),
        "layers": b.layers,
        "sequential": False,
        "exact": exact,
        "seed": draw(st.integers(0, 2**20)),
        "methods": draw(st.lists(st.sampled_from(names), min_size=6, max_size=9, unique=True)),
    }
    if what == "text":
        case["tokens"] = TOKENS
    if len(b.inputs) > 1:
        case["more_inputs"] = {name: list(size) for name, size in b.inputs.items() if name != "x"}
    return case | _told(b, what, form)


def _told(b: Builder, what: str, form: str) -> dict[str, Any]:
    """Return what a case says of how the network is put into a file; nothing where the form does not suit it."""
    before = ["x", *(layer["name"] for layer in b.layers)]
    straight = all(layer["from"] == [producer] for producer, layer in zip(before, b.layers, strict=False))
    straight &= not any("again" in layer or "told" in layer["config"] for layer in b.layers)
    classes = {layer["class"] for layer in b.layers}
    match form:
        case "sequential" if straight:
            return {"sequential": True}
        case "nested" if len(b.layers) > 1:
            return {"nested": nested} if (nested := _chain(b)) else {}
        case "auxiliary" if len(b.layers) > 1:
            return {"auxiliary": _auxiliary(b)}
        case "channels_first" if what == "image" and len(b.inputs) == 1 and _flat_before_dense(b):
            return {"channels_first": True} if classes <= {*_BY_CHANNELS_FIRST, "Dense"} else {}
        case "open" if what in ("image", "series") and len(b.inputs) == 1 and classes <= set(_OF_ANY_LENGTH):
            return {"open": True} if len(b.shapes[b.layers[-1]["name"]]) == 1 else {}
    return {}


def _flat_before_dense(b: Builder) -> bool:
    return all(b.axes(layer["from"][0]) == 0 for layer in b.layers if layer["class"] == "Dense")


def _chain(b: Builder) -> list[str]:
    """Draw layers that follow each other and are read by no others, but for the last; empty where there are none."""
    start = b.integer(0, len(b.layers) - 2)
    chain = b.layers[start : start + b.integer(1, 4)]
    names = [layer["name"] for layer in chain]
    for place, layer in enumerate(chain):
        readers = [other["name"] for other in b.layers if layer["name"] in other["from"]]
        alone = len(layer["from"]) == 1 and "again" not in layer and all(
            other.get("again") != layer["name"] for other in b.layers
        )  # fmt: skip
        inside = place == len(chain) - 1 or readers == [names[place + 1]]
        if not (alone and inside):
            return []
    return [] if any("mask" in layer["class"].lower() for layer in chain) else names


def _auxiliary(b: Builder) -> str:
    """Put another output before the last layer, made of any tensor, and return its name."""
    of = b.of(*(layer["name"] for layer in b.layers[:-1]))
    last = b.layers.pop()
    settings = {} if b.axes(of) else {"units": 2, "activation": "linear", "use_bias": True}
    name = b.add("Dense" if settings else "Flatten", of, **settings)
    b.layers.append(last)
    return name
