"""Layers that merge, normalise and prepare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, layer, network, row

# SIGN-XAI rectifies per consumer and has no rule for a first layer that two read; deep Taylor counts branches twice.
BRANCHED = {
    "guided_backprop": "reference-defect",
    "lrpsign_epsilon_0_25_std_x": "reference-defect",
    "deep_taylor": "unsupported",
}
# iNNvestigate takes the derivative of what keeps the shape, so that its own name is held to SIGN-XAI.
DERIVATIVE = {"lrp.alpha_2_beta_1": "reference-defect"}
# iNNvestigate raises, and is the only one with deep Taylor.
RAISES = {"lrp.alpha_2_beta_1": "reference-defect", "deep_taylor": "unjudged"}


def _merged(rng: np.random.Generator, class_name: str, **config: object) -> Network:
    """Return two convolutions of one activation, joined."""
    return network(
        (6, 5, 2),
        conv(rng, "first", (2, 2), 2, 3, activation="relu"),
        conv(rng, "a", (2, 2), 3, 3, "first", activation="relu"),
        conv(rng, "b", (2, 2), 3, 3, "first"),
        layer(class_name, "joined", "a", "b", **config),
        layer("Flatten", "f"),
        dense(rng, "out", 36, 3),
    )


def _around(rng: np.random.Generator, made: NetworkLayer, features: int = 60) -> Network:
    """Return a layer between a convolution and a classifier without negative weights, so that no rule gives zeros."""
    out = dense(rng, "out", 8, 3)
    out = replace(out, weights={name: abs(values) for name, values in out.weights.items()})
    return network(
        (6, 5, 2),
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        made,
        layer("Flatten", "f"),
        dense(rng, "d", features, 8, activation="relu"),
        out,
    )


def _before(rng: np.random.Generator, made: NetworkLayer, shape: tuple[int, int, int] = (6, 5, 2)) -> Network:
    """Return a layer between the input and a convolution."""
    return network(
        shape,
        made,
        conv(rng, "c", (2, 2), 2, 3, activation="relu"),
        layer("Flatten", "f"),
        dense(rng, "out", 60, 3),
    )


def _scale_and_offset(rng: np.random.Generator, *shape: int) -> dict[str, np.ndarray]:
    return {
        "gamma": (1 + 0.3 * rng.normal(size=shape)).astype(np.float32),
        "beta": (0.3 * rng.normal(size=shape)).astype(np.float32),
    }


@row((6, 5, 2), BRANCHED)
def multiply(rng: np.random.Generator) -> Network:
    return _merged(rng, "Multiply")


@row((6, 5, 2), BRANCHED)
def average(rng: np.random.Generator) -> Network:
    return _merged(rng, "Average")


@row((6, 5, 2), BRANCHED)
def maximum(rng: np.random.Generator) -> Network:
    return _merged(rng, "Maximum")


@row((6, 5, 2), BRANCHED)
def minimum(rng: np.random.Generator) -> Network:
    return _merged(rng, "Minimum")


@row((6, 5, 2), BRANCHED)
def subtract(rng: np.random.Generator) -> Network:
    return _merged(rng, "Subtract")


@row((6, 5, 2), BRANCHED)
def custom_scale(rng: np.random.Generator) -> Network:
    return _merged(rng, "Custom>CustomScaleLayer", scale=0.17)


@row((6, 5, 2), {"deep_taylor": "unsupported", "lrp.alpha_2_beta_1": "parity", "*": "reference-defect"})
def subtract_late_from_early(rng: np.random.Generator) -> Network:
    """The first tensor arrives last."""
    return network(
        (6, 5, 2),
        conv(rng, "a", (2, 2), 2, 3, activation="relu"),
        conv(rng, "b", (1, 1), 3, 3, "a", activation="relu"),
        layer("Subtract", "joined", "b", "a"),
        layer("Subtract", "again", "a", "joined"),
        layer("Flatten", "f"),
        dense(rng, "out", 60, 3),
    )


@row((6, 4), {"guided_backprop": "reference-defect", "deep_taylor": "unsupported"})
def dot(rng: np.random.Generator) -> Network:
    return network(
        (6, 4),
        conv(rng, "a", (1,), 4, 3, "x", activation="relu"),
        conv(rng, "b", (1,), 4, 5, "x"),
        layer("Dot", "joined", "a", "b", axes=1, normalize=False),
        layer("Flatten", "f"),
        dense(rng, "out", 15, 3),
    )


@row((6, 4), {"guided_backprop": "reference-defect", "lrp.*": "reference-defect", "deep_taylor": "unsupported"})
def dot_normalized(rng: np.random.Generator) -> Network:
    return network(
        (6, 4),
        conv(rng, "a", (1,), 4, 5, "x", activation="relu"),
        conv(rng, "b", (1,), 4, 5, "x"),
        layer("Dot", "joined", "a", "b", axes=2, normalize=True),
        layer("Flatten", "f"),
        dense(rng, "out", 36, 3),
    )


@row((6, 5, 2), BRANCHED)
def squeeze_and_excite(rng: np.random.Generator) -> Network:
    return network(
        (6, 5, 2),
        conv(rng, "c", (2, 2), 2, 4, activation="relu"),
        layer("GlobalAveragePooling2D", "squeeze", "c", keepdims=False),
        layer("Reshape", "image", target_shape=[1, 1, 4]),
        conv(rng, "less", (1, 1), 4, 2, activation="relu"),
        conv(rng, "gate", (1, 1), 2, 4, activation="sigmoid"),
        layer("Multiply", "excited", "c", "gate"),
        layer("Flatten", "f"),
        dense(rng, "out", 80, 3),
    )


@row((6, 5, 2), DERIVATIVE)
def rescaling(rng: np.random.Generator) -> Network:
    return _before(rng, layer("Rescaling", "r", scale=0.7, offset=0.1))


@row((6, 5, 2), DERIVATIVE)
def normalization(rng: np.random.Generator) -> Network:
    weights = {
        "mean": rng.normal(size=2).astype(np.float32),
        "variance": rng.uniform(0.3, 2, 2).astype(np.float32),
        "count": np.asarray(7, dtype=np.int64),
    }
    return _before(rng, layer("Normalization", "n", weights=weights, axis=[-1], mean=None, variance=None))


@row((6, 5, 2), DERIVATIVE)
def normalization_by_constants(rng: np.random.Generator) -> Network:
    return _around(rng, layer("Normalization", "n", axis=[3], mean=[-0.1, 0.3, -0.4], variance=[0.2, 1.1, 2.0]))


@row((6, 5, 2), {"*": "reference-defect"})
def random_crop(rng: np.random.Generator) -> Network:
    return _around(rng, layer("RandomCrop", "r", height=3, width=3, seed=None), 27)


@row((6, 5, 2))
def centre_crop(rng: np.random.Generator) -> Network:
    return _around(rng, layer("CenterCrop", "r", height=4, width=3), 36)


@row((9, 7, 2))
def resizing(rng: np.random.Generator) -> Network:
    return _before(rng, layer("Resizing", "r", height=6, width=5, interpolation="bilinear"), (9, 7, 2))


@row((9, 7, 2))
def resizing_nearest(rng: np.random.Generator) -> Network:
    return _before(rng, layer("Resizing", "r", height=6, width=5, interpolation="nearest"), (9, 7, 2))


@row((6, 5, 2), RAISES)
def layer_normalization(rng: np.random.Generator) -> Network:
    weights = _scale_and_offset(rng, 3)
    return _around(rng, layer("LayerNormalization", "n", weights=weights, axis=[3], epsilon=1e-3))


@row((6, 5, 2), RAISES)
def group_normalization(rng: np.random.Generator) -> Network:
    weights = _scale_and_offset(rng, 3)
    return _around(rng, layer("GroupNormalization", "n", weights=weights, groups=3, axis=-1, epsilon=1e-3))


@row((6, 5, 2), RAISES)
def unit_normalization(rng: np.random.Generator) -> Network:
    return _around(rng, layer("UnitNormalization", "n", axis=[3]))


@row((6, 5, 2), RAISES)
def batch_normalization_of_tensorflow_1(rng: np.random.Generator) -> Network:
    weights = {
        **_scale_and_offset(rng, 3),
        "moving_mean": rng.normal(size=3).astype(np.float32),
        "moving_variance": rng.uniform(0.3, 2, 3).astype(np.float32),
    }
    return _around(rng, layer("BatchNormalizationV1", "n", weights=weights, axis=[3], epsilon=1e-3))


@row((6, 5, 2), DERIVATIVE)
def layer_scale(rng: np.random.Generator) -> Network:
    weights = {"gamma": rng.normal(size=3).astype(np.float32)}
    return _around(rng, layer("LayerScale", "n", weights=weights, init_values=1e-6, projection_dim=3))


@row((6, 5, 2))
def stochastic_depth(rng: np.random.Generator) -> Network:
    return _around(rng, layer("StochasticDepth", "n", drop_path_rate=0.3))


@row((6, 5, 2), {"*": "unsupported"})
def softmax_in_the_middle(rng: np.random.Generator) -> Network:
    return _around(rng, layer("Softmax", "s", axis=-1))


@row((6, 5, 2), {"*": "unsupported"})
def softmax_of_a_dense_layer(rng: np.random.Generator) -> Network:
    """Return a network with a layer that iNNvestigate has not tested besides, so that its checks must not be off."""
    return network(
        (6, 5, 2),
        conv(rng, "c", (2, 2), 2, 3),
        layer("ReLU", "r"),
        layer("Flatten", "f"),
        dense(rng, "shares", 60, 6, activation="softmax"),
        dense(rng, "out", 6, 3),
    )


@row((4,), {"*": "unsupported"})
def weighted_by_a_softmax(rng: np.random.Generator) -> Network:
    return network(
        (4,),
        dense(rng, "shares", 4, 6, activation="softmax"),
        dense(rng, "values", 4, 6, "x"),
        layer("Multiply", "weighted", "shares", "values"),
        dense(rng, "out", 6, 3),
    )


def _inside(made: NetworkLayer) -> NetworkLayer:
    """Return a layer for every step of a series."""
    inner = {"class_name": made.class_name, "config": {"name": f"{made.name}_inside", **made.config}}
    inner["config"]["name"] = f"{made.name}_inside"
    return layer("TimeDistributed", made.name, weights=made.weights, layer=inner)


def _series(rng: np.random.Generator, *made: NetworkLayer, features: int) -> Network:
    return network((5, 4), conv(rng, "c", (2,), 4, 3, activation="relu"), *made, layer("Flatten", "f"),
                   dense(rng, "out", features, 3))  # fmt: skip


@row((5, 4), DERIVATIVE)
def time_distributed_keeps_the_shape(rng: np.random.Generator) -> Network:
    return _series(rng, _inside(dense(rng, "each", 3, 3, activation="relu")), features=12)


@row((5, 4))
def time_distributed(rng: np.random.Generator) -> Network:
    return _series(rng, _inside(dense(rng, "each", 3, 6, activation="relu")), features=24)


@row((3, 6, 5, 2))
def time_distributed_images(rng: np.random.Generator) -> Network:
    return network(
        (3, 6, 5, 2),
        _inside(conv(rng, "each", (2, 2), 2, 3, activation="relu")),
        _inside(layer("Flatten", "flat")),
        conv(rng, "c", (2,), 60, 3, activation="relu"),
        layer("Flatten", "f"),
        dense(rng, "out", 6, 3),
    )


@row((3, 6, 5, 2))
def time_distributed_model(rng: np.random.Generator) -> Network:
    """A model at every step is one layer without kernel to both references."""
    inner = conv(rng, "each", (2, 2), 2, 3, activation="relu")
    layers = [
        {"class_name": "InputLayer", "config": {"name": "frame", "batch_input_shape": [None, 6, 5, 2]}},
        {"class_name": "Conv2D", "config": {**inner.config, "name": "each"}},
        {"class_name": "MaxPooling2D", "config": {"name": "p", "pool_size": [2, 2]}},
        {"class_name": "Flatten", "config": {"name": "flat"}},
    ]
    model = {"class_name": "Sequential", "config": {"name": "model", "layers": layers}}
    weights = {f"each/{name}": values for name, values in inner.weights.items()}
    out = dense(rng, "out", 6, 3)  # without negative weights, for deep Taylor gives zeros else
    return network(
        (3, 6, 5, 2),
        layer("TimeDistributed", "frames", weights=weights, layer=model),
        conv(rng, "c", (2,), 12, 3, activation="relu"),
        layer("Flatten", "f"),
        replace(out, weights={name: abs(values) for name, values in out.weights.items()}),
    )


def _attending(rng: np.random.Generator, class_name: str, weights: dict[str, np.ndarray], **config: object) -> Network:
    return network(
        (5, 4),
        conv(rng, "q", (2,), 4, 3, "x", activation="relu"),
        conv(rng, "v", (1,), 4, 3, "x"),
        layer(class_name, "a", "q", "v", weights=weights, **config),
        layer("Flatten", "f"),
        dense(rng, "out", 12, 3),
    )


@row((5, 4), {"guided_backprop": "reference-defect", "deep_taylor": "unsupported"})
def attention(rng: np.random.Generator) -> Network:
    return _attending(rng, "Attention", {"scale": np.float32(0.7)}, use_scale=True, score_mode="dot")


@row((5, 4), {"guided_backprop": "reference-defect", "deep_taylor": "unsupported"})
def additive_attention(rng: np.random.Generator) -> Network:
    weights = {"scale": rng.normal(size=3).astype(np.float32)}
    return _attending(rng, "AdditiveAttention", weights, use_scale=True)


def _heads(rng: np.random.Generator, name: str, *reads: str, heads: int = 2, size: int = 3) -> NetworkLayer:
    """Return an attention of several heads over series of five steps and four channels, as Keras 2 calls it."""
    inputs = {f"{what}_kernel": rng.normal(size=(4, heads, size)) / 2 for what in ("query", "key", "value")}
    biases = {f"{what}_bias": 0.2 * rng.normal(size=(heads, size)) for what in ("query", "key", "value")}
    values = {
        **inputs,
        **biases,
        "output_kernel": rng.normal(size=(heads, size, 4)) / 2,
        "output_bias": np.full(4, 0.1),
    }
    order = [f"{what}_{part}" for what in ("query", "key", "value", "output") for part in ("kernel", "bias")]
    shapes = {f"{what}_shape": [None, 5, 4] for what in ("query", "key", "value")}
    made = layer(
        "MultiHeadAttention", name, *reads, weights={one: values[one].astype(np.float32) for one in order},
        num_heads=heads, key_dim=size, value_dim=size, use_bias=True, output_shape=None, attention_axes=None, **shapes,
    )  # fmt: skip
    return replace(made, keywords=(None, "value", "key")[: len(reads)])


# SIGN-XAI cannot call the layer; it can call each head by itself.
HEADS = {"deep_taylor": "unsupported", "*": "reference-defect"}


@row((5, 4), {"lrp.alpha_2_beta_1": "parity", **HEADS})
def self_attention(rng: np.random.Generator) -> Network:
    return _series(rng, conv(rng, "wide", (1,), 3, 4), _heads(rng, "a", "wide", "wide"), features=16)


@row((5, 4), HEADS)
def attention_of_a_query_to_a_value(rng: np.random.Generator) -> Network:
    return network(
        (5, 4),
        conv(rng, "q", (1,), 4, 4, "x", activation="relu"),
        conv(rng, "v", (1,), 4, 4, "x"),
        _heads(rng, "a", "q", "v"),
        layer("Flatten", "f"),
        dense(rng, "out", 20, 3),
    )


@row((5, 4), HEADS)
def causal_attention_of_heads(rng: np.random.Generator) -> Network:
    attention = replace(_heads(rng, "a", "wide", "wide"), settings={"use_causal_mask": True})
    return _series(rng, conv(rng, "wide", (1,), 3, 4), attention, features=16)


@row((5, 4), {"guided_backprop": "reference-defect", "deep_taylor": "unsupported"})
def causal_attention(rng: np.random.Generator) -> Network:
    whole = _attending(rng, "Attention", {"scale": np.float32(0.7)}, use_scale=True, score_mode="dot")
    return whole.with_layer(replace(whole["a"], settings={"use_causal_mask": True}))


@row((5, 4), HEADS)
def attention_with_a_key(rng: np.random.Generator) -> Network:
    return network(
        (5, 4),
        conv(rng, "q", (1,), 4, 4, "x", activation="relu"),
        conv(rng, "v", (1,), 4, 4, "x"),
        conv(rng, "k", (1,), 4, 4, "x"),
        _heads(rng, "a", "q", "v", "k", heads=1, size=4),
        layer("Flatten", "f"),
        dense(rng, "out", 20, 3),
    )


@row((5, 4), HEADS)
def two_attentions(rng: np.random.Generator) -> Network:
    return network(
        (5, 4),
        conv(rng, "c", (1,), 4, 4, "x", activation="relu"),
        _heads(rng, "a", "c", "c", size=2),
        layer("Add", "s", "c", "a"),
        _heads(rng, "b", "s", "s"),
        layer("Flatten", "f"),
        dense(rng, "out", 20, 3),
    )
