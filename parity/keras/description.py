"""What was converted: the model and its layers as plain, frozen data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Shape = tuple[int | None, ...]
"""A shape in Keras layout (channels last) without the batch axis; None where the model leaves a size open."""


@dataclass(frozen=True)
class LayerDescription:
    """One Keras layer of a converted model.

    Attributes
    ----------
    name
        The Keras name; for a layer of a nested model `outer/inner`; further calls of a layer end in `_call_2` and on.
    class_name
        The Keras class, for example `"Conv2D"`.
    config
        The layer's configuration as it stands in the file.
    inbound
        Names of the layers it reads, in order; empty for the input layer.
    output_shape
        Keras layout, no batch axis.
    parameters
        How many numbers its Keras variables hold (moving statistics included).
    module
        Name of the torch sub-module that does the layer's own work, or None if the layer does nothing
        (the input, a removed softmax). Activations of kernel layers are sub-modules
        of their own, named `<module>_activation`.
    keywords
        The name of the argument that each inbound tensor is passed as, None where it stands by place; empty where all
        do.
    settings
        What the call is told besides tensors.
    weights_of
        The layer whose weights these are, for a further call of it.
    masked
        Whether a mask goes with its result that says which steps count.
    inside
        The model that it runs at every step, None where it runs none.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str, ...]
    output_shape: Shape
    parameters: int
    module: str | None
    keywords: tuple[str | None, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights_of: str = ""
    masked: bool = False
    inside: ModelDescription | None = None


@dataclass(frozen=True)
class ModelDescription:
    """A converted model.

    Attributes
    ----------
    name
        The model's Keras name.
    layers
        Every layer in the order of computation, nested models flattened, a layer that is called several times once per
        call.
    inputs
        Name and shape of each input, in the order in which the model takes them; Keras layout, no batch axis.
    removed_softmax
        Whether the model ended in a softmax, which was taken off so that the module returns logits.
    source_sha256
        SHA-256 of the weights file's bytes, hex digits.
    output
        The layer whose result is explained.
    chosen
        What the file calls that output, where it is another layer; empty where it is not.
    spelled
        How this network is spelled otherwise than in its file, in words that end a sentence; empty where it is not.
    channels_first
        Whether the input's channels are its first axis in Keras too; `input_shape` is then as torch has it.
    keys
        The names that the model takes its inputs under, in their order, where Keras calls it with a dict; empty where
        those are the names of `inputs`.
    """

    name: str
    layers: tuple[LayerDescription, ...]
    inputs: tuple[tuple[str, Shape], ...]
    removed_softmax: bool
    source_sha256: str
    output: str = ""
    spelled: tuple[str, ...] = ()
    channels_first: bool = False
    chosen: str = ""
    keys: tuple[str, ...] = ()

    @property
    def input_shape(self) -> Shape:
        """Of the input, Keras layout, no batch axis, such as `(224, 224, 3)`; of several inputs joined, their sizes.

        Several inputs travel as one vector: their values one after another, each in Keras' order.
        """
        if len(self.inputs) == 1:
            return self.inputs[0][1]
        sizes = [math.prod(n for n in shape if n is not None) for _, shape in self.inputs]
        return (sum(sizes),)

    def at(self, shape: Shape) -> ModelDescription:
        """Return the model as it is for one input of a shape, where it leaves sizes open."""
        return self if len(self.inputs) > 1 else replace(self, inputs=((self.inputs[0][0], tuple(shape)),))

    @property
    def output_layer(self) -> LayerDescription:
        """The layer that makes the output."""
        return next((layer for layer in self.layers if layer.name == self.output), self.layers[-1])

    @property
    def classes(self) -> int:
        """Number of numbers in the output."""
        sizes = self.output_layer.output_shape
        assert None not in sizes  # the converter refuses a model whose output size is open
        return math.prod(size for size in sizes if size is not None)

    @property
    def parameters(self) -> int:
        """How many numbers all Keras variables hold together."""
        return sum(layer.parameters for layer in self.layers if not layer.weights_of)
