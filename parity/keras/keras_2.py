"""A layer's configuration as Keras 2.12 reads it, whatever Keras wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What Keras 3 added to every layer or to some, and what says nothing at inference.
_UNKNOWN_TO_KERAS_2 = frozenset({
    "dtype", "build_config", "quantization_config", "lora_rank", "lora_alpha", "optional", "sparse_input",
    "synchronized", "batch_input_shape", "batch_shape", "input_shape", "data_type", "zero_output_for_mask_",
})  # fmt: skip
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
"""Settings that Keras 3 calls otherwise, by class."""


def keras_2_config(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without what Keras 2 does not know, and under its names."""
    renamed = _RENAMED.get(class_name, {})
    return {renamed.get(key, key): value for key, value in config.items() if key not in _UNKNOWN_TO_KERAS_2}
