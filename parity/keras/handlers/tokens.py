"""Handlers: tokens and masks."""

from __future__ import annotations

from parity.keras.handlers.layer import Built, Layer, Value, Variable, fill
from parity.keras.modules.tokens import Masking, StepMask, TokenEmbedding, TokenMask

EMBEDDINGS = (Variable("embeddings"),)


def embedding(layer: Layer) -> Built:
    """`Embedding`: a vector per token, along a new last axis."""
    count, size = layer.config.integer("input_dim"), layer.config.integer("output_dim")
    module = TokenEmbedding(count, size, device="meta")
    fill(module, weight=layer.tensor(layer.weight("embeddings", (count, size))))
    mask = TokenMask() if layer.config.flag("mask_zero", False) else None
    return Built(Value((*layer.input.shape, size)), (("", module),), mask)


def masking(layer: Layer) -> Built:
    """`Masking`: on a sequence."""
    layer.rank(2)
    value = layer.config.number("mask_value", 0.0)
    return Built(layer.input, (("", Masking(value)),), StepMask(value))
