"""Networks of mutants that take several inputs, tokens, series with steps that do not count or that attend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.keras.network import Network, NetworkLayer
from parity.run.mutants.maker import Maker, input_layer, plain

TOKENS = 11


def _two_inputs(make: Maker) -> Network:
    return Network((
        input_layer(5, 4, 2),
        NetworkLayer("features", "InputLayer", {"batch_input_shape": [None, 3]}, ()),
        make.convolution("first", "x", 2, 3, (2, 2)),
        plain("flat", "Flatten", "first"),
        make.dense("second", "features", 3, 4, "relu"),
        plain("joined", "Concatenate", "flat", "second", axis=-1),
        make.dense("out", "joined", 64, 3),
    ))  # fmt: skip


def _two_inputs_normalized(make: Maker) -> Network:
    return Network((
        input_layer(5, 4, 2),
        NetworkLayer("features", "InputLayer", {"batch_input_shape": [None, 3]}, ()),
        make.convolution("first", "x", 2, 3, (2, 2), "linear"),
        make.normalization("norm", "first", 3),
        plain("bent", "ReLU", "norm"),
        plain("flat", "Flatten", "bent"),
        make.dense("second", "features", 3, 4, "relu"),
        plain("joined", "Concatenate", "flat", "second", axis=-1),
        make.dense("out", "joined", 64, 3),
    ))  # fmt: skip


def _text(make: Maker) -> Network:
    vectors = {"embeddings": make.values(TOKENS, 4) * 3}
    config = {"input_dim": TOKENS, "output_dim": 4, "mask_zero": False}
    return Network((
        input_layer(12),
        NetworkLayer("vectors", "Embedding", config, ("x",), vectors),
        make.convolution("first", "vectors", 4, 5, (3,)),
        plain("pool", "GlobalMaxPooling1D", "first"),
        make.dense("out", "pool", 5, 3),
    ))  # fmt: skip


def _recurrent(make: Maker) -> Network:
    weights = {"kernel": make.values(3, 16), "recurrent_kernel": make.values(4, 16), "bias": make.values(16) * 0.3}
    config = {"units": 4, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True}
    return Network((
        input_layer(7, 3),
        NetworkLayer("steps", "LSTM", config, ("x",), weights),
        make.dense("out", "steps", 4, 3),
    ))  # fmt: skip


def _masked(make: Maker) -> Network:
    return Network((
        input_layer(7, 3),
        plain("mask", "Masking", "x", mask_value=0.0),
        make.dense("first", "mask", 3, 5, "relu"),
        plain("pool", "GlobalAveragePooling1D", "first"),
        make.dense("out", "pool", 5, 3),
    ))  # fmt: skip


def _normalized_frames(make: Maker) -> Network:
    norm = make.normalization("norm", "x", 4)
    inside = {"class_name": norm.class_name, "config": {**norm.config, "name": "norm"}}
    return Network((
        input_layer(3, 5, 4),
        replace(norm, name="frames", class_name="TimeDistributed", config={"layer": inside}),
        plain("flat", "Flatten", "frames"),
        make.dense("out", "flat", 60, 3),
    ))  # fmt: skip


def _attended(make: Maker) -> Network:
    return Network((
        input_layer(7, 4),
        make.convolution("query", "x", 4, 4, (1,)),
        make.convolution("value", "x", 4, 4, (1,), "linear"),
        make.attention("mixed", "query", "value", 7, 4),
        plain("flat", "Flatten", "mixed"),
        make.dense("out", "flat", 28, 3),
    ))  # fmt: skip


def _attended_twice(make: Maker) -> Network:
    return Network((
        input_layer(7, 4),
        make.convolution("first", "x", 4, 4, (1,)),
        make.attention("mixed", "first", "first", 7, 4),
        make.attention("again", "mixed", "mixed", 7, 4),
        plain("flat", "Flatten", "again"),
        make.dense("out", "flat", 28, 3),
    ))  # fmt: skip


def _attended_causally(make: Maker) -> Network:
    attention = make.attention("mixed", "first", "first", 7, 4)
    return Network((
        input_layer(7, 4),
        make.convolution("first", "x", 4, 4, (1,)),
        replace(attention, settings={"use_causal_mask": True}),
        plain("flat", "Flatten", "mixed"),
        make.dense("out", "flat", 28, 3),
    ))  # fmt: skip


def _masked_attended(make: Maker) -> Network:
    return Network((
        input_layer(7, 3),
        plain("mask", "Masking", "x", mask_value=0.0),
        make.dense("query", "mask", 3, 4, "relu"),
        make.dense("value", "mask", 3, 4),
        plain("mixed", "Attention", "query", "value", use_scale=False, score_mode="dot"),
        plain("flat", "Flatten", "mixed"),
        make.dense("out", "flat", 28, 3),
    ))  # fmt: skip


NETWORKS: dict[str, Callable[[Maker], Network]] = {
    "two_inputs": _two_inputs,
    "two_inputs_normalized": _two_inputs_normalized,
    "text": _text,
    "recurrent": _recurrent,
    "masked": _masked,
    "masked_attended": _masked_attended,
    "normalized_frames": _normalized_frames,
    "attended": _attended,
    "attended_twice": _attended_twice,
    "attended_causally": _attended_causally,
}
"""The networks by name."""


def _tokens(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    tokens: npt.NDArray[Any] = np.floor(np.abs(values) * TOKENS) % TOKENS
    return tokens


def _ends_early(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    values[5:] = 0
    return values


SAMPLES: Mapping[str, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    "text": _tokens,
    "masked": _ends_early,
    "masked_attended": _ends_early,
}
"""What makes an input of normal numbers, for networks that take other numbers."""
