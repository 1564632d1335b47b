"""Recurrent layers, layers for every step, and masks."""

from __future__ import annotations

from typing import Any

from tests.fuzz.blocks.kernels import convolution
from tests.fuzz.builder import Builder

CELLS = ("LSTM", "GRU", "SimpleRNN")


def recurrent(b: Builder, y: str, sequences: bool | None = None) -> str:
    if b.axes(y) != 1 or b.exact:
        return y
    config = _cell(b, b.flag() if sequences is None else sequences)
    kind = config.pop("class")
    if b.seldom():
        inner = {"class_name": kind, "config": {"name": "inside", **config}}
        return b.add("Bidirectional", y, layer=inner, merge_mode=b.of("concat", "sum", "ave", "mul"))
    return b.add(kind, y, **config)


def _cell(b: Builder, sequences: bool) -> dict[str, Any]:
    kind = b.of(*CELLS)
    config: dict[str, Any] = {"class": kind, "units": b.integer(2, 4), "activation": b.of("tanh", "tanh", "sigmoid"),
                              "return_sequences": sequences, "use_bias": b.of(True, True, False)}  # fmt: skip
    if kind != "SimpleRNN":
        config["recurrent_activation"] = b.of("sigmoid", "hard_sigmoid")
    if kind == "GRU":
        config["reset_after"] = b.flag()
    if b.seldom():
        config["go_backwards"] = True
    return config


def time_distributed(b: Builder, y: str) -> str:
    """A dense layer at every step of a series, or a convolution on every image of a volume."""
    axes = b.axes(y)
    if axes not in (1, 3):
        return y
    config: dict[str, Any] = {"name": "inside", "activation": b.activation(), "use_bias": b.flag()}
    if axes == 1:
        inner = {"class_name": "Dense", "config": config | {"units": b.integer(2, 5)}}
    else:
        config |= {"filters": b.integer(2, 3), "kernel_size": b.sizes(2, 1, 2), "strides": [1, 1], "padding": "same"}
        inner = {"class_name": "Conv2D", "config": config}
    return b.add("TimeDistributed", y, layer=inner)


def masked(b: Builder, y: str) -> str:
    """Steps that are left out, before a layer whose result has no mask."""
    if b.axes(y) != 1:
        return y
    y = b.add("Masking", y, mask_value=0.0)
    if b.exact or b.flag():
        kinds = {"filters": b.integer(2, 3), "kernel_size": [b.integer(1, 3)], "strides": [1], "padding": "same"}
        return b.add("Conv1D", y, **kinds, activation=b.activation(), use_bias=True)
    return recurrent(b, y, sequences=False)


def repeated(b: Builder, y: str) -> str:
    """Features as a series."""
    if b.axes(y) != 0:
        return y
    series = b.add("RepeatVector", y, n=b.integer(2, 4))
    return convolution(b, series)
