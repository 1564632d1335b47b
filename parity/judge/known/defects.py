"""Which named defect of a reference bites for a method and a model, from the layers that the model has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parity.keras import LayerDescription, ModelDescription
from parity.keras.handlers import TRAINING_ONLY
from parity.reference.request import Backend
from parity.run.subjects import Method

# What iNNvestigate's LRP takes the derivative of and SIGN-XAI passes relevance through.
_BENT = ("LeakyReLU", "ELU", "PReLU", "ThresholdedReLU", "Softmax")
_POOLING = ("MaxPooling1D", "MaxPooling2D")
# Rules that give relevance to units that are off, so that the derivative of a ReLU layer matters.
_BLIND_TO_X = ("Flat", "WSquare")
_PADDING = ("ZeroPadding1D", "ZeroPadding2D")
# SIGN-XAI runs these on the Keras model itself and not layer by layer.
_RUN_BY_KERAS = ("grad_cam", "grad_cam_timeseries", "guided_grad_cam", "random_uniform")
# Layers without a kernel that keep the shape, so that SIGN-XAI's LRP passes relevance through them unchanged.
_PASSING = ("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "ThresholdedReLU", "Softmax")
_ONE_CONSUMER = ("SIGN", "SIGNmu", "Bounded")


def defect_of(method: Method, model: ModelDescription, backend: Backend) -> str | None:
    """Return the name of the defect (`parity.judge.known.divergences`) of one reference that bites here, or None."""
    found = _signxai(method, model) if backend == "signxai" else _innvestigate(method, model)
    return next(found, None)


def _signxai(method: Method, model: ModelDescription) -> Iterator[str]:
    """Yield the defects of SIGN-XAI: what leaves no map first, then what leaves a wrong one."""
    producers = [name for layer in model.layers for name in layer.inbound]
    branches = len(set(producers)) < len(producers)
    classes = {layer.class_name for layer in model.layers}
    if method.family == "deep_lift":
        yield "signxai-deep-lift-missing"
    if method.family == "deconvnet" and classes & {"ReLU", "LeakyReLU"}:
        yield "deconvnet-relu-layer"
    last = output_layer(model)
    if method.family == "deconvnet" and last.class_name in ("Dense", "Activation") and activation_of(last) == "relu":
        yield "signxai-deconvnet-relu-on-the-output"
    if method.row.layers:
        if any(one.class_name == "BatchNormalization" and one.config.get("center") is False for one in model.layers):
            yield "signxai-batch-normalization-without-offset"
        if method.input_rule in _ONE_CONSUMER and any(producers.count(name) > 1 for name in input_layers(model)):
            yield "signxai-input-rule-on-a-branch"
        if method.input_rule in ("SIGN", "SIGNmu") and last.name in input_layers(model):
            yield "signxai-sign-rule-on-the-last-layer"
    normalizing = {layer.name for layer in model.layers if layer.class_name == "BatchNormalization"}
    # Behind a normalization no layer takes the input rule.
    if method.input_rule == "Bounded" and method.prefix is not None and not normalizing.issuperset(input_layers(model)):
        yield "signxai-bounded-is-zero"
    if method.family in ("grad_cam", "guided_grad_cam") and len(set(model.input_shape[:2])) == 2:
        yield "signxai-grad-cam-is-transposed"
    if method.family == "grad_cam_timeseries":
        yield "signxai-grad-cam-of-nothing"
    if method.row.layers and _hands_on(model, last) and last.output_shape[-1] != 1:
        yield "signxai-relevance-of-all-classes"
    if method.row.layers and last.class_name == "BatchNormalization" and last.output_shape[-1] != 1:
        yield "signxai-batch-normalization-at-the-end"
    if method.family not in _RUN_BY_KERAS and arrival_order(model):
        yield "signxai-concatenate-order"
    if method.row.layers and unmoved(model):
        yield "signxai-permute-of-equal-sizes"
    if method.family in ("guided_backprop", "deconvnet") and branches:
        yield "signxai-relu-per-consumer"


def _innvestigate(method: Method, model: ModelDescription) -> Iterator[str]:
    """Yield the defects of iNNvestigate."""
    classes = {layer.class_name for layer in model.layers}
    if method.family == "deconvnet" and "ReLU" in classes:
        yield "deconvnet-relu-layer"
    if "BatchNormalization" in classes:
        if method.family == "lrp":
            yield "innvestigate-batch-normalization"
        elif method.family in ("deep_taylor", "deconvnet", "guided_backprop", "integrated_gradients", "smoothgrad"):
            yield "innvestigate-batch-normalization-graph"
    if (
        method.family == "lrp"
        and method.input_rule
        and input_layers(model) != input_layers(model, through_padding=False)
    ):
        yield "innvestigate-input-rule-behind-padding"
    if method.family == "lrp":
        blind = any(rule in _BLIND_TO_X for rule, _ in method.row.layers.values())
        bent = classes & set(_BENT) or (blind and classes & {"ReLU"})
        if bent or any(_keeps_shape(layer) for layer in model.layers):
            yield "innvestigate-derivative-in-lrp"


def _keeps_shape(layer: LayerDescription) -> bool:
    strides = layer.config.get("strides") or layer.config.get("pool_size")
    sizes = strides if isinstance(strides, list) else [strides]
    kept = layer.config.get("padding") == "same" or layer.config.get("pool_size") in ([1, 1], [1], 1)
    return layer.class_name in _POOLING and set(sizes) == {1} and kept


def _hands_on(model: ModelDescription, layer: LayerDescription) -> bool:
    """Return whether SIGN-XAI's LRP passes relevance through a layer as if it were not there."""
    if layer.class_name in ("Flatten", "Permute", "Reshape"):
        return tuple(layer.output_shape) == _shape_of(model, layer.inbound[0])
    return layer.class_name in (*_PASSING, *TRAINING_ONLY)


def output_layer(model: ModelDescription) -> LayerDescription:
    """Return the layer whose output is explained: the last one but for a softmax and what does nothing."""
    by_name = {layer.name: layer for layer in model.layers}

    def behind(layer: LayerDescription) -> LayerDescription:
        """Return the last layer up to one that does more than nothing."""
        while layer.class_name == "Activation" and layer.config.get("activation") == "linear":
            layer = by_name[layer.inbound[0]]
        return layer

    last = behind(model.layers[-1])
    if last.class_name == "Softmax" or (last.class_name == "Activation" and activation_of(last) is None):
        last = behind(by_name[last.inbound[0]])
    return last


def activation_of(layer: LayerDescription) -> str | None:
    """Return the activation of the layer that makes the output, None where it is linear or a softmax (left out)."""
    name = layer.config.get("activation")
    return None if name in (None, "linear", "softmax") else str(name)


def has_output_activation(model: ModelDescription) -> bool:
    """Return whether a layer with a kernel makes the output by an activation of its own, other than a softmax."""
    last = output_layer(model)
    return last.parameters > 0 and activation_of(last) is not None


def unmoved(model: ModelDescription) -> tuple[str, ...]:
    """Return the Permute layers that move values but keep the shape: SIGN-XAI's LRP moves no relevance there."""
    return tuple(
        layer.name
        for layer in model.layers
        if layer.class_name == "Permute"
        and list(layer.config["dims"]) != sorted(layer.config["dims"])
        and tuple(layer.output_shape) == _shape_of(model, layer.inbound[0])
    )


def swapped_size(defect: str | None, shape: Sequence[int]) -> tuple[int, int] | None:
    """Return (height, width) of the map that SIGN-XAI makes of an image (H, W, C) if it swaps them, else None."""
    return (shape[1], shape[0]) if defect == "signxai-grad-cam-is-transposed" else None


def _shape_of(model: ModelDescription, name: str) -> tuple[int | None, ...]:
    return next(tuple(layer.output_shape) for layer in model.layers if layer.name == name)


def input_layers(model: ModelDescription, through_padding: bool = True) -> list[str]:
    """Return the kernel layers that see the model's input, through what only moves (or pads) values."""
    transparent = ("InputLayer", "Flatten", "Permute", "Reshape", *(_PADDING if through_padding else ()))
    by_name = {layer.name: layer for layer in model.layers}

    def sees(name: str) -> bool:
        layer = by_name[name]
        return layer.class_name in transparent and all(sees(producer) for producer in layer.inbound)

    return [
        layer.name
        for layer in model.layers
        if layer.parameters and layer.inbound and all(sees(producer) for producer in layer.inbound)
    ]


def adds_branches(model: ModelDescription) -> bool:
    """Return whether LRP divides by sums of branches somewhere."""
    return any(layer.class_name == "Add" for layer in model.layers)


def arrival_order(model: ModelDescription) -> dict[str, tuple[str, ...]]:
    """Return the Concatenate layers that SIGN-XAI feeds in another order than the model's, with that order.

    It hands each layer's output to the layers that read it, one after another, each of which runs as soon as its
    last input is there; a layer takes its inputs in the order in which they arrive.
    """
    arrived: dict[str, list[str]] = {layer.name: [] for layer in model.layers}

    def run(name: str) -> None:
        for layer in model.layers:
            for producer in layer.inbound:
                if producer == name:
                    arrived[layer.name].append(name)
                    if len(arrived[layer.name]) == len(layer.inbound):
                        run(layer.name)

    for layer in model.layers:
        if not layer.inbound:
            run(layer.name)
    return {
        layer.name: tuple(arrived[layer.name])
        for layer in model.layers
        if layer.class_name == "Concatenate" and tuple(arrived[layer.name]) != layer.inbound
    }
