"""Handlers: layers around other layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.keras.description import Shape
from parity.keras.graph import Graph
from parity.keras.handlers.handler import Handler
from parity.keras.handlers.layer import Built, Layer, Value, Variable
from parity.keras.modules.moving import FeatureOrder
from parity.keras.modules.wrappers import TimeDistributed
from parity.keras.parse import MODELS, parse_architecture
from parity.keras.positions import members_in_place
from parity.keras.stored_tensor import StoredTensor

Table = Mapping[str, Handler]
# Not what happens at each step alone, or more than one layer.
_NOT_INSIDE = ("InputLayer", "TimeDistributed")


def inner_variables(table: Table) -> Callable[[Mapping[str, Any]], tuple[Variable, ...]]:
    """Return what tells the variables of the layer inside."""

    def variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
        class_name, inner = layer_inside(config)
        graph = model_inside(config, Path(class_name))
        if graph is None:
            own = table[class_name].variables(inner) if class_name in table else ()
            return tuple(replace(one, place=f"layer/{one.place}".rstrip("/")) for one in own)
        return tuple(
            Variable(
                f"{node.name}/{variable.name}",
                variable.trainable and node.config.get("trainable") is not False,
                f"{place}/{variable.place}".rstrip("/"),
            )
            for node, place in members_in_place(graph.model, "layer")
            if node.class_name in table
            for variable in table[node.class_name].variables(node.config)
        )

    return variables


def model_inside(config: Mapping[str, Any], file: Path) -> Graph | None:
    """Return the model that a wrapper's configuration holds, None where it holds a layer.

    Raises
    ------
    ConversionError
        If the model's configuration is not well formed.
    """
    class_name, inner = layer_inside(config)
    return parse_architecture({"class_name": class_name, "config": inner}, file) if class_name in MODELS else None


def time_distributed(table: Table) -> Callable[[Layer], Built]:
    """Return the handler of `TimeDistributed`, which takes the layer inside from a table."""

    def build(layer: Layer) -> Built:
        """`TimeDistributed`: to both references one layer without a kernel, whatever is inside."""
        class_name, config = layer_inside(layer.node.config)
        graph = model_inside(layer.node.config, layer.file)
        if graph is not None:
            return _around_a_model(layer, graph)
        if class_name not in table or class_name in _NOT_INSIDE:
            raise layer.fail(
                f"the layer inside is of the class {class_name!r}, which cannot be converted there. "
                "Use one of Keras' own layers for each step"
            )
        shape = _steps(layer)
        if table[class_name].mask != "passes":
            _refuse_mask(layer, class_name)
        node = replace(layer.node, class_name=class_name, config=config)
        built = table[class_name].build(replace(layer, node=node, inputs=(Value(shape[1:]),)))
        modules = [module for _, module in built.modules]
        if built.value.order is not None:
            modules.append(FeatureOrder(torch.from_numpy(np.argsort(built.value.order))))
        around = _built(layer, built.value.shape, *modules)
        # Masking and Embedding make a mask of each step; in Keras 2 it goes on to what is behind the wrapper.
        makes_mask = isinstance(built.mask, nn.Module) and layer.keras_major < 3
        return replace(around, mask=built.mask) if makes_mask else around

    return build


def _around_a_model(layer: Layer, graph: Graph) -> Built:
    shape = _steps(layer)
    _refuse_mask(layer, "model")
    ((_, expected),) = graph.inputs
    if len(expected) != len(shape) - 1 or any(
        size not in (None, there) for size, there in zip(expected, shape[1:], strict=True)
    ):
        raise layer.fail(f"the model inside takes {expected}, and each step is {shape[1:]}")
    tensors: dict[str, dict[str, StoredTensor]] = {}
    nodes = sorted((node.name for node in graph.nodes), key=len, reverse=True)  # of "a" and "a/b", "a/b" first
    for name, tensor in layer.stored.items():
        node = next(node for node in nodes if name.startswith(f"{node}/"))
        tensors.setdefault(node, {})[name.removeprefix(f"{node}/")] = tensor
        layer.used.add(name)
    module, made, description = layer.convert(graph, tensors)
    if description.output_layer.masked and layer.keras_major < 3:
        raise layer.fail(
            "the model inside hands on the mask of each step (of Masking, or Embedding with mask_zero=True), which is "
            "not supported. Let it end in a layer that ends masks, such as a recurrent one without return_sequences"
        )
    return replace(_built(layer, made, module), inside=description)


def _steps(layer: Layer) -> Shape:
    shape = layer.input.shape
    if len(shape) < 2:
        raise layer.fail(f"its input {shape} has no axis of steps. Check the model's input_shape")
    return shape


def _refuse_mask(layer: Layer, kind: str) -> None:
    if layer.input.masked:
        raise layer.fail(
            "it reads a sequence with a mask (of Masking, or Embedding with mask_zero=True), and the layer inside, "
            f"a {kind}, would get the mask of each step, which is not supported. Rebuild the model without masks there"
        )


def _built(layer: Layer, made: Shape, *modules: nn.Module) -> Built:
    shape = layer.input.shape
    whole = (shape[0], *made)
    return Built(Value(whole), (("", TimeDistributed("unchanged" if whole == shape else "derivative", *modules)),))


def layer_inside(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return class and configuration of the layer, or the model, that a wrapper's configuration holds."""
    inner = config.get("layer")
    inner = inner if isinstance(inner, Mapping) else {}
    settings = inner.get("config")
    registered = inner.get("registered_name")
    class_name = registered if isinstance(registered, str) and registered else inner.get("class_name")
    return str(class_name), settings if isinstance(settings, Mapping) else {}
