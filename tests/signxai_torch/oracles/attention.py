"""Attention over the steps of a series (steps, channels), in Keras' three forms."""

from __future__ import annotations

import numpy as np

from tests.signxai_torch.oracles.layer import Array, Layer, softmax


def _mixed(layer: Layer, scores: Array, value: Array) -> Array:
    """Return the values weighted by their scores (queries, keys); no step sees a later one if the layer is causal."""
    if layer.config.get("causal"):
        later = np.arange(scores.shape[1])[None] > np.arange(scores.shape[0])[:, None]
        scores = scores - 1e9 * later
    return softmax(scores) @ value


def attention(layer: Layer, query: Array, value: Array, key: Array | None = None) -> Array:
    """`score_mode` "dot": scale * q.k. "concat": weight * sum(tanh(scale * (q + k)))."""
    key = value if key is None else key
    scale = float(layer.weights["scale"]) if "scale" in layer.weights else 1.0
    if layer.config.get("score_mode", "dot") == "dot":
        scores = np.stack([[scale * (q * k).sum() for k in key] for q in query])
    else:
        weight = float(layer.weights.get("concat_score_weight", 1.0))
        scores = np.stack([[weight * np.tanh(scale * (q + k)).sum() for k in key] for q in query])
    return _mixed(layer, scores, value)


def additive_attention(layer: Layer, query: Array, value: Array, key: Array | None = None) -> Array:
    """``sum(scale * tanh(q + k))``, a scale per channel."""
    key = value if key is None else key
    scale = layer.weights["scale"].astype(np.float64) if "scale" in layer.weights else 1.0
    scores = np.stack([[(scale * np.tanh(q + k)).sum() for k in key] for q in query])
    return _mixed(layer, scores, value)


def multi_head_attention(layer: Layer, *tensors: Array) -> Array:
    """Head by head: project, ``softmax(q.k / sqrt(size))``, mix; the output adds the heads up."""
    names = [
        name or place for name, place in zip(layer.keywords or (None,) * 3, ("query", "value", "key"), strict=False)
    ]
    read = dict(zip(names, tensors, strict=False))
    read.setdefault("key", read["value"])
    held = {name: values.astype(np.float64) for name, values in layer.weights.items()}
    total: Array = np.zeros(())
    for head in range(layer.config["num_heads"]):

        def projected(name: str, head: int = head) -> Array:
            return read[name] @ held[f"{name}_kernel"][:, head] + (
                held[f"{name}_bias"][head] if f"{name}_bias" in held else 0.0
            )

        query, key, value = projected("query"), projected("key"), projected("value")
        weights = softmax(query @ key.T / np.sqrt(query.shape[1]))
        total = total + weights @ value @ held["output_kernel"][head]
    return total + held.get("output_bias", 0.0)
