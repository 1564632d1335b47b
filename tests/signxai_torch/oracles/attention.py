"""Attention over the steps of a series (steps, channels), in Keras' three forms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.signxai_torch.oracles.layer import Array, Layer, softmax

Masks = Sequence[Array | None]
HIDDEN = 1e9
"""What TensorFlow takes off the scores of steps that must not be seen."""


def _mixed(layer: Layer, scores: Array, value: Array, masks: Masks) -> Array:
    """Return the values weighted by their scores (queries, keys); no step sees a later one if the layer is causal.

    Nothing is seen of steps that are off in the value's mask; those of the query make zeros.
    """
    of_query, of_value = (*masks, None, None)[:2]
    hidden = np.zeros(scores.shape, bool)
    if layer.config.get("causal") or layer.settings.get("use_causal_mask"):
        hidden |= np.arange(scores.shape[1])[None] > np.arange(scores.shape[0])[:, None]
    if of_value is not None:
        hidden |= ~of_value[None]
    made = softmax(scores - HIDDEN * hidden) @ value
    return made if of_query is None else made * of_query[:, None]


def attention(layer: Layer, query: Array, value: Array, key: Array | None = None, masks: Masks = ()) -> Array:
    """`score_mode` "dot": scale * q.k. "concat": weight * sum(tanh(scale * (q + k)))."""
    key = value if key is None else key
    scale = float(layer.weights["scale"]) if "scale" in layer.weights else 1.0
    if layer.config.get("score_mode", "dot") == "dot":
        scores = np.stack([[scale * (q * k).sum() for k in key] for q in query])
    else:
        weight = float(layer.weights.get("concat_score_weight", 1.0))
        scores = np.stack([[weight * np.tanh(scale * (q + k)).sum() for k in key] for q in query])
    return _mixed(layer, scores, value, masks)


def additive_attention(layer: Layer, query: Array, value: Array, key: Array | None = None, masks: Masks = ()) -> Array:
    """``sum(scale * tanh(q + k))``, a scale per channel."""
    key = value if key is None else key
    scale = layer.weights["scale"].astype(np.float64) if "scale" in layer.weights else 1.0
    scores = np.stack([[(scale * np.tanh(q + k)).sum() for k in key] for q in query])
    return _mixed(layer, scores, value, masks)


def multi_head_attention(layer: Layer, *tensors: Array, masks: Masks = ()) -> Array:
    """Head by head: project, ``softmax(q.k / sqrt(size))``, mix; the output adds the heads up.

    Of what is seen a mask of the query takes whole rows, which then see all steps alike; the others take columns.
    """
    names = [
        name or place for name, place in zip(layer.keywords or (None,) * 3, ("query", "value", "key"), strict=False)
    ]
    read = dict(zip(names, tensors, strict=False))
    seen = np.ones((len(read["query"]), len(read["value"])), bool)
    if layer.settings.get("use_causal_mask"):
        seen = np.tril(seen)
    for name, mask in zip(names, masks, strict=False):
        if mask is not None:
            seen &= mask[:, None] if name == "query" else mask[None]
    read.setdefault("key", read["value"])
    held = {name: values.astype(np.float64) for name, values in layer.weights.items()}
    total: Array = np.zeros(())
    for head in range(layer.config["num_heads"]):

        def projected(name: str, head: int = head) -> Array:
            return read[name] @ held[f"{name}_kernel"][:, head] + (
                held[f"{name}_bias"][head] if f"{name}_bias" in held else 0.0
            )

        query, key, value = projected("query"), projected("key"), projected("value")
        weights = softmax(query @ key.T / np.sqrt(query.shape[1]) - HIDDEN * ~seen)
        total = total + weights @ value @ held["output_kernel"][head]
    return total + held.get("output_bias", 0.0)
