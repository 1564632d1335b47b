"""What a handler is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from parity.keras.config import Config
from parity.keras.description import ModelDescription, Shape
from parity.keras.errors import ConversionError
from parity.keras.graph import Graph, Node
from parity.keras.input_shape import HOW_TO_TELL
from parity.keras.stored_tensor import StoredTensor

Order = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating[Any]]
Convert = Callable[[Graph, dict[str, dict[str, StoredTensor]]], tuple[nn.Module, Shape, ModelDescription]]


@dataclass(frozen=True)
class Value:
    """What is known of a tensor in the graph.

    Attributes
    ----------
    shape
        Keras layout without the batch axis.
    order
        Flattened features lie in torch order (channels first) although Keras counts them channels last:
        `order[i]` is the Keras position of torch feature `i`. None where the two are the same.
    masked
        Whether a mask goes with it that says which steps count.
    channels_first
        Its channels are Keras's first axis, and in torch its axes are in Keras's order; see
        `parity.keras.handlers.layouts`.
    """

    shape: Shape
    order: Order | None = None
    masked: bool = False
    channels_first: bool = False


@dataclass(frozen=True)
class Variable:
    """One Keras variable of a layer.

    Attributes
    ----------
    name
        Its name; those of a layer's parts are told apart by what they begin with.
    trainable
        Whether training changes it; files are sorted by that.
    place
        Which part of the layer it belongs to (`"cell"`, `"forward_layer/cell"`), as files "by position" have it.
    again
        Whether it is another variable once more; only files "by position" hold it twice.
    """

    name: str
    trainable: bool = True
    place: str = ""
    again: bool = False


@dataclass(frozen=True)
class Built:
    """A converted layer.

    Attributes
    ----------
    value
        Its result.
    modules
        Torch modules to run in sequence, by the suffix of their name; "" is the layer's own work.
    mask
        What makes the mask that goes with the result, from what the layer reads; "passes" where it is the mask of what
        it reads although its kind of layer does not pass masks on, "first" where it is that of the first tensor. None
        leaves it to the kind.
    inside
        The model that it runs at every step, None where it runs none.
    """

    value: Value
    modules: tuple[tuple[str, nn.Module], ...] = ()
    mask: nn.Module | Literal["passes", "first"] | None = None
    inside: ModelDescription | None = None


def _no_model(graph: Graph, tensors: dict[str, dict[str, StoredTensor]]) -> tuple[nn.Module, Shape, ModelDescription]:
    raise NotImplementedError("a layer that is built by itself holds no model")


def failure(file: Path, node: Node, problem: str) -> ConversionError:
    """Return an error that names the file and the layer."""
    text = f"{file}: layer {node.name!r} ({node.class_name}): {problem}"
    return ConversionError(text if text.endswith((".", "?")) else text + ".")


@dataclass
class Layer:
    """One layer on its way from Keras to torch: what handlers work with.

    Attributes
    ----------
    node
        The layer as it stands in the architecture.
    inputs
        What it reads.
    stored
        Its tensors in the file by Keras variable name.
    dtype
        Of the parameters to make.
    keras_major
        Major version of Keras that wrote the file; some names changed their meaning.
    channels_first
        Whether its channels are Keras's first axis; all that the handler is shown has them last.
    drop_softmax
        Whether this layer's softmax is the model's last, to be taken off.
    used
        Names of the variables that were read.
    convert
        Converts a model that the layer holds, given its layers and their tensors by node and variable; returns its
        module, in torch layout, the shape of its result, and its description.
    """

    node: Node
    inputs: tuple[Value, ...]
    stored: Mapping[str, StoredTensor]
    dtype: torch.dtype
    keras_major: int
    file: Path
    drop_softmax: bool = False
    channels_first: bool = False
    used: set[str] = field(default_factory=set)
    convert: Convert = field(default=_no_model, repr=False)

    @property
    def config(self) -> Config:
        """The configuration with checked reads."""
        return Config(self.node.config, self.fail)

    @property
    def input(self) -> Value:
        """The only input.

        Raises
        ------
        ConversionError
            If the layer reads several.
        """
        if len(self.inputs) != 1:
            raise self.fail(f"it reads {len(self.inputs)} tensors, expected one")
        return self.inputs[0]

    def fail(self, problem: str) -> ConversionError:
        """Return an error that names the file and the layer."""
        return failure(self.file, self.node, problem)

    def rank(self, *allowed: int) -> int:
        """Return the number of axes of the input without the batch axis.

        Raises
        ------
        ConversionError
            If it is not one of those allowed.
        """
        rank = len(self.input.shape)
        if rank not in allowed:
            expected = " or ".join(str(n) for n in allowed)
            raise self.fail(
                f"its input has {rank} axes {self.input.shape} besides the batch, expected {expected}. "
                "Check the model's input_shape"
            )
        return rank

    def known(self, size: int | None, what: str) -> int:
        """Return a size that must not be open.

        Raises
        ------
        ConversionError
            If it is open (None).
        """
        if size is None:
            raise self.fail(f"its {what} is open (None). {HOW_TO_TELL}")
        return size

    def require_channels_last(self) -> None:
        """Refuse a `data_format` that Keras does not have; a layer with the channels first is shown with them last."""
        data_format = self.node.config.get("data_format") or "channels_last"
        if data_format != "channels_last":
            raise self.fail(f"data_format is {data_format!r}, expected 'channels_last' or 'channels_first'")

    def weight(self, name: str, shape: tuple[int, ...]) -> FloatArray:
        """Read a variable after checking its shape.

        Raises
        ------
        ConversionError
            If it has another shape, is damaged, or holds NaN or infinity (also after rounding to `dtype`).
        """
        tensor = self.stored[name]
        if tensor.shape != shape:
            raise self.fail(
                f"{name!r} has the shape {tensor.shape} in the file ({tensor.path}), but the architecture asks for "
                f"{shape}. Architecture and weights are not of the same model: save both again"
            )
        self.used.add(name)
        with np.errstate(over="ignore"):
            values = tensor.read().astype(_NUMPY[self.dtype], copy=False)
        bad = values.size - int(np.count_nonzero(np.isfinite(values)))
        if bad:
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise self.fail(
                f"{name!r} holds NaN or infinity in {bad} of {values.size} places, first at {where}. "
                "The training diverged or the file is damaged: use weights from before that"
            )
        return values

    def tensor(self, array: FloatArray) -> Tensor:
        """Return an array as a contiguous tensor of the model's dtype."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype)


_NUMPY: dict[torch.dtype, type[np.floating[Any]]] = {torch.float32: np.float32, torch.float64: np.float64}
DTYPES = tuple(_NUMPY)
"""The dtypes a model can be converted to."""


def fill(module: nn.Module, **tensors: Tensor) -> None:
    """Set parameters and buffers of a module that was made on the `meta` device.

    Raises
    ------
    ValueError
        If a tensor has not the shape that the module has for it (a mistake in a handler).
    """
    for name, tensor in tensors.items():
        placeholder = getattr(module, name)
        if placeholder.shape != tensor.shape:
            raise ValueError(f"{name} of {module} is {tuple(placeholder.shape)}, given {tuple(tensor.shape)}")
        if isinstance(placeholder, nn.Parameter):
            setattr(module, name, nn.Parameter(tensor, requires_grad=False))
        else:
            setattr(module, name, tensor)
