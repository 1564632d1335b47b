"""Which methods can be followed layer by layer, and what is asked of a model that is cut."""

from __future__ import annotations

import re

from parity.keras import ModelDescription
from parity.run.subjects import Method

_FAMILIES = ("lrp", "deep_taylor", "gradient", "guided_backprop", "deconvnet")
_WHY_NOT = {
    "smoothgrad": "it averages over many noisy inputs, and each has a way of its own through the layers",
    "vargrad": "it is a variance over many noisy inputs, and each has a way of its own through the layers",
    "integrated_gradients": "it averages over many inputs, and each has a way of its own through the layers",
    "grad_cam": "it is made at one layer and handed to no other",
    "grad_cam_timeseries": "it is made at one layer and handed to no other",
    "guided_grad_cam": "it is the product of two maps, one of which passes no layers",
    "random_uniform": "it does not look at the model",
    "input": "it does not look at the model",
    "random": "it does not look at the model",
}


def why_not(method: Method) -> str | None:
    """Return why a method cannot be followed layer by layer, or None if it can."""
    if method.family in _FAMILIES:
        return None
    return f"{method} has no trace: {_WHY_NOT.get(method.family, 'no reference explains it layer by layer')}."


def base_of(method: Method) -> str:
    """Return what passes the layers in a method: its name without the arithmetic around the map."""
    if method.parameters.get("times_input"):
        return "gradient"
    return method.base


def above_input_layer(method: Method) -> str:
    """Return the method that a part above the input layer is explained by: the same rules without the input layer's."""
    name = base_of(method)
    if method.prefix is not None and method.prefix.input_rule is not None:
        name = name.replace(f"{method.prefix.name}_", "lrp_", 1).removesuffix(f"_{method.suffix}")
        return re.sub(r"_mu_(neg_)?[0-9]+(_[0-9]+)?$", "", name)
    if method.row.input_rule is None:
        return name
    if method.family == "deep_taylor":
        return "deep_taylor"
    rest = re.sub(r"_flat(_until_idx)?$", "", name)
    # `rule_until_index` is the composite b with another rule near the input.
    return rest.replace("rule_until_index", "sequential_composite_b")


def sees_input(model: ModelDescription, name: str, through_padding: bool) -> bool:
    """Return whether a layer's output is the model's input, up to what only moves (or pads) values."""
    by_name = {layer.name: layer for layer in model.layers}
    moving = ("InputLayer", "Flatten", "Permute", "Reshape")
    padding = ("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D") if through_padding else ()

    def sees(one: str) -> bool:
        layer = by_name[one]
        return layer.class_name in (*moving, *padding) and all(sees(producer) for producer in layer.inbound)

    return sees(name)


def asked_at(method: Method, model: ModelDescription, producer: str, backend: str) -> str:
    """Return the method that the part behind a layer's output is explained by.

    The rule of the input layer stays with the layer that has it in the whole model. What sees the input through padding
    has it in SIGN-XAI, and not in iNNvestigate; a part that begins behind the padding would not know.
    """
    if sees_input(model, producer, through_padding=backend == "signxai"):
        return base_of(method)
    return above_input_layer(method)
