"""The one table of what Keras' layers compute, as the oracle has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.signxai_torch.oracles import (
    activations,
    attention,
    kernels,
    merging,
    normalization,
    operations,
    places,
    sequences,
)  # fmt: skip
from tests.signxai_torch.oracles.kernels import KERNELS
from tests.signxai_torch.oracles.layer import Array, Inner, Layer
from tests.signxai_torch.oracles.weightless import OPERATIONS

IDENTITIES = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "StochasticDepth", "AlphaDropout",
    "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "RandomBrightness", "RandomContrast",
    "RandomFlip", "RandomHeight", "RandomRotation", "RandomTranslation", "RandomWidth", "RandomZoom",
)  # fmt: skip

FORWARD: dict[str, Callable[..., Array]] = {
    **dict.fromkeys(KERNELS, kernels.forward),
    **{f"MaxPooling{n}D": places.max_pooling for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": places.average_pooling for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": places.global_max for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": places.global_average for n in (1, 2, 3)},
    **{f"UpSampling{n}D": places.up_sampling for n in (1, 2, 3)},
    **{f"ZeroPadding{n}D": places.zero_padding for n in (1, 2, 3)},
    **{f"Cropping{n}D": places.cropping for n in (1, 2, 3)},
    **dict.fromkeys(IDENTITIES, places.identity),
    "CenterCrop": places.centre_crop,
    "Resizing": places.nearest,
    "Flatten": places.flatten,
    "Reshape": places.reshape,
    "Permute": places.permute,
    "RepeatVector": places.repeat_vector,
    "Activation": activations.activation,
    "ReLU": activations.relu,
    "LeakyReLU": activations.leaky_relu,
    "ELU": activations.elu,
    "PReLU": activations.prelu,
    "ThresholdedReLU": activations.thresholded_relu,
    "Softmax": activations.softmax,
    **dict.fromkeys(OPERATIONS, operations.operation),
    "Add": merging.add,
    "Average": merging.average,
    "Multiply": merging.multiply,
    "Subtract": merging.subtract,
    "Maximum": merging.maximum,
    "Minimum": merging.minimum,
    "Custom>CustomScaleLayer": merging.scaled_sum,
    "Dot": merging.dot,
    "Concatenate": merging.concatenate,
    "BatchNormalization": normalization.batch_normalization,
    "BatchNormalizationV1": normalization.batch_normalization,
    "LayerNormalization": normalization.layer_normalization,
    "GroupNormalization": normalization.group_normalization,
    "UnitNormalization": normalization.unit_normalization,
    "Normalization": normalization.normalization,
    "Rescaling": normalization.rescaling,
    "LayerScale": normalization.layer_scale,
    "Attention": attention.attention,
    "AdditiveAttention": attention.additive_attention,
    "MultiHeadAttention": attention.multi_head_attention,
    "Embedding": sequences.embedding,
    "Masking": sequences.masking,
    **dict.fromkeys(sequences.STEPS, sequences.recurrent),
    "Bidirectional": sequences.bidirectional,
    "RNN": sequences.on_each_other,
    "TimeDistributed": lambda layer, x: np.stack([_at_a_step(layer, step) for step in x]),
}
"""By class name: from the layer, what it reads, and the mask of that if it reads masks, to what it puts out."""

READS_MASK = ("GlobalAveragePooling1D", "Bidirectional", "RNN", *sequences.STEPS)
READS_EACH_MASK = ("Attention", "AdditiveAttention", "MultiHeadAttention")
PASSES_MASK = (
    "Dense", "Activation", "Add", "Multiply", "Concatenate", "LayerNormalization", "TimeDistributed", *IDENTITIES,
)  # fmt: skip
PASSES_FIRST_MASK = ("Attention", "AdditiveAttention")
"""Attention says for each step of the query what it found."""
MAKES_MASK: Mapping[str, Callable[[Layer, Array], Array | None]] = {
    "Embedding": sequences.mask_of_tokens,
    "Masking": sequences.mask_of_steps,
}


@dataclass(frozen=True)
class Made:
    """What a layer puts out, and its mask."""

    value: Array
    mask: Array | None = None


def channels_first(layer: Layer) -> bool:
    return layer.config.get("data_format") == "channels_first"


def channels_last(layer: Layer, x: Array) -> Array:
    """Return what a layer reads, or puts out, with the channels last."""
    return np.moveaxis(x, 0, -1) if channels_first(layer) else x


def as_kept(layer: Layer, x: Array) -> Array:
    """Return what has its channels last as the layer has it."""
    return np.moveaxis(x, -1, 0) if channels_first(layer) else x


def apply(layer: Layer, inputs: list[Array], masks: Sequence[Array | None] = ()) -> Array:
    """Return what a layer puts out.

    Parameters
    ----------
    layer
        The layer.
    inputs
        What it reads.
    masks
        Of each input, None where it has none.
    """
    read = [channels_last(layer, x) for x in inputs]
    known: dict[str, Any] = {}
    if layer.class_name in READS_EACH_MASK and masks:
        known["masks"] = masks
    elif layer.class_name in READS_MASK and (mask := mask_of(masks)) is not None:
        known["mask"] = mask
    return as_kept(layer, FORWARD[layer.class_name](layer, *read, **known))


def _at_a_step(layer: Layer, x: Array) -> Array:
    """Return what the layer, or the chain of layers, inside a `TimeDistributed` makes of one step."""
    wrapped = layer.config["layer"]
    if wrapped["class_name"] != "Sequential":
        return apply(sequences.each_step(layer), [x])
    for inner in wrapped["config"]["layers"][1:]:
        name = f"{inner['config']['name']}/"
        weights = {key.removeprefix(name): values for key, values in layer.weights.items() if key.startswith(name)}
        x = apply(Inner(inner["class_name"], inner["config"], weights), [x])
    return x


def mask_of(masks: Sequence[Array | None]) -> Array | None:
    """Return the mask of what a layer reads; where several have one, what counts in all of them."""
    known = [mask for mask in masks if mask is not None]
    return np.all(known, axis=0) if known else None


def made_by(layer: Layer, read: list[Made]) -> Made:
    masks = [one.mask for one in read]
    value = apply(layer, [one.value for one in read], masks)
    if layer.class_name in MAKES_MASK:
        return Made(value, MAKES_MASK[layer.class_name](layer, read[0].value))
    if layer.class_name in PASSES_FIRST_MASK:
        return Made(value, masks[0])
    passes = layer.class_name in PASSES_MASK or _makes_a_sequence(layer)
    return Made(value, mask_of(masks) if passes else None)


def _makes_a_sequence(layer: Layer) -> bool:
    """Return whether a recurrent layer puts out every step, which its mask then goes with."""
    inner = layer.config["layer"]["config"] if layer.class_name == "Bidirectional" else layer.config
    return bool(layer.class_name in ("Bidirectional", *sequences.STEPS) and inner.get("return_sequences"))
