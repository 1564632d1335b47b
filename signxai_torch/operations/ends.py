"""Where the layers of a converted Keras model end, which its torch modules alone do not tell."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def ends_of(model: nn.Module) -> Mapping[str, str]:
    """Return from a layer's name to the name of the module that gives its output, its own activation included.

    It is the model's attribute ``layer_outputs``, in the order in which the layers are computed; a model without it
    is none of Keras, and the mapping is empty.
    """
    return getattr(model, "layer_outputs", {})


def is_last(model: nn.Module, layer: str) -> bool:
    """Return whether a module, by its path, does the work of a Keras model's last layer; in other models any may.

    What does nothing (`Activation("linear")`) is no layer at the end; the references leave it out.
    """
    ends = ends_of(model)
    own = ends.get(layer)
    if own is None:
        return True
    modules = dict(model.named_modules())
    working = [end for end in ends.values() if end == own or not isinstance(modules.get(end), nn.Identity)]
    return own == working[-1]
