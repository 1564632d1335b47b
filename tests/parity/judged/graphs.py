"""How layers are put together: several inputs, and one input that two layers read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from parity.keras.network import Network, NetworkLayer
from tests.parity.judged.registry import conv, dense, layer, row

# Neither reference lets a class be chosen there; iNNvestigate explains the network of the one class. Its logit is
# negative here, where deep Taylor is zero on both sides.
SEVERAL_INPUTS = {
    "lrpsign_*": "unjudged", "deep_taylor": "unjudged", "*": "reference-defect",
}  # fmt: skip


@row((23,), SEVERAL_INPUTS)
def two_inputs(rng: np.random.Generator) -> Network:
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 5, 4]}, ()),
        NetworkLayer("features", "InputLayer", {"batch_input_shape": [None, 3]}, ()),
        conv(rng, "c", (2,), 4, 3, "x", activation="relu"),
        layer("Flatten", "f", "c"),
        dense(rng, "d", 3, 4, "features", activation="relu"),
        layer("Concatenate", "j", "f", "d", axis=-1),
        dense(rng, "out", 16, 3, "j"),
    ))  # fmt: skip


NORMALIZED_INPUTS = {
    "gradient": "reference-defect", "guided_backprop": "reference-defect", "integrated_gradients": "reference-defect",
    "*": "unjudged",
}  # fmt: skip


@row((23,), NORMALIZED_INPUTS)
def two_inputs_normalized(rng: np.random.Generator) -> Network:
    weights = {"gamma": rng.normal(size=3), "beta": rng.normal(size=3)}
    weights |= {"moving_mean": rng.normal(size=3), "moving_variance": rng.uniform(0.5, 1.5, 3)}
    weights = {name: values.astype(np.float32) for name, values in weights.items()}
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 5, 4]}, ()),
        NetworkLayer("features", "InputLayer", {"batch_input_shape": [None, 3]}, ()),
        conv(rng, "c", (2,), 4, 3, "x"),
        layer("BatchNormalization", "n", "c", weights=weights, axis=[2], epsilon=1e-3),
        layer("ReLU", "r", "n"),
        layer("Flatten", "f", "r"),
        dense(rng, "d", 3, 4, "features", activation="relu"),
        layer("Concatenate", "j", "f", "d", axis=-1),
        dense(rng, "out", 16, 3, "j"),
    ))  # fmt: skip


@row((7,), SEVERAL_INPUTS)
def two_inputs_of_one_output(rng: np.random.Generator) -> Network:
    """Return a sum of two logits, which no Dense layer ends: there is no class to choose."""
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 4]}, ()),
        NetworkLayer("features", "InputLayer", {"batch_input_shape": [None, 3]}, ()),
        dense(rng, "wide", 4, 1, "x"),
        dense(rng, "d", 3, 5, "features", activation="relu"),
        dense(rng, "deep", 5, 1, "d"),
        layer("Add", "sum", "wide", "deep"),
    ))  # fmt: skip


def _operation(class_name: str, name: str, function: str, reads: str, **told: object) -> NetworkLayer:
    """Return a bare operation as Keras 2 keeps it."""
    made = layer(class_name, name, reads, function=function)
    return replace(made, settings=told)


# SIGN-XAI rectifies for each reader of what is taken apart, and deep Taylor counts these twice.
@row(
    (6, 5, 3),
    {"guided_backprop": "reference-defect", "lrp.alpha_2_beta_1": "reference-defect", "deep_taylor": "unsupported"},
    lambda x: abs(x) * 100,
)
def prepared_as_caffe(rng: np.random.Generator) -> Network:
    rest, turned = {"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}
    means = {"bias": [-103.9375, -116.75, -123.5], "data_format": "NHWC"}
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 5, 3]}, ()),
        _operation("SlicingOpLambda", "bgr", "__operators__.getitem", "x", slice_spec=[rest, turned]),
        _operation("TFOpLambda", "centred", "nn.bias_add", "bgr", **means),
        conv(rng, "c", (2, 2), 3, 4, "centred", activation="relu"),
        layer("Flatten", "f", "c"),
        dense(rng, "out", 80, 3, "f"),
    ))  # fmt: skip


WHOLE = {"start": None, "stop": None, "step": None}


# SIGN rules and guided backprop stop in SIGN-XAI where two layers read one tensor, and deep Taylor counts these twice.
OF_TWO_READERS = {
    "lrpsign_*": "reference-defect", "guided_backprop": "reference-defect", "deep_taylor": "unsupported",
}  # fmt: skip


@row((6, 3), OF_TWO_READERS)
def halves_of_channels(rng: np.random.Generator) -> Network:
    """A gated linear unit."""
    halves = {"values": {**WHOLE, "stop": 4}, "gate": {**WHOLE, "start": 4}}
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 3]}, ()),
        conv(rng, "c", (2,), 3, 8, "x"),
        *(_operation("SlicingOpLambda", name, "__operators__.getitem", "c", slice_spec=[WHOLE, WHOLE, part])
          for name, part in halves.items()),
        layer("Activation", "opened", "gate", activation="sigmoid"),
        layer("Multiply", "m", "values", "opened"),
        layer("Flatten", "f", "m"),
        dense(rng, "out", 20, 3, "f"),
    ))  # fmt: skip


@row((6, 5, 2), OF_TWO_READERS)
def mean_of_channels(rng: np.random.Generator) -> Network:
    """Places weighted by the mean and the largest of their channels, as CBAM does."""
    axes = {"axis": -1, "keepdims": True}
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 5, 2]}, ()),
        conv(rng, "c", (2, 2), 2, 3, "x", activation="relu"),
        _operation("TFOpLambda", "mean", "math.reduce_mean", "c", **axes),
        _operation("TFOpLambda", "most", "math.reduce_max", "c", **axes),
        layer("Concatenate", "both", "mean", "most", axis=-1),
        conv(rng, "g", (1, 1), 2, 1, "both", activation="sigmoid"),
        layer("Multiply", "m", "c", "g"),
        layer("Flatten", "f", "m"),
        dense(rng, "out", 60, 3, "f"),
    ))  # fmt: skip


# Both references count twice what one layer reads twice: the file's own layers are asked about with a copy.
READ_TWICE = {"deep_taylor": "unsupported", "*": "reference-defect"}


@row((6, 5, 2), READ_TWICE)
def joined_with_itself(rng: np.random.Generator) -> Network:
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 5, 2]}, ()),
        conv(rng, "c", (2, 2), 2, 3, "x", activation="relu"),
        layer("Concatenate", "both", "c", "c", axis=-1),
        conv(rng, "d", (2, 2), 6, 3, "both", activation="relu"),
        layer("Flatten", "f", "d"),
        dense(rng, "out", 36, 3, "f"),
    ))  # fmt: skip


@row((6, 5, 2), {"lrp.alpha_2_beta_1": "parity", **READ_TWICE})
def added_to_what_hands_it_on(rng: np.random.Generator) -> Network:
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 5, 2]}, ()),
        conv(rng, "c", (2, 2), 2, 3, "x", activation="relu"),
        layer("Activation", "same", "c", activation="linear"),
        layer("Add", "both", "c", "same"),
        layer("Flatten", "f", "both"),
        dense(rng, "out", 60, 3, "f"),
    ))  # fmt: skip


@row((6, 5, 2), {"lrp.alpha_2_beta_1": "parity", **READ_TWICE})
def tiled_channels(rng: np.random.Generator) -> Network:
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 5, 2]}, ()),
        conv(rng, "c", (2, 2), 2, 3, "x", activation="relu"),
        _operation("TFOpLambda", "tiled", "tile", "c", multiples=[1, 1, 1, 2]),
        conv(rng, "d", (2, 2), 6, 3, "tiled", activation="relu"),
        layer("Flatten", "f", "d"),
        dense(rng, "out", 36, 3, "f"),
    ))  # fmt: skip


@row((6, 5, 2), OF_TWO_READERS)
def squared(rng: np.random.Generator) -> Network:
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 5, 2]}, ()),
        conv(rng, "c", (2, 2), 2, 3, "x"),
        _operation("TFOpLambda", "square", "math.square", "c"),
        layer("Flatten", "f", "square"),
        dense(rng, "out", 60, 3, "f"),
    ))  # fmt: skip


# SIGN-XAI joins in another order, so iNNvestigate is asked; where it has no such method, SIGN-XAI about an equivalent.
@row((6, 5, 2), {"deep_taylor": "unsupported", "lrp.alpha_2_beta_1": "parity", "*": "reference-defect"})
def cell_of_a_search(rng: np.random.Generator) -> Network:
    """Branches of which each lacks something that another has, as in the cells of NASNet."""
    return Network((
        NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, 6, 5, 2]}, ()),
        conv(rng, "p", (1, 1), 2, 3, "x", activation="relu"),
        conv(rng, "h", (2, 2), 2, 3, "x", activation="relu", padding="same"),
        layer("Add", "sum", "h", "p"),
        conv(rng, "of_p", (1, 1), 3, 2, "p", activation="relu"),
        conv(rng, "of_h", (1, 1), 3, 2, "h", activation="relu"),
        layer("Concatenate", "joined", "p", "sum", "of_p", "of_h", axis=-1),
        layer("Flatten", "f", "joined"),
        dense(rng, "out", 300, 3, "f"),
    ))  # fmt: skip
