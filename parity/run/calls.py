"""How each reference spells a method: names and options of its own, from the method table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity.judge.known.conditions import (
    KERNEL_CLASSES,
    has_output_activation,
    input_layers,
    layers_at_every_step,
    looks_up_at_every_step,
    masked_averages,
    takes_tokens,
)
from parity.keras import LayerDescription, ModelDescription
from parity.keras.description import Shape
from parity.keras.handlers.activations import is_softmax
from parity.keras.handlers.recurrent import RECURRENT
from parity.keras.handlers.table import TRAINING_ONLY
from parity.keras.network import network_of
from parity.keras.results import STATE
from parity.reference.request import Backend, NoiseSpec, ReferenceCall
from parity.run.subjects import Method, wrappers

SEED = 20_260_101  # of the noise that both sides add; any other would do
MU = 0.5  # for the names that leave mu to the caller
_CONVOLUTIONS = ("Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_IMAGE_CHANNELS = (1, 3, 4)
# iNNvestigate warns of layers outside this list and of activations it calls untested, and then stops at a bare
# NotImplementedError instead of going on; its own switch `disable_model_checks` lets it go on.
_TESTED_BY_INNVESTIGATE = (
    "InputLayer", "Conv1D", "Conv2D", "Dense", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Flatten",
    "Activation", "Dropout", "Add", "Concatenate", "Reshape", "Permute", "ZeroPadding1D", "ZeroPadding2D",
    "BatchNormalization",
)  # fmt: skip
_TESTED_ACTIVATIONS = ("relu", "linear", "softmax", None)
# iNNvestigate's presets under the names that SIGN-XAI gives the same rules: a name and the rule of the input layer.
_PRESETS: dict[str, tuple[str, str | None]] = {
    "sequential_preset_a": ("lrp.sequential_composite_a", None),
    "sequential_preset_b": ("lrp.sequential_composite_b", None),
    "sequential_preset_a_flat": ("lrp.sequential_composite_a", "Flat"),
    "sequential_preset_b_flat": ("lrp.sequential_composite_b", "Flat"),
    "sequential_preset_b_flat_until_idx": ("lrp.sequential_composite_b", "Flat"),  # the index is left at None
}
# They have a kernel, but neither reference counts them among its convolutions.
_NO_CONVOLUTIONS = ("LocallyConnected1D", "LocallyConnected2D", "DepthwiseConv1D")
_FROM_PREACTIVATION = ("Z", "Epsilon", "StdxEpsilon")
_NAMED_ALPHA_BETA = ((1.0, 0.0), (2.0, 1.0))
_NAMED_PARAMETERS = ("epsilon", "stdfactor", "gamma", "mu")


class NotInReferenceError(Exception):
    """No reference defines the method, or the model lacks what it needs; the text is the reason."""


def refuse_deep_taylor(method: Method, model: ModelDescription) -> None:
    """Refuse deep Taylor on models for which its one reference does not define it.

    Raises
    ------
    NotInReferenceError
        Naming the layer or pattern.
    """
    if method.family != "deep_taylor":
        return
    if method.input_rule and input_layers(model) != input_layers(model, through_padding=False):
        raise NotInReferenceError(
            "deep Taylor is defined by innvestigate alone, and there the rule of the input layer stays unused behind "
            "ZeroPadding"
        )
    by_name = {layer.name: layer for layer in model.layers}
    producers = [name for layer in model.layers for name in layer.inbound]
    if len(set(producers)) < len(producers):
        raise NotInReferenceError(
            "deep Taylor is defined by innvestigate alone, and there a branch is differentiated through the layers of "
            "the other branch too, so relevance is counted twice"
        )
    for layer in model.layers:
        before = [by_name[name] for name in layer.inbound]
        if layer.class_name in ("ReLU", "Activation") and any(one.class_name in KERNEL_CLASSES for one in before):
            raise NotInReferenceError(
                "deep Taylor is defined by innvestigate alone, and there a ReLU that is a layer of its own blocks the "
                f"relevance of inactive units while one that is an attribute does not; layer {layer.name!r} is of "
                "the first kind, and torch models do not tell them apart"
            )


_WITHOUT_GRADIENT = ("lrp", "deep_taylor", "input", "occlusion")
_RELUS = ("relu", "relu6", "leaky_relu", "ReLU", "LeakyReLU")
_OF_RELUS = ("guided_backprop", "deconvnet")


def refuse_tokens(method: Method, model: ModelDescription) -> None:
    """Refuse what no reference can explain tokens with.

    Raises
    ------
    NotInReferenceError
        If the method needs a gradient of what is looked up in a table.
    """
    if not takes_tokens(model):
        return
    if method.family not in _WITHOUT_GRADIENT:
        raise NotInReferenceError(
            f"an input of the model is tokens, which have no gradient, so neither reference has {method} for it: "
            "iNNvestigate raises, and SIGN-XAI hands back the tokens"
        )
    if method.family == "deep_taylor":
        raise NotInReferenceError(
            "deep Taylor is defined by innvestigate alone, and there it takes the gradient of an Embedding, which has "
            "none"
        )
    inside = next((layer.name for layer in model.layers if looks_up_at_every_step(layer)), None)
    if method.row.layers and inside is not None:
        raise NotInReferenceError(
            f"layer {inside!r} looks tokens up at every step, and both references take the derivative of a "
            "TimeDistributed, which tokens have not"
        )


def refuse_recurrences(method: Method, model: ModelDescription) -> None:
    """Refuse what no reference explains recurrent layers with.

    Raises
    ------
    NotInReferenceError
        If the method has rules for layers, or for ReLUs, and a recurrent layer would need one; or if a recurrent layer
        starts with the states of another, or hands on what its cell keeps.
    """
    inside = sorted({kind for kind, _ in layers_at_every_step(model)} & RECURRENT)
    if method.family == "deep_lift" and inside:
        raise NotInReferenceError(
            f"no reference has DeepLIFT for recurrent layers such as the {inside[0]} at every step"
        )
    recurrent = next((layer for layer in model.layers if layer.class_name in RECURRENT), None)
    if recurrent is None:
        return
    if method.row.layers:
        raise NotInReferenceError(
            f"neither reference has a rule of LRP for recurrent layers such as {recurrent.name!r}: innvestigate "
            "refuses them, and SIGN-XAI takes their plain gradient without a word"
        )
    if method.family == "deep_lift":
        raise NotInReferenceError(
            f"no reference has DeepLIFT for recurrent layers such as {recurrent.name!r}, and what the Rescale rule "
            "promises does not hold for the products of their gates"
        )
    if method.family in _OF_RELUS and any(_steps_with_relu(layer.class_name, layer.config) for layer in model.layers):
        raise NotInReferenceError(
            f"{method} has a rule for ReLUs of whole layers, and a recurrent layer has one in each of its steps"
        )
    states = next((layer for layer in model.layers if _has_states(layer)), None)
    if states is not None and method.family not in ("input", "random", "random_uniform"):
        raise NotInReferenceError(
            f"the recurrent layer {states.name!r} reads the states of another, or hands on that of its cell, and "
            "neither reference can: SIGN-XAI calls a layer with all that it reads as one list and takes all its "
            "results for one, and stops, and iNNvestigate takes no gradient of recurrent layers"
        )


_WITHOUT_DERIVATIVE = ("stop_gradient", "math.floor", "math.ceil", "math.round")


def refuse_without_derivative(method: Method, model: ModelDescription) -> None:
    """Refuse methods of gradients where an operation has none in TensorFlow, not even one of zeros.

    Raises
    ------
    NotInReferenceError
        Naming the operation.
    """
    if method.row.layers or method.family in ("input", "random", "random_uniform", "occlusion"):
        return
    settings = [layer.config for layer in model.layers] + [told for _, told in layers_at_every_step(model)]
    for config in settings:
        if config.get("function") in _WITHOUT_DERIVATIVE:
            raise NotInReferenceError(
                f"TensorFlow has no derivative of {config['function']} in layer {config.get('name')!r}, and both "
                "references stop where one is asked for"
            )


def refuse_average_of_nothing(method: Method, model: ModelDescription) -> None:
    """Refuse methods that start at zeros, where `Masking` leaves no step to average.

    Raises
    ------
    NotInReferenceError
        Naming the layer.
    """
    masks_zeros = any(layer.class_name == "Masking" and not layer.config.get("mask_value") for layer in model.layers)
    averages = masked_averages(model)
    if method.family in ("integrated_gradients", "deep_lift") and masks_zeros and averages:
        raise NotInReferenceError(
            f"{method} starts at an input of zeros, where Masking leaves no step for layer {averages[0]!r} to average: "
            "the model's output is NaN there, and so is the reference's map"
        )


def _has_states(layer: LayerDescription) -> bool:
    return layer.class_name in RECURRENT and (len(layer.inbound) > 1 or STATE in layer.config)


def _steps_with_relu(class_name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a recurrent layer, or one that it is made of, has a ReLU in its steps."""
    if class_name not in RECURRENT and not class_name.endswith(("Cell", "Cells")):
        return False
    inner = [config.get(name) for name in ("layer", "backward_layer", "cell")] + list(config.get("cells") or ())
    if any(part and _steps_with_relu(part["class_name"], part["config"]) for part in inner):
        return True
    activations = [config.get(name) for name in ("activation", "recurrent_activation")]
    names = [function["class_name"] if isinstance(function, dict) else function for function in activations]
    return any(name in _RELUS for name in names)


def noise_of(method: Method) -> NoiseSpec | None:
    """Return the noise of a random method, None for the others."""
    if method.family in ("smoothgrad", "vargrad", "random"):
        return NoiseSpec(SEED, int(method.parameters["samples"]), float(method.parameters["noise_scale"]))
    return None


def cam_layer(method: Method, model: ModelDescription) -> str | None:
    """Return the layer that Grad-CAM looks at, None for other methods.

    Raises
    ------
    NotInReferenceError
        If the model has none that the reference can look at.
    """
    if "grad_cam" not in method.family:
        return None
    if model.channels_first:
        raise NotInReferenceError(f"{method} takes the last axis for that of the channels, which come first here")
    convolutions = [layer.name for layer in model.layers if layer.class_name in _CONVOLUTIONS]
    named = method.parameters["target_layer"]
    if named is not None and named not in [layer.name for layer in model.layers]:
        raise NotInReferenceError(f"the model has no layer {named!r}, which the name {method} stands for")
    if not convolutions:
        listed = ", ".join(_CONVOLUTIONS)
        raise NotInReferenceError(
            f"the model has no convolution for Grad-CAM to look at: none of the classes {listed} that is no part of "
            "another layer"
        )
    dimensions = len(model.input_shape)
    if (method.family == "grad_cam_timeseries") != (dimensions == 2):
        raise NotInReferenceError(f"{method} is not made for inputs of shape {model.input_shape}")
    layer = str(named or convolutions[-1])
    shape = next(one.output_shape for one in model.layers if one.name == layer)
    if len(shape) != dimensions:
        raise NotInReferenceError(
            f"Grad-CAM needs a layer that gives maps over the axes of the input {model.input_shape}; layer {layer!r} "
            f"gives {shape}"
        )
    if dimensions == 3:
        _refuse_image(method, model, layer, shape)
    normalized = _normalized_by_channel(model, layer)
    if normalized is not None:
        raise NotInReferenceError(
            f"Grad-CAM weighs the maps of layer {layer!r} by their mean gradient, and layer {normalized!r} normalises "
            "each of them over its places, so every mean is zero but for rounding"
        )
    return layer


def _normalized_by_channel(model: ModelDescription, layer: str) -> str | None:
    """Return the GroupNormalization of one channel per group that alone reads a layer's maps, through sums at most."""
    while True:
        readers = [one for one in model.layers if layer in one.inbound]
        if len(readers) != 1:
            return None
        (reader,) = readers
        if reader.class_name == "GroupNormalization":
            alone = reader.config.get("groups") in (-1, reader.output_shape[-1])
            return reader.name if alone else None
        if reader.class_name not in (*TRAINING_ONLY, "Add"):
            return None
        layer = reader.name


def _refuse_image(method: Method, model: ModelDescription, layer: str, shape: Shape) -> None:
    channels = model.input_shape[-1]
    if channels not in _IMAGE_CHANNELS:
        raise NotInReferenceError(f"{method} goes through an image file's pixels, which have no {channels} channels")
    if 1 in shape[:-1]:
        raise NotInReferenceError(
            f"the reference takes a heat map of one row or column for a series and stops; layer {layer!r} gives {shape}"
        )


def signxai_call(
    method: Method, parameters: dict[str, Any], noise: NoiseSpec | None, layer: str | None
) -> ReferenceCall | None:
    """Return how SIGN-XAI is asked for a method, None if it does not have it."""
    own_layer = {"last_conv_layer_name": layer} if layer and method.suffix is None else {}
    mu = {"mu": parameters["mu"]} if "mu" in parameters else {}
    if method.name in wrappers():
        return ReferenceCall("signxai", "wrapper", method.name, {**own_layer, **mu}, noise=noise)
    # Names that the reference does not spell: its own arithmetic for the modifiers around its own base.
    modifiers = _modifiers(method, parameters)
    if method.base in wrappers():
        return ReferenceCall("signxai", "wrapper", method.base, own_layer, modifiers, noise)
    name = method.row.signxai
    if name == "guided_grad_cam":
        return None  # the reference has it under the names that end in a known model only
    if method.row.template in _PRESETS:
        name, input_rule = _PRESETS[method.row.template]
        options = _fork_options(method) | ({"input_layer_rule": input_rule} if input_rule else {})
        return ReferenceCall("signxai", "analyzer", name, options, modifiers, noise)
    if not name:
        return None
    if name == "lrp.alpha_beta":
        numbers = (method.parameters["alpha"], method.parameters["beta"])
        if numbers not in _NAMED_ALPHA_BETA:
            options = _fork_options(method) | {"alpha": numbers[0], "beta": numbers[1], "bias": not method.ignore_bias}
            return ReferenceCall("signxai", "analyzer", name, options, modifiers, noise)
        name = f"lrp.alpha_{numbers[0]:.0f}_beta_{numbers[1]:.0f}"
    return ReferenceCall(
        "signxai", "analyzer", name + "_IB" * method.ignore_bias, _fork_options(method), modifiers, noise
    )


def _fork_options(method: Method) -> dict[str, Any]:
    options = {key: value for key, value in method.parameters.items() if key in _NAMED_PARAMETERS}
    if method.prefix and method.prefix.input_rule:
        options["input_layer_rule"] = method.input_rule
        options |= {key: method.parameters[key] for key in ("low", "high") if key in method.parameters}
    if method.row.template == "lrp":
        options["rule"] = method.parameters["rule"]
    return options


def _modifiers(method: Method, parameters: dict[str, Any]) -> tuple[tuple[str, float | None], ...]:
    return tuple(
        (what, parameters["mu"] if (what, value) == ("x_sign_mu", None) else value) for what, value in method.modifiers
    )


def innvestigate_call(
    method: Method, model: ModelDescription, parameters: dict[str, Any], noise: NoiseSpec | None
) -> ReferenceCall | None:
    """Return how iNNvestigate is asked for a method, None if it does not have it for this model."""
    name = method.row.innvestigate
    missing = method.input_rule in ("SIGN", "SIGNmu")
    if not name or (missing and input_layers(model)):
        return None  # where no layer sees the input, the rule that it lacks is unused
    backend: Backend = "innvestigate"
    options: dict[str, Any] = {}
    if name == "lrp.alpha_beta":
        numbers = (method.parameters["alpha"], method.parameters["beta"])
        if numbers in _NAMED_ALPHA_BETA:
            name = f"lrp.alpha_{numbers[0]:.0f}_beta_{numbers[1]:.0f}" + "_IB" * method.ignore_bias
        else:
            options = {"alpha": numbers[0], "beta": numbers[1], "bias": not method.ignore_bias}
    elif method.ignore_bias:
        return None  # its bias-free rules start from the logit with bias, so they are other methods
    if method.head == "preactivation" and starts_from_preactivation(method) and has_output_activation(model):
        return None  # its rules start from the model's output, so they are other methods
    if "sequential" in method.row.template and any(layer.class_name in _NO_CONVOLUTIONS for layer in model.layers):
        return None  # no condition of its presets fits such a layer, and it stops (UnboundLocalError: rule_class)
    if name.startswith("lrp") and not _tested_by_innvestigate(model) and not _has_inner_softmax(model):
        options["disable_model_checks"] = True
    if "epsilon" in method.parameters:
        options["epsilon"] = method.parameters["epsilon"]
    if method.prefix and method.prefix.input_rule and not missing:
        bounds = [method.parameters.get("low"), method.parameters.get("high")]
        options["input_layer_rule"] = bounds if method.input_rule == "Bounded" else method.input_rule
    if name == "deep_taylor.bounded":
        options |= {"low": method.parameters["low"], "high": method.parameters["high"]}
    if name == "lrp":
        options["rule"] = method.parameters["rule"]
    if method.family in ("integrated_gradients", "smoothgrad"):
        if method.row.template != f"innvestigate.{name}":
            return None  # another grid, another noise: the same name is another method there
        key = "steps" if name == "integrated_gradients" else "augment_by_n"
        options[key] = method.parameters["steps" if key == "steps" else "samples"]
    return ReferenceCall(backend, "analyzer", name, options, _modifiers(method, parameters), noise)


def starts_from_preactivation(method: Method) -> bool:
    """Return whether SIGN-XAI's rule of some last layer starts from what the layer computes before its activation."""
    rules = [name or method.parameters["rule"] for name, _ in method.row.layers.values()]
    return any(rule in _FROM_PREACTIVATION for rule in (*rules, method.input_rule))


def _tested_by_innvestigate(model: ModelDescription) -> bool:
    return all(
        layer.class_name in _TESTED_BY_INNVESTIGATE and layer.config.get("activation") in _TESTED_ACTIVATIONS
        for layer in model.layers
    )


def _has_inner_softmax(model: ModelDescription) -> bool:
    """Return whether a softmax is left that is not the model's end: its checks refuse that, and no rule is for it."""
    return any(is_softmax(layer.class_name, layer.config) for layer in network_of(model))
