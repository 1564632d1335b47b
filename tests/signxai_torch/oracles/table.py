"""The one table of what Keras' layers compute, as the oracle has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tests.signxai_torch.oracles import attention, kernels, merging, normalization, places, sequences
from tests.signxai_torch.oracles.kernels import KERNELS
from tests.signxai_torch.oracles.layer import Array, Layer

IDENTITIES = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "StochasticDepth", "RandomFlip",
    "RandomRotation", "RandomContrast",
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
    "Activation": places.activation,
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
    "TimeDistributed": lambda layer, x: np.stack([apply(sequences.each_step(layer), [step]) for step in x]),
}
"""By class name: from the layer, what it reads, and the mask of that if it reads masks, to what it puts out."""

READS_MASK = ("GlobalAveragePooling1D", "Bidirectional", *sequences.STEPS)
PASSES_MASK = ("Dense", "Activation", "Add", "Concatenate", *IDENTITIES)
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


def apply(layer: Layer, inputs: list[Array], mask: Array | None = None) -> Array:
    """Return what a layer puts out."""
    read = [channels_last(layer, x) for x in inputs]
    known = {"mask": mask} if mask is not None and layer.class_name in READS_MASK else {}
    return as_kept(layer, FORWARD[layer.class_name](layer, *read, **known))


def mask_of(read: list[Made]) -> Array | None:
    """Return the mask of what a layer reads; where several have one, what counts in all of them."""
    masks = [one.mask for one in read if one.mask is not None]
    return np.all(masks, axis=0) if masks else None


def made_by(layer: Layer, read: list[Made]) -> Made:
    mask = mask_of(read)
    value = apply(layer, [one.value for one in read], mask)
    if layer.class_name in MAKES_MASK:
        return Made(value, MAKES_MASK[layer.class_name](layer, read[0].value))
    passes = layer.class_name in PASSES_MASK or _makes_a_sequence(layer)
    return Made(value, mask if passes else None)


def _makes_a_sequence(layer: Layer) -> bool:
    """Return whether a recurrent layer puts out every step, which its mask then goes with."""
    inner = layer.config["layer"]["config"] if layer.class_name == "Bidirectional" else layer.config
    return bool(layer.class_name in ("Bidirectional", *sequences.STEPS) and inner.get("return_sequences"))
