"""Equivalent networks: the same function of the input, spelled so that a reference's defect does not bite.

Each rewrite is exact in real numbers. That the rewritten network gives the same logits is checked with the reference
itself before any of its maps is believed (`parity.run.reference_side`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from parity.judge.known.arrival import in_order_of_arrival
from parity.judge.known.attention import heads_apart
from parity.judge.known.conditions import keeps_shape, masked, reads_twice, rounds_to_float32, tensors_read
from parity.judge.known.rewrite import NoEquivalentError, Rewrite, linear, shape_of
from parity.keras.augmentations import RANDOM
from parity.keras.functions.spelling import COPY, COPY_SETTINGS
from parity.keras.network import Network, NetworkLayer

ELEMENTWISE = (
    "Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
    "SpatialDropout3D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Identity",
    "TFOpLambda",
)  # fmt: skip
"""Layers without weights that work on each value alone."""

_BENDING = ("ReLU", "LeakyReLU", "ELU", "ThresholdedReLU")
"""Layers that are a function of one value, which an Activation layer can have as well."""
# What has a rule in both references, by iNNvestigate's own list.
_IN_ITS_LIST = (
    "InputLayer", "Dense", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "Flatten", "Reshape", "Activation", "Add", "Concatenate", "Dropout", "ZeroPadding1D", "ZeroPadding2D",
    "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
)  # fmt: skip


def _no_branch_at_a_layer(network: Network, _target: int) -> Network:
    for layer in network.layers:
        readers = network.consumers(layer.name)
        if layer.inbound and len(readers) > 1:
            network = network.inserted(layer.name, linear(network, f"{layer.name}_read"))
    return network


def _relu_attribute(network: Network, _target: int) -> Network:
    for layer in network.layers:
        if layer.class_name == "ReLU":
            plain = layer.config.get("max_value") is None and not layer.config.get("threshold")
            if not plain or layer.config.get("negative_slope"):
                raise NoEquivalentError(f"the layer {layer.name!r} is more than a ReLU")
            network = network.with_layer(replace(layer, class_name="Activation", config={"activation": "relu"}))
        elif layer.class_name.endswith("ReLU"):
            raise NoEquivalentError(f"the layer {layer.name!r} is no ReLU")
    return network


def _function_of_an_activation(network: Network, _target: int) -> Network:
    for layer in network.layers:
        if layer.class_name in _BENDING:
            function = {"class_name": layer.class_name, "config": {**layer.config, "name": f"{layer.name}_function"}}
            config = {"activation": function}
            network = network.with_layer(replace(layer, class_name="Activation", config=config))
        elif layer.class_name not in _IN_ITS_LIST:
            raise NoEquivalentError(
                f"the layer {layer.name!r} ({layer.class_name}) is not one that both references have"
            )
        elif keeps_shape(layer):
            raise NoEquivalentError(f"the layer {layer.name!r} keeps the shape")
    return network


def _zero_offset(network: Network, _target: int) -> Network:
    for layer in network.layers:
        if layer.class_name == "BatchNormalization" and layer.config.get("center") is False:
            weights = dict(layer.weights)
            if weights:
                mean = weights["moving_mean"]
                order = ("gamma", "beta", "moving_mean", "moving_variance")
                weights["beta"] = np.zeros_like(mean)
                weights = {name: weights[name] for name in order if name in weights}
            network = network.with_layer(replace(layer.configured(center=True), weights=weights))
    return network


def _permute_through_another_shape(network: Network, _target: int) -> Network:
    for name in [layer.name for layer in network.layers if layer.class_name == "Permute"]:
        layer = network[name]  # as it is now: what it reads may have been put behind another Permute
        before = network[layer.inbound[0]].shape
        if before is None or None in before:
            raise NoEquivalentError(f"the layer {layer.name!r} has an open size")
        dims = [int(axis) for axis in layer.config["dims"]]
        after = tuple(before[axis - 1] for axis in dims)
        # With an axis of one place in front, which the permutation moves to the end, no shape stays what it was.
        wider = NetworkLayer(network.free_name("widened"), "Reshape", {"target_shape": [1, *before]}, ())
        network = network.inserted(layer.inbound[0], wider, consumers=[layer.name])
        network = network.with_layer(network[layer.name].configured(dims=[*(axis + 1 for axis in dims), 1]))
        narrow = {"target_shape": list(after)}
        network = network.inserted(
            layer.name, NetworkLayer(network.free_name("narrowed"), "Reshape", narrow, (), {}, after)
        )
    return network


def _only_the_target(network: Network, target: int) -> Network:
    layer = network.output
    if shape_of(network, layer.name) == (1,):
        return network  # whatever makes it, there is no other class
    behind: list[NetworkLayer] = []
    while layer.class_name != "Dense":
        if layer.class_name not in (*ELEMENTWISE, "BatchNormalization") or len(layer.inbound) != 1:
            raise NoEquivalentError(f"the class cannot be chosen before the layer {layer.name!r} ({layer.class_name})")
        if layer.config.get("activation") == "softmax":
            raise NoEquivalentError("a softmax needs all classes")
        if len(network.consumers(layer.inbound[0])) > 1:
            raise NoEquivalentError(f"the layer {layer.inbound[0]!r} is read by others too")
        behind.append(layer)
        layer = network[layer.inbound[0]]
    if layer.config.get("activation") == "softmax":
        raise NoEquivalentError("a softmax needs all classes")
    for changed in (layer, *behind):
        chosen = {name: values[..., target : target + 1] for name, values in changed.weights.items()}
        changed = replace(changed, weights=chosen)
        network = network.with_layer(changed.configured(units=1) if changed.class_name == "Dense" else changed)
    return network


def _layer_behind_the_output(network: Network, _target: int) -> Network:
    behind = NetworkLayer(network.free_name("behind"), "Dropout", {"rate": 0.5}, ())
    return network.inserted(network.output.name, behind)


def _permuted_input(network: Network, _target: int) -> Network:
    first = network.layers[0]
    batch, height, width, channels = first.config["batch_input_shape"]
    permute = NetworkLayer(network.free_name("upright"), "Permute", {"dims": [2, 1, 3]}, ())
    lying = replace(first, config={"batch_input_shape": [batch, width, height, channels]})
    return network.with_layer(lying).inserted(first.name, permute)


def _augmentation_off(network: Network, _target: int) -> Network:
    for layer in network.layers:
        if layer.class_name in RANDOM:
            nothing = {"name": layer.name, "activation": "linear"}
            network = network.with_layer(replace(layer, class_name="Activation", config=nothing))
        elif layer.class_name == "RandomCrop":
            size = {key: layer.config[key] for key in ("height", "width")}
            inference = {"name": layer.name, **size, "interpolation": "bilinear", "crop_to_aspect_ratio": True}
            network = network.with_layer(replace(layer, class_name="Resizing", config=inference))
    return network


def _rounded_once(network: Network, _target: int) -> Network:
    for layer in network.layers:
        if rounds_to_float32(layer) and len(network.consumers(layer.name)) > 1:
            copy = NetworkLayer(network.free_name(f"{layer.name}_read"), COPY, COPY_SETTINGS, (), {}, layer.shape)
            network = network.inserted(layer.name, copy)
    return network


def _each_read_once(network: Network, _target: int) -> Network:
    tensors = tensors_read(network)
    for layer in [reader for reader in network if reads_twice(reader, tensors[reader.name])]:
        inbound: list[str] = []
        for place, producer in enumerate(layer.inbound):
            if tensors[layer.name][place] in tensors[layer.name][:place]:
                name, shape = network.free_name(f"{producer}_again"), network[producer].shape
                copy = NetworkLayer(name, COPY, COPY_SETTINGS, (), {}, shape)
                network = network.inserted(producer, copy, consumers=[])
                inbound.append(copy.name)
            else:
                inbound.append(producer)
        network = network.with_layer(replace(layer, inbound=tuple(inbound)))
    return network


def _normalization_as_dense(network: Network, _target: int) -> Network:
    for layer in network.layers:
        if layer.class_name != "BatchNormalization":
            continue
        axis = layer.config.get("axis", -1)
        axes = axis if isinstance(axis, list) else [axis]
        if layer.shape is None or axes not in ([-1], [len(layer.shape)]):
            raise NoEquivalentError(f"the layer {layer.name!r} normalises another axis than the last")
        channels = _channels(network, layer.name)
        weights = {}
        if layer.weights:
            stored = {name: np.asarray(values, np.float64) for name, values in layer.weights.items()}
            deviation = np.sqrt(stored["moving_variance"] + float(layer.config.get("epsilon", 1e-3)))
            scale = stored.get("gamma", np.ones(channels)) / deviation
            offset = stored.get("beta", np.zeros(channels)) - stored["moving_mean"] * scale
            weights = {"kernel": np.diag(scale), "bias": offset}
        config = {"units": channels, "activation": "linear", "use_bias": True}
        network = network.with_layer(replace(layer, class_name="Dense", config=config, weights=weights))
    return network


def _attention_by_heads(network: Network, target: int) -> Network:
    for layer in [one for one in network.layers if one.class_name == "MultiHeadAttention"]:
        if len(shape_of(network, layer.name) or ()) > 2:
            raise NoEquivalentError(f"the layer {layer.name!r} has several axes of steps")
        # The heads read what the layer reads, several times each; not from a layer that a rule may go on.
        apart: dict[str, str] = {}
        for name in dict.fromkeys(layer.inbound):
            read = linear(network, f"{name}_attended")
            network = network.inserted(name, read, consumers=[layer.name])
            apart[name] = read.name
        layer = network[layer.name]
        if not masked(network).isdisjoint(layer.inbound):
            raise NoEquivalentError(f"the layer {layer.name!r} reads a mask otherwise than Attention does")
        taken = list(network.layers)

        def free_name(stem: str, taken: list[NetworkLayer] = taken) -> str:
            name = Network(tuple(taken)).free_name(stem)
            taken.append(NetworkLayer(name, "", {}, ()))
            return name

        channels = {read: _channels(network, name) for name, read in apart.items()}
        made = heads_apart(layer, channels, free_name)
        place = network.layers.index(layer)
        network = Network((*network.layers[:place], *made, *network.layers[place + 1 :]))
    return in_order_of_arrival(network, target)


def _channels(network: Network, name: str) -> int:
    shape = shape_of(network, name)
    size = None if shape is None else shape[-1]
    if size is None:
        raise NoEquivalentError(f"the layer {name!r} has an open number of channels")
    return size


NO_BRANCH_AT_A_LAYER = Rewrite("a linear activation behind each layer that several read", _no_branch_at_a_layer)
NORMALIZATION_AS_DENSE = Rewrite("BatchNormalization as a Dense layer of each channel alone", _normalization_as_dense)
RELU_ATTRIBUTE = Rewrite("ReLU layers as Activation('relu')", _relu_attribute)
ZERO_OFFSET = Rewrite("center=False as an offset of zero", _zero_offset)
ONLY_THE_TARGET = Rewrite("the explained class alone", _only_the_target, one_class=True)
LAYER_BEHIND_THE_OUTPUT = Rewrite("a Dropout layer behind the output", _layer_behind_the_output)
PERMUTED_INPUT = Rewrite(
    "the image lying on its side, put upright by a Permute layer", _permuted_input, lambda x: np.swapaxes(x, 0, 1)
)
IN_ORDER_OF_ARRIVAL = Rewrite("inputs that arrive in the model's order", in_order_of_arrival)
SIZED = Rewrite("the size of the input told to the model", lambda network, _target: network, sized=True)
AUGMENTATION_OFF = Rewrite("augmentations as what they are at inference", _augmentation_off)
PERMUTE_THROUGH_ANOTHER_SHAPE = Rewrite(
    "Permute between two Reshape layers, so that no shape stays what it was", _permute_through_another_shape
)
ROUNDED_ONCE = Rewrite("a Dropout layer behind each layer that rounds and that several read", _rounded_once)
EACH_READ_ONCE = Rewrite("what a layer reads twice as two layers", _each_read_once)
ATTENTION_BY_HEADS = Rewrite("MultiHeadAttention as an Attention layer for each head", _attention_by_heads)
FUNCTION_OF_AN_ACTIVATION = Rewrite("activation layers as the functions of Activation", _function_of_an_activation)
REWRITES = (
    SIZED, AUGMENTATION_OFF, ZERO_OFFSET, NORMALIZATION_AS_DENSE, RELU_ATTRIBUTE, FUNCTION_OF_AN_ACTIVATION,
    NO_BRANCH_AT_A_LAYER, ATTENTION_BY_HEADS, ROUNDED_ONCE, EACH_READ_ONCE, PERMUTE_THROUGH_ANOTHER_SHAPE,
    IN_ORDER_OF_ARRIVAL, PERMUTED_INPUT, ONLY_THE_TARGET, LAYER_BEHIND_THE_OUTPUT,
)  # fmt: skip
"""All of them, in the order in which they are applied: what makes ways longer before what orders arrivals."""


def of_size(network: Network, shape: Sequence[int]) -> Network:
    """Return a network of one input for inputs of one shape, Keras layout without the batch axis."""
    start = network.layers[0]
    return network.with_layer(start.configured(batch_input_shape=[None, *shape]))


def without_offsets(network: Network) -> Network:
    """Return the network with every bias, offset and moving mean at zero; not an equivalent, but a homogeneous one."""
    changed = []
    for layer in network.layers:
        offsets = ("bias", "beta", "moving_mean")
        weights = {name: np.zeros_like(v) if name in offsets else v for name, v in layer.weights.items()}
        changed.append(replace(layer, weights=weights))
    return Network(tuple(changed))
