"""What was converted: the model and its layers as plain, frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Shape = tuple[int | None, ...]
"""A shape in Keras layout (channels last) without the batch axis; None where the model leaves a size open."""


@dataclass(frozen=True)
class LayerDescription:
    """One Keras layer of a converted model.

    Attributes
    ----------
    name
        The Keras name; for a layer of a nested model `outer/inner`.
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
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str, ...]
    output_shape: Shape
    parameters: int
    module: str | None


@dataclass(frozen=True)
class ModelDescription:
    """A converted model.

    Attributes
    ----------
    name
        The model's Keras name.
    layers
        Every layer in the order of computation, nested models flattened.
    input_shape
        Keras layout, no batch axis, for example `(224, 224, 3)`.
    removed_softmax
        Whether the model ended in a softmax, which was taken off so that the module returns logits.
    source_sha256
        SHA-256 of the weights file's bytes, hex digits.
    channels_first
        Whether the input's channels are its first axis in Keras too; `input_shape` is then as torch has it.
    """

    name: str
    layers: tuple[LayerDescription, ...]
    input_shape: Shape
    removed_softmax: bool
    source_sha256: str
    channels_first: bool = False

    @property
    def classes(self) -> int:
        """Number of outputs."""
        size = self.layers[-1].output_shape[-1]
        assert size is not None  # the converter refuses a model whose output size is open
        return size

    @property
    def parameters(self) -> int:
        """How many numbers all Keras variables hold together."""
        return sum(layer.parameters for layer in self.layers)
