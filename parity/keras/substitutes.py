"""Layers that no reference can read, or explains by no rule, spelled as other layers of Keras that compute the same.

They are replaced in the graph once their weights are known, so that the converter, both references and the report all
speak of the same layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from parity.keras import einsum
from parity.keras.calls import Call, Source
from parity.keras.errors import ConversionError
from parity.keras.functions.parts import ALL_PLACES
from parity.keras.functions.spelling import PREVIOUS, NotSpelledError, Spelled, Tensors
from parity.keras.graph import Graph, Node
from parity.keras.handlers.attention import CALL_SETTINGS, multi_head_variables
from parity.keras.handlers.layer import Variable
from parity.keras.handlers.table import HANDLERS
from parity.keras.handlers.wrappers import layer_inside
from parity.keras.stored_tensor import Floats
from parity.keras.weights import Assigned

Fail = Callable[[str], ConversionError]


@dataclass(frozen=True)
class Substitute:
    """How a class of layers is spelled.

    Attributes
    ----------
    variables
        The variables that a layer of this configuration has in a file.
    layers
        The layers that compute the same, given the layer and its tensors.
    mask
        Whether a mask goes on through them as through the layer itself; else it ends there.
    settings
        What a call may tell the layer besides tensors, with the values that are supported.
    """

    variables: Callable[[Mapping[str, Any]], tuple[Variable, ...]]
    layers: Callable[[Node, Tensors], Sequence[Spelled]]
    mask: bool = False
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def _variables_inside(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Return the variables of the layer inside and of the power iteration; some files hold the kernel twice."""
    class_name, inner = layer_inside(config)
    inside = HANDLERS[class_name].variables(inner) if class_name in HANDLERS else ()
    if not inside:
        return ()
    first, *others = (replace(variable, place=f"layer/{variable.place}".rstrip("/")) for variable in inside)
    again, vector = Variable("kernel again", again=True), Variable("vector_u", trainable=False)
    if inner.get("trainable") is False or config.get("trainable") is False:
        return tuple(replace(variable, trainable=False) for variable in (first, again, vector, *others))
    return (first, *others, again, vector)


def _layer_inside(node: Node, tensors: Tensors) -> Sequence[Spelled]:
    """`SpectralNormalization`: training leaves the kernel normalised in the layer inside, which works on its own."""
    class_name, inner = layer_inside(node.config)
    names = {variable.name for variable in HANDLERS[class_name].variables(inner)}
    inside = {name: tensor for name, tensor in tensors.items() if name in names}
    return (Spelled(class_name, inner, node.inbound, inside),)


def _grouped_heads(node: Node, tensors: Tensors) -> Sequence[Spelled]:
    """`GroupedQueryAttention`: heads of a group have the same keys and values, so their kernels are repeated."""
    config = node.config
    heads, groups = config.get("num_query_heads"), config.get("num_key_value_heads")
    if type(heads) is not int or type(groups) is not int or groups < 1 or heads % groups:
        raise NotSpelledError(f"'num_query_heads' is {heads!r}, which are not groups of {groups!r}")

    def repeated(values: Floats) -> Floats:
        return np.repeat(values, heads // groups, axis=-2)

    made = dict(tensors)
    for name, tensor in tensors.items():
        if name.startswith(("key_", "value_")) and len(tensor.shape) > 1:
            shape = (*tensor.shape[:-2], tensor.shape[-2] * (heads // groups), tensor.shape[-1])
            made[name] = tensor.changed(repeated, shape)
    told = {key: config[key] for key in ("use_bias", "use_gate", "sliding_window", "dropout") if key in config}
    settings = {"num_heads": heads, "key_dim": config.get("head_dim"), **told}
    return (Spelled("MultiHeadAttention", settings, node.inbound, made),)


def _without_the_mean(node: Node, tensors: Tensors) -> Sequence[Spelled]:
    """`RMSNormalization`: of x beside -x the mean is 0, and the variance is the mean square of x."""
    config = node.config
    told = config.get("axis", -1)
    axis = told[0] if isinstance(told, list) and len(told) == 1 else told
    if type(axis) is not int or axis < -1 or axis == 0:
        raise NotSpelledError(f"'axis' is {told!r}; one axis from 1 on, or -1, is supported")
    scale = tensors["scale"]
    if len(scale.shape) != 1 or not scale.shape[0]:
        raise NotSpelledError(f"'scale' has the shape {scale.shape}, and one number for each channel is expected")
    (size,) = scale.shape
    gamma = scale.changed(lambda values: np.concatenate([values, values]), (2 * size,))
    norm = {"axis": axis, "epsilon": config.get("epsilon", 1e-6), "center": False}
    first = {"start": None, "stop": size, "step": None}
    before = ["..."] if axis == -1 else [ALL_PLACES] * axis
    return (
        Spelled("Rescaling", {"scale": -1.0, "offset": 0.0}, node.inbound),
        Spelled("Concatenate", {"axis": axis}, (*node.inbound, PREVIOUS)),
        Spelled("LayerNormalization", norm, (PREVIOUS,), {"gamma": gamma}),
        Spelled("ops.GetItem", {}, (PREVIOUS,), constants=([*before, first],)),
    )


SPECTRAL = ("SpectralNormalization", "Addons>SpectralNormalization")
"""Keras' own layer of this name, and that of tensorflow-addons."""
SUBSTITUTES: Mapping[str, Substitute] = {
    "EinsumDense": Substitute(einsum.variables, einsum.dense_layers),
    **dict.fromkeys(SPECTRAL, Substitute(_variables_inside, _layer_inside, mask=True)),
    "GroupedQueryAttention": Substitute(multi_head_variables, _grouped_heads, mask=True, settings=CALL_SETTINGS),
    "RMSNormalization": Substitute(lambda config: (Variable("scale"),), _without_the_mean),
}
"""By class."""


def substituted(graph: Graph, tensors: Assigned, fail: Fail) -> tuple[Graph, Assigned]:
    """Return a graph, and its tensors by node, with other layers in place of those of `SUBSTITUTES`.

    Raises
    ------
    ConversionError
        If a layer's settings are such that no layers compute the same.
    """
    if not any(node.class_name in SUBSTITUTES for node in graph.nodes):
        return graph, tensors
    spelling = _Spelling({node.name for node in graph.nodes}, fail)
    nodes, made = [], dict(tensors)
    for node in graph.nodes:
        if node.class_name not in SUBSTITUTES:
            nodes.append(node)
            continue
        of_parts = spelling.of(node, tensors.get(node.weights_of or node.name, {}))
        nodes += [part for part, _ in of_parts]
        # A layer's first call may belong to another output alone; its parts have the weights all the same.
        made.pop(node.weights_of or node.name, None)
        made |= {part.weights_of or part.name: dict(weights) for part, weights in of_parts if weights}
    return replace(graph, nodes=tuple(nodes)), made


@dataclass
class _Spelling:
    names: set[str]
    fail: Fail
    of_layers: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, node: Node, tensors: Tensors) -> list[tuple[Node, Tensors]]:
        """Return the nodes in place of one, each with its tensors; the last has its name."""
        substitute = SUBSTITUTES[node.class_name]
        try:
            layers = substitute.layers(node, tensors)
        except NotSpelledError as problem:
            raise self.fail(f"layer {node.name!r} ({node.class_name}): {problem}") from None
        return list(self._nodes(node, substitute, layers))

    def _nodes(self, node: Node, substitute: Substitute, layers: Sequence[Spelled]) -> Iterator[tuple[Node, Tensors]]:
        names: list[str] = []
        for number, layer in enumerate(layers, start=1):
            # "part" is what the layers of a bare operation among them are called.
            suffix = "" if number == len(layers) else f"layer_{number}"
            inbound = tuple(names[read] if isinstance(read, int) else read for read in layer.inbound)
            call = node.call if inbound == node.inbound and not layer.constants else Call(
                (*(Source(name, 0, 0) for name in inbound), *layer.constants)
            )  # fmt: skip
            name = self._name(node.name, suffix)
            weights_of = self._name(node.weights_of, suffix) if node.weights_of and layer.tensors else ""
            yield (
                Node(
                    name, node.keras_name, layer.class_name, {**layer.config, "name": name}, inbound, call, weights_of,
                    ends_masks=not substitute.mask,
                ),
                layer.tensors,
            )  # fmt: skip
            names.append(name)

    def _name(self, layer: str, suffix: str) -> str:
        if not suffix:
            return layer
        if (layer, suffix) not in self.of_layers:
            name = f"{layer}_{suffix}"
            while name in self.names:
                name += "_"
            self.names.add(name)
            self.of_layers[layer, suffix] = name
        return self.of_layers[layer, suffix]
