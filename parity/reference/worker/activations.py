"""The `activation` of a Keras layer as data: a function's name, or one of Keras' own activation layers.

Worker side, but free of TensorFlow: it is judged before anything in it is deserialized.
"""

from __future__ import annotations

from typing import Any

# Keras' own activation layers without weights. PReLU has some, which no reference would find inside another layer.
_LAYERS = ("LeakyReLU", "ELU", "ReLU", "ThresholdedReLU", "Softmax", "Activation")
# Where Keras says that its own functions come from, and its own layers.
_FUNCTION_MODULES = ("builtins", "keras.activations", "keras.src.activations")
_LAYER_MODULES = ("keras.layers", "keras.src.layers")


class RefusedActivationError(Exception):
    """The activation is not built; the message says why, as the end of a sentence about its layer."""


def plain_activation(value: Any) -> str | dict[str, Any] | None:
    """Return an activation in the one form that is built.

    Parameters
    ----------
    value
        The `activation` in a layer's configuration, in any form that Keras 2 writes.

    Returns
    -------
    activation
        None, the name of a function, or `{"class_name", "config"}` of one of Keras' own activation layers. An
        `Activation` layer is what it holds: Keras cannot read it back inside another layer.

    Raises
    ------
    RefusedActivationError
        If it is anything else: code, a class or function of the user, or a layer with weights.
    """
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
        raise RefusedActivationError("has an activation that holds code, which is never run here")
    kind, config, module = value["class_name"], value.get("config"), value.get("module")
    registered = value.get("registered_name") or kind
    if kind == "function" and isinstance(config, str):
        if module not in (None, *_FUNCTION_MODULES) or registered not in (kind, config):
            raise RefusedActivationError(f"has the custom activation {config!r}: only Keras' own are built")
        return config  # a name that Keras does not have is refused when the model is built
    if registered != kind or module not in (None, *_LAYER_MODULES) or not isinstance(config, dict):
        raise RefusedActivationError(f"has a custom activation of class {registered!r}: only Keras' own are built")
    if kind == "PReLU":
        raise RefusedActivationError(
            "has a PReLU as its activation, whose weights the reference cannot reach there: make it a layer of its own"
        )
    if kind not in _LAYERS:
        raise RefusedActivationError(
            f"has an activation of class {kind!r}: only functions of Keras and {', '.join(_LAYERS)} are built there"
        )
    if kind == "Activation":
        return plain_activation(config.get("activation"))
    return {"class_name": kind, "config": dict(config)}


def in_dtype(activation: Any, dtype: str) -> Any:
    """Return a plain activation whose layer computes in this dtype; else it would round to that of its file."""
    if not isinstance(activation, dict):
        return activation
    return {"class_name": activation["class_name"], "config": {**activation["config"], "dtype": dtype}}


def is_softmax(activation: Any) -> bool:
    """Return whether an activation is a softmax, by name or as a layer."""
    return _function_name(activation) in ("softmax", "Softmax")


def is_linear(activation: Any) -> bool:
    """Return whether an activation does nothing."""
    return _function_name(activation) in ("linear", None)


def _function_name(activation: Any) -> Any:
    """Return the name of the function of an activation, or the class name of its layer."""
    activation = plain_activation(activation)
    return activation["class_name"] if isinstance(activation, dict) else activation
