"""What the entry of a layer in a Keras architecture says of it: its class, and the shape of an input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity.keras.functions.table import is_named_in_keras_3

# How TensorFlow 1 calls layers of today, what differs from another layer in training alone, and what Keras 2 calls a
# class of keras.applications that Keras 3 saves without its package.
_OTHER_NAMES = {
    **dict.fromkeys(("BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization"), "BatchNormalization"),
    "CustomScaleLayer": "Custom>CustomScaleLayer",
    "GroupQueryAttention": "GroupedQueryAttention",  # a name in one kind of file, the other in the other
}


def class_of(entry: Mapping[str, Any]) -> str:
    """Return a layer's class; a user's own class must not pass for Keras's because it has the same name."""
    class_name = str(entry.get("class_name"))
    module, registered = entry.get("module"), entry.get("registered_name")
    if _is_function_of_keras_3(entry):
        return f"ops.{class_name}"
    if isinstance(module, str) and module.startswith(("keras.src.ops", "keras.ops")):
        return f"ops.{class_name}"  # Keras 3's functions are layers of the graph
    if isinstance(registered, str) and registered not in ("", class_name):
        return registered
    if isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras", "tensorflow"):
        return f"{module}.{class_name}"
    return _OTHER_NAMES.get(class_name, class_name)


def _is_function_of_keras_3(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of an `.h5` is a function: it does not say whether it is trainable, as layers do."""
    config, calls = entry.get("config"), entry.get("inbound_nodes")
    called = isinstance(calls, list) and bool(calls) and isinstance(calls[0], Mapping)
    return (
        called
        and is_named_in_keras_3(str(entry.get("class_name")))
        and "module" not in entry
        and isinstance(config, Mapping)
        and "trainable" not in config
    )


def batch_shape(config: Mapping[str, Any]) -> Any:
    """Return the shape of an input, the batch's first, as a file of Keras 2 or 3 tells it; None where it does not."""
    return config.get("batch_shape") or config.get("batch_input_shape")
