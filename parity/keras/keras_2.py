"""A layer's configuration as Keras 2.12 reads it, whatever Keras wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity.keras.augmentations import AUGMENTATIONS

_SETTINGS = frozenset({
    "activation", "alpha", "attention_axes", "axes", "axis", "backward_layer", "causal", "cell", "cells", "center",
    "crop_to_aspect_ratio", "cropping", "data_format", "depth_multiplier", "dilation_rate", "dims", "dropout",
    "epsilon", "factor", "fill_mode", "fill_value", "filters", "function", "go_backwards", "groups", "height",
    "height_factor", "implementation", "init_values", "input_dim", "input_length", "interpolation", "invert",
    "keepdims", "kernel_size", "key_dim", "key_shape", "l1", "l2", "layer", "mask_value", "mask_zero",
    "max_value", "mean", "merge_mode", "mode", "momentum", "n", "name", "negative_slope", "noise_shape",
    "normalize", "num_heads", "offset", "output_dim", "output_padding", "output_shape", "padding",
    "pool_size", "projection_dim", "query_shape", "rate", "recurrent_activation", "recurrent_dropout", "renorm",
    "reset_after", "return_sequences", "return_state", "scale", "score_mode", "shared_axes", "size", "stateful",
    "stddev", "strides", "survival_probability", "target_shape", "theta", "threshold", "time_major",
    "unit_forget_bias", "units", "unroll", "use_bias", "use_scale", "value_dim", "value_range", "value_shape",
    "variance", "width", "width_factor", "zero_output_for_mask",
})  # fmt: skip
"""The settings that Keras 2.12 has, whatever the class, but for initial values and what training alone needs."""
_NOT_OF_KERAS_2: Mapping[str, tuple[str, ...]] = {
    "data_format": ("ZeroPadding1D", "CenterCrop", "Resizing", *AUGMENTATIONS),
    "fill_mode": ("Resizing",),
    "fill_value": ("Resizing",),
    "value_range": ("RandomContrast",),
}
"""Of these the settings that Keras 3 alone has in some classes; what they change is refused or not converted at all."""
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
"""Settings that Keras 3 calls otherwise, by class."""
_INSIDE = ("layer", "backward_layer", "cell", "activation", "recurrent_activation")
"""Settings that may hold a layer."""


def keras_2_config(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without what Keras 2 does not know, and under its names; that of layers inside too."""
    renamed = _RENAMED.get(class_name, {})
    return {
        renamed.get(key, key): _layer(value) if key in _INSIDE else value
        for key, value in config.items()
        if key in _SETTINGS and class_name not in _NOT_OF_KERAS_2.get(key, ())
    }


def _layer(entry: Any) -> Any:
    """Return the entry of a layer inside of another."""
    if not (isinstance(entry, Mapping) and isinstance(entry.get("config"), Mapping)):
        return entry
    kind = str(entry.get("class_name"))
    config = keras_2_config(kind, entry["config"])
    if isinstance(config.get("cells"), list):
        config["cells"] = [_layer(cell) for cell in config["cells"]]
    return {"class_name": kind, "config": config}
