"""Facts about a model's layers that known differences depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from parity.keras import LayerDescription, ModelDescription
from parity.keras.handlers.activations import is_identity
from parity.keras.handlers.table import HANDLERS, TRAINING_ONLY
from parity.keras.handlers.wrappers import layer_inside
from parity.keras.network import NetworkLayer

Layer = LayerDescription | NetworkLayer
_POOLING = ("MaxPooling1D", "MaxPooling2D", "MaxPooling3D")
_PADDING = ("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
# Layers without a kernel that keep the shape, so that SIGN-XAI's LRP passes relevance through them unchanged.
_PASSING = (
    "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "ThresholdedReLU", "Softmax", "Rescaling", "Normalization",
    "LayerScale", "LayerNormalization", "GroupNormalization", "UnitNormalization", "Masking", "TFOpLambda",
)  # fmt: skip
KERNEL_CLASSES = (
    "Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "LocallyConnected1D", "LocallyConnected2D",
)  # fmt: skip
"""Layers with a kernel: those that rules go on, in both references."""


def classes(model: ModelDescription) -> set[str]:
    """Return the classes of a model's layers."""
    return {layer.class_name for layer in model.layers}


def layers_at_every_step(model: ModelDescription) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield class and call settings of the layers inside of `TimeDistributed`, alone or in a model."""
    for layer in model.layers:
        if layer.class_name != "TimeDistributed":
            continue
        if layer.inside is None:
            yield layer_inside(layer.config)[0], {}
            continue
        yield from ((inner.class_name, inner.settings) for inner in layer.inside.layers)
        yield from layers_at_every_step(layer.inside)


def branches(model: ModelDescription) -> bool:
    """Return whether several layers read one."""
    producers = [name for layer in model.layers for name in layer.inbound]
    return len(set(producers)) < len(producers)


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


def more_than_a_relu(layer: LayerDescription) -> bool:
    """Return whether a layer of class ReLU has a slope below zero, or a bound, where values go on without a slope."""
    settings = layer.config
    return layer.class_name == "ReLU" and bool(settings.get("negative_slope") or settings.get("max_value") is not None)


def unmoved(model: ModelDescription) -> tuple[str, ...]:
    """Return the Permute layers that move values but keep the shape: SIGN-XAI's LRP moves no relevance there."""
    return tuple(
        layer.name
        for layer in model.layers
        if layer.class_name == "Permute"
        and list(layer.config["dims"]) != sorted(layer.config["dims"])
        and tuple(layer.output_shape) == _shape_of(model, layer.inbound[0])
    )


def _shape_of(model: ModelDescription, name: str) -> tuple[int | None, ...]:
    return next(tuple(layer.output_shape) for layer in model.layers if layer.name == name)


def same_shape(model: ModelDescription, layer: LayerDescription) -> bool:
    """Return whether a layer that reads one other has the shape of what it reads."""
    return len(layer.inbound) == 1 and tuple(layer.output_shape) == _shape_of(model, layer.inbound[0])


_RESIZING = tuple(f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for n in (1, 2, 3))


def takes_open_sizes(model: ModelDescription) -> bool:
    """Return whether a model leaves a size of its input open."""
    return any(None in layer.output_shape for layer in model.layers if not layer.inbound)


def resized_open(model: ModelDescription) -> tuple[str, ...]:
    """Return the layers that change a size which the model leaves open, so that their shapes seem to be the same."""
    return tuple(
        layer.name
        for layer in model.layers
        if layer.class_name in _RESIZING and None in layer.output_shape and same_shape(model, layer)
    )


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
        if layer.class_name in KERNEL_CLASSES and layer.inbound and all(sees(producer) for producer in layer.inbound)
    ]


def takes_tokens(model: ModelDescription) -> bool:
    """Return whether a model does nothing with one of its inputs but look it up in a table, up to what moves values."""
    moving = ("InputLayer", "Flatten", "Permute", "Reshape")
    moved = {layer.name: {layer.name} if not layer.inbound else set() for layer in model.layers}
    readers: dict[str, set[str]] = {}
    for layer in model.layers:  # each comes after those it reads
        inputs = set().union(*(moved[producer] for producer in layer.inbound))
        if layer.class_name in moving or is_identity(layer.class_name, layer.config):
            moved[layer.name] |= inputs
        else:
            for name in inputs:
                readers.setdefault(name, set()).add("Embedding" if looks_up_at_every_step(layer) else layer.class_name)
    return {"Embedding"} in readers.values()


def looks_up_at_every_step(layer: LayerDescription) -> bool:
    """Return whether a `TimeDistributed` does nothing with what it reads but look it up in a table."""
    if layer.class_name != "TimeDistributed":
        return False
    return takes_tokens(layer.inside) if layer.inside is not None else layer_inside(layer.config)[0] == "Embedding"


def masked(layers: Iterable[Layer]) -> set[str]:
    """Return the layers with whose result a mask may go."""
    names: set[str] = set()
    for layer in layers:  # each comes after those it reads
        goes_on = not names.isdisjoint(layer.inbound) and HANDLERS[layer.class_name].mask != "ends"
        if layer.class_name == "Masking" or layer.config.get("mask_zero") or goes_on:
            names.add(layer.name)
    return names


def masked_averages(model: ModelDescription) -> tuple[str, ...]:
    """Return the GlobalAveragePooling1D layers whose mean leaves out steps, as a mask says."""
    return _behind_masks(model, "GlobalAveragePooling1D")


def masked_attentions(model: ModelDescription) -> tuple[str, ...]:
    """Return the layers of attention that leave out steps, as a mask says."""
    return _behind_masks(model, "Attention", "AdditiveAttention", "MultiHeadAttention")


def _behind_masks(model: ModelDescription, *kinds: str) -> tuple[str, ...]:
    masked = {layer.name for layer in model.layers if layer.masked}
    return tuple(
        layer.name for layer in model.layers if layer.class_name in kinds and masked.intersection(layer.inbound)
    )


def keeps_shape(layer: Layer) -> bool:
    """Return whether a layer is a max-pooling that keeps the shape."""
    strides = layer.config.get("strides") or layer.config.get("pool_size")
    sizes = strides if isinstance(strides, list) else [strides]
    kept = layer.config.get("padding") == "same" or layer.config.get("pool_size") in ([1, 1, 1], [1, 1], [1], 1)
    return layer.class_name in _POOLING and set(sizes) == {1} and kept


# Of the layers that do something in training alone, those that copy the tensor at inference; the others hand it on.
_COPYING = frozenset({"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"})


def tensors_read(layers: Iterable[Layer]) -> dict[str, tuple[str, ...]]:
    """Return the layers that make the tensors which each layer reads: those that hand a tensor on make none."""
    maker: dict[str, str] = {}
    read: dict[str, tuple[str, ...]] = {}
    for layer in layers:  # each comes after those it reads
        read[layer.name] = tuple(maker[name] for name in layer.inbound)
        linear = layer.class_name == "Activation" and layer.config.get("activation") == "linear"
        same = linear or layer.class_name in TRAINING_ONLY - _COPYING
        maker[layer.name] = read[layer.name][0] if same else layer.name
    return read


def reads_twice(layer: Layer, tensors: Sequence[str]) -> bool:
    """Return whether a layer reads one tensor in several places, such as Add()([x, x]), given what it reads."""
    return len(set(tensors)) < len(tensors) and layer.class_name != "MultiHeadAttention"


def rounds_to_float32(layer: Layer) -> bool:
    """Return whether TensorFlow rounds a layer's values to float32, and what comes back to it, in every dtype."""
    resizes = layer.class_name in ("Resizing", "CenterCrop", "RandomCrop")
    return resizes and str(layer.config.get("interpolation", "bilinear")).lower() != "nearest"


def hands_on(model: ModelDescription, layer: LayerDescription) -> bool:
    """Return whether SIGN-XAI's LRP passes relevance through a layer as if it were not there."""
    if layer.class_name in ("Flatten", "Permute", "Reshape"):
        return tuple(layer.output_shape) == _shape_of(model, layer.inbound[0])
    return layer.class_name in (*_PASSING, *TRAINING_ONLY)
