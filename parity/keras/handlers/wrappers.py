"""Handlers: layers around other layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.keras.handlers.handler import Handler
from parity.keras.handlers.layer import Built, Layer, Value, Variable
from parity.keras.modules.moving import FeatureOrder
from parity.keras.modules.wrappers import TimeDistributed

Table = Mapping[str, Handler]
# Not what happens at each step alone, or more than one layer.
_NOT_INSIDE = ("InputLayer", "TimeDistributed")


def inner_variables(table: Table) -> Callable[[Mapping[str, Any]], tuple[Variable, ...]]:
    """Return what tells the variables of the layer inside."""

    def variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
        class_name, inner = _inside(config)
        own = table[class_name].variables(inner) if class_name in table else ()
        return tuple(replace(one, place=f"layer/{one.place}".rstrip("/")) for one in own)

    return variables


def time_distributed(table: Table) -> Callable[[Layer], Built]:
    """Return the handler of `TimeDistributed`, which takes the layer inside from a table."""

    def build(layer: Layer) -> Built:
        """`TimeDistributed`: to both references one layer without a kernel, whatever is inside."""
        class_name, config = _inside(layer.node.config)
        if class_name not in table or class_name in _NOT_INSIDE:
            raise layer.fail(
                f"the layer inside is of the class {class_name!r}, which cannot be converted there. "
                "Use one of Keras' own layers for each step"
            )
        shape = layer.input.shape
        if len(shape) < 2:
            raise layer.fail(f"its input {shape} has no axis of steps. Check the model's input_shape")
        if layer.input.masked and table[class_name].mask != "passes":
            raise layer.fail(
                "it reads a sequence with a mask (of Masking, or Embedding with mask_zero=True), and the layer inside, "
                f"a {class_name}, cannot have the mask of one step; Keras stops there too. Rebuild the model without "
                "masks there"
            )
        node = replace(layer.node, class_name=class_name, config=config)
        built = table[class_name].build(replace(layer, node=node, inputs=(Value(shape[1:]),)))
        modules = [module for _, module in built.modules]
        if built.value.order is not None:
            modules.append(FeatureOrder(torch.from_numpy(np.argsort(built.value.order))))
        made = (shape[0], *built.value.shape)
        module: nn.Module = TimeDistributed("unchanged" if made == shape else "derivative", *modules)
        return Built(Value(made), (("", module),))

    return build


def _inside(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    inner = config.get("layer")
    inner = inner if isinstance(inner, Mapping) else {}
    settings = inner.get("config")
    registered = inner.get("registered_name")
    class_name = registered if isinstance(registered, str) and registered else inner.get("class_name")
    return str(class_name), settings if isinstance(settings, Mapping) else {}
