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
_OF_KERAS_3 = {"MultiHeadAttention": {"seed", "flash_attention"}, "Attention": {"seed"}, "AdditiveAttention": {"seed"}}
"""Settings that Keras 3 alone has, by class."""
_INSIDE = ("layer", "backward_layer", "cell")


def keras_2_config(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without what Keras 2 does not know, and under its names; that of layers inside too."""
    renamed, gone = _RENAMED.get(class_name, {}), _UNKNOWN_TO_KERAS_2 | _OF_KERAS_3.get(class_name, set())
    return {
        renamed.get(key, key): _layer(value) if key in _INSIDE else value
        for key, value in config.items()
        if key not in gone
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
