"""What the table says of a Keras class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from parity.keras.handlers.layer import Built, Layer, Variable
from parity.keras.handlers.layouts import Layout


def _none(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    return ()


@dataclass(frozen=True)
class Handler:
    """How one Keras class becomes torch modules.

    Attributes
    ----------
    build
        Makes the modules; raises ConversionError.
    order
        What it does with flattened features in torch order: `"any"` takes them as they are (and says in its
        result what it returns), `"same"` does if all its inputs share one order, `"keras"` wants Keras's order.
    layout
        How it says where its channels are, see `parity.keras.handlers.layouts`.
    variables
        The Keras variables that a layer of this configuration has, in Keras's order.
    settings
        What a call may tell the layer besides tensors, which `build` reads, with the values that are supported.
    mask
        What it does with the mask of what it reads (`Masking`, `Embedding(mask_zero=True)`): "ends" is for layers that
        do not support masks, whose result has none; "passes" hands it on; "reads" hands it to the layer's module behind
        the tensors (of several tensors, the masks of those that have one), and its result has none unless the handler
        says so.
    """

    build: Callable[[Layer], Built]
    order: Literal["any", "same", "keras"] = "keras"
    variables: Callable[[Mapping[str, Any]], tuple[Variable, ...]] = _none
    settings: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    mask: Literal["ends", "passes", "reads"] = "ends"
    layout: Layout = "last"
