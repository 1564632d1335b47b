"""Keras configurations as data: what may be built, without its softmax, in one dtype.

Worker side, but free of TensorFlow: a configuration is judged before anything in it is deserialized.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from parity.reference.worker.activations import (
    RefusedActivationError,
    in_dtype,
    is_linear,
    is_softmax,
    plain_activation,
)

Config = dict[str, Any]

# Layers that hold code of their own; Keras would run it while it loads the model.
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda")
_CODE_LAYERS = ("Lambda", *_OPERATIONS, "ClassMethod", "InstanceMethod", "InstanceProperty")
FUNCTIONS = (
    "math.log", "math.log1p", "math.expm1", "math.sqrt", "math.rsqrt", "math.reciprocal", "math.sin", "math.cos",
    "math.tan", "math.asin", "math.acos", "math.atan", "math.sinh", "math.cosh", "math.asinh", "math.acosh",
    "math.atanh", "math.erf", "math.erfc", "math.sign", "math.floor", "math.ceil", "math.round", "stop_gradient",
    "nn.softmax",
)  # fmt: skip
"""Functions of each value: Keras looks up TensorFlow's own by these names, and runs nothing of the file's."""
# Layers that Keras builds in float32 only, but that do nothing at inference.
_AUGMENTATIONS = ("RandomFlip", "RandomTranslation", "RandomRotation", "RandomZoom", "RandomContrast",
                  "RandomBrightness", "RandomHeight", "RandomWidth")  # fmt: skip
_OF_EVERY_LAYER = ("name", "trainable", "batch_input_shape")
# Layers whose activation works in every step of a recurrence, so that it is not the last thing they do.
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
# Settings of a layer that hold another one.
_PARTS = ("layer", "backward_layer", "cell")
# Settings that hold an activation.
_ACTIVATIONS = ("activation", "recurrent_activation")
_MODELS = ("Sequential", "Functional", "Model")
_SOFTMAX_FUNCTIONS = ("nn.softmax", "compat.v1.nn.softmax", "keras.activations.softmax")


class RefusedModelError(Exception):
    """The model is not built: it would run foreign code, or it is not one the reference can explain."""


def layers_of(config: Config) -> Iterator[Config]:
    """Yield every layer entry of a model configuration, those of nested models, wrappers and cells included."""
    for layer in config["config"]["layers"]:
        yield layer
        if layer["class_name"] in _MODELS:
            yield from layers_of(layer)
        yield from _parts_of(layer)


def _parts_of(layer: Config) -> Iterator[Config]:
    """Yield the layers that a layer is made of: what a wrapper wraps, the cells of a recurrent layer."""
    settings = layer["config"]
    cells = settings.get("cells")
    for inner in (*(settings.get(name) for name in _PARTS), *(cells if isinstance(cells, list) else ())):
        if isinstance(inner, dict) and isinstance(inner.get("config"), dict):
            yield inner
            if inner["class_name"] in _MODELS:
                yield from layers_of(inner)
            yield from _parts_of(inner)


def refuse_foreign(config: Config, known: frozenset[str], may_be_called: Callable[[str], bool] | None = None) -> None:
    """Refuse layers and activations that hold code or that Keras does not define.

    Parameters
    ----------
    config
        Model configuration as in the `model_config` attribute of an `.h5` file.
    known
        Class names of Keras' own layers.
    may_be_called
        Whether a bare operation may be one of a function of TensorFlow, by its name; those of `FUNCTIONS` always may.

    Raises
    ------
    RefusedModelError
        Naming the layer.
    """
    if config.get("class_name") not in _MODELS:
        raise RefusedModelError(f"a model of class {config.get('class_name')!r} is not Sequential or Functional")
    for layer in layers_of(config):
        kind, name = layer["class_name"], layer["config"].get("name")
        if _is_function_of_tensorflow(layer, may_be_called):
            continue
        if kind in _CODE_LAYERS:
            raise RefusedModelError(f"layer {name!r} is a {kind}: it holds code, which is never run here")
        if kind not in known and kind not in _MODELS:
            raise RefusedModelError(f"layer {name!r} has the custom class {kind!r}: only Keras' own layers are built")
        try:
            for setting in _ACTIVATIONS:
                plain_activation(layer["config"].get(setting))
        except RefusedActivationError as error:
            raise RefusedModelError(f"layer {name!r} {error}") from error


def _is_function_of_tensorflow(layer: Config, may_be_called: Callable[[str], bool] | None) -> bool:
    kind, function = layer["class_name"], layer["config"].get("function")
    if kind == "TFOpLambda" and function in FUNCTIONS:
        return True
    return kind in _OPERATIONS and isinstance(function, str) and may_be_called is not None and may_be_called(function)


def refuse_rounding(config: Config) -> None:
    """Refuse bare operations that TensorFlow computes in float32 whatever the dtype of the model is.

    Raises
    ------
    RefusedModelError
        Naming them.
    """
    operations = [layer for layer in layers_of(config) if layer["class_name"] in _OPERATIONS]
    names = {str(layer["config"].get("function")).removeprefix("compat.v1.") for layer in operations}
    rounding = sorted(name for name in names if name == "cast" or name.startswith("image."))
    rounding += ["where of two numbers"] if any(_chooses_numbers(layer) for layer in operations) else []
    if rounding:
        raise RefusedModelError(f"TensorFlow computes {', '.join(rounding)} in float32, whatever dtype it is asked for")


def _chooses_numbers(layer: Config) -> bool:
    """Return whether an operation chooses between two numbers, which TensorFlow takes for float32."""
    calls = layer.get("inbound_nodes") or [[]]
    told = calls[0][-1] if calls[0] and isinstance(calls[0][-1], dict) else {}
    return layer["config"].get("function") == "where" and all(
        isinstance(told.get(name), int | float) for name in ("x", "y")
    )


def for_inference(config: Config, dtype: str) -> Config:
    """Return a copy of the configuration in one dtype, without what only training needs.

    Initial values are replaced by zeros (drawing them for a VGG16 takes seconds, and weights follow at once),
    regularizers and constraints are dropped; both may be a user's own code otherwise. In float64 layers that augment
    images are what they are at inference, because Keras can build most of them in float32 only.
    """
    config = copy.deepcopy(config)
    for layer in layers_of(config):
        if layer["class_name"] in _AUGMENTATIONS and dtype == "float64":
            nothing = {key: value for key, value in layer["config"].items() if key in _OF_EVERY_LAYER}
            layer["class_name"], layer["config"] = "Activation", {**nothing, "activation": "linear"}
        settings = layer["config"]
        settings["dtype"] = dtype
        for name in settings:
            if name.endswith("_initializer"):
                settings[name] = {"class_name": "Zeros", "config": {}}
            elif name.endswith(("_regularizer", "_constraint")):
                settings[name] = None
        for name in _ACTIVATIONS:
            if name in settings:
                settings[name] = in_dtype(plain_activation(settings[name]), dtype)
    return config


def without_softmax(config: Config) -> tuple[Config, bool]:
    """Return a copy of the configuration that outputs logits, and whether it had a softmax.

    A softmax that is an attribute of the last layer becomes linear. A last layer that is nothing but a softmax is left
    out, and so is every `Activation("linear")` behind it and before it, which does nothing, because the signxai backend
    spreads the chosen logit over all classes when the last layer has no kernel. Inputs and outputs that are named by a
    dict come in a list, as the references take them.

    Raises
    ------
    RefusedModelError
        If the model has several outputs, or nothing is left without the softmax.
    """
    config = copy.deepcopy(config)
    body = config["config"]
    for ends in ("input_layers", "output_layers"):
        if isinstance(body.get(ends), dict):  # TensorFlow flattens a dict in the order of its keys
            body[ends] = [body[ends][key] for key in sorted(body[ends])]
    return config, _strip(config, softmax=True)


def _strip(config: Config, softmax: bool) -> bool:
    """Take what does nothing off the end, and one softmax if that is asked for; return whether there was one."""
    body = config["config"]
    last = _output_layer(config)
    if last["class_name"] in _MODELS:
        return _strip(last, softmax)
    nothing = _is_nothing(last)
    if not (nothing or (softmax and _is_softmax(last))):
        return False
    if last["class_name"] == "TimeDistributed":
        inner = last["config"]["layer"]
        if inner["class_name"] == "Softmax":
            inner["class_name"], inner["config"] = "Activation", {"name": inner["config"]["name"]}
        inner["config"]["activation"] = "linear"
        return True
    if last["class_name"] not in ("Activation", "Softmax", "TFOpLambda"):
        last["config"]["activation"] = "linear"
        return True
    if all(layer is last or layer["class_name"] == "InputLayer" for layer in body["layers"]):
        raise RefusedModelError("the model is a softmax and nothing else")
    body["layers"] = [layer for layer in body["layers"] if layer is not last]
    if config["class_name"] != "Sequential":
        call = last["inbound_nodes"][0]
        producer = call[0] if isinstance(call[0], list) else call  # bare operations have their calls unnested
        body["output_layers"] = [[producer[0], producer[1], producer[2]]]
    return _strip(config, softmax and nothing) or not nothing


def _output_layer(config: Config) -> Config:
    """Return the entry of the layer that makes the model's one output."""
    body = config["config"]
    layers: list[Config] = body["layers"]
    if config["class_name"] == "Sequential":
        return layers[-1]
    outputs = body["output_layers"]
    if len(outputs) != 1 or not isinstance(outputs[0], list):
        raise RefusedModelError(f"the model has {len(outputs)} outputs: exactly one can be explained")
    return next(layer for layer in layers if layer.get("name", layer["config"]["name"]) == outputs[0][0])


def _is_nothing(layer: Config) -> bool:
    return layer["class_name"] == "Activation" and is_linear(layer["config"].get("activation"))


def _is_softmax(layer: Config) -> bool:
    if layer["class_name"] in _RECURRENT:
        return False
    if layer["class_name"] == "TimeDistributed":
        inner = layer["config"]["layer"]
        return inner["class_name"] not in _MODELS and _is_softmax(inner)
    if layer["class_name"] == "TFOpLambda":
        return layer["config"].get("function") in _SOFTMAX_FUNCTIONS
    return bool(layer["class_name"] == "Softmax" or is_softmax(layer["config"].get("activation")))
