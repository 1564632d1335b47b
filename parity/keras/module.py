"""The converted model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from parity.keras.description import ModelDescription, Shape
from parity.keras.errors import ConversionError
from parity.keras.modules.merging import is_zennits_sum, with_axes


@dataclass(frozen=True)
class Step:
    """One call of one sub-module.

    Attributes
    ----------
    module
        Name of the sub-module.
    inputs
        Positions of the tensors it takes: first the model's inputs, then what it holds, then the results of the steps.
    """

    module: str
    inputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """Where the output of a Keras layer lies in a converted model.

    Attributes
    ----------
    position
        Of the tensor, see `Step`.
    steps
        The layer's own, those included that bring what it reads into its order or layout. None where it does nothing:
        its output is then the tensor that it reads.
    order, channels_first
        How the tensor lies, see `parity.keras.handlers.layer.Value`.
    """

    position: int
    steps: range
    order: npt.NDArray[np.int64] | None = None
    channels_first: bool = False

    def to_torch(self, array: npt.NDArray[Any]) -> Tensor:
        """Turn a batch in Keras layout into the tensor that lies here."""
        # A copy in NumPy's own order, see `KerasModule.to_torch`.
        tensor = torch.from_numpy(np.array(array, order="C"))
        tensor = tensor.movedim(-1, 1) if self._moves(array.ndim) else tensor
        return tensor if self.order is None else tensor[:, torch.from_numpy(self.order)]

    def to_keras(self, tensor: Tensor) -> npt.NDArray[Any]:
        """Turn the tensor that lies here into a contiguous batch in Keras layout."""
        values = tensor.detach().cpu().numpy()
        values = values if self.order is None else values[:, np.argsort(self.order)]
        return np.ascontiguousarray(np.moveaxis(values, 1, -1) if self._moves(values.ndim) else values)

    def _moves(self, axes: int) -> bool:
        return axes > 2 and not self.channels_first


class KerasModule(nn.Module):
    """A Keras model as a torch module.

    Takes torch layout, `(N, C, H, W)`, `(N, C, T)` or `(N, F)`, one tensor per input, and returns logits
    `(N, classes)`; where the model has an output per position, they stay in Keras' order, `(N, positions..., classes)`.
    Sub-modules carry the Keras layers' names; each is called exactly once per forward pass, so a layer that Keras calls
    several times is there as often, with the same weights.

    Attributes
    ----------
    description
        The model and its layers as data.
    layer_outputs
        Where each Keras layer ends: by the name of the layer, and by that of the sub-module that does its own work,
        the name of the sub-module that gives its output, activation attribute included; in the order of computation.
        `signxai_torch.operations.ends` reads it.
    places
        Where the output of each Keras layer lies among the tensors of the forward pass, by the layer's name.
    """

    description: ModelDescription
    layer_outputs: Mapping[str, str]
    places: Mapping[str, Place]
    _dtype_of: Tensor

    def __init__(
        self,
        description: ModelDescription,
        modules: Sequence[tuple[str, nn.Module]],
        steps: Sequence[Step],
        output: int,
        layer_outputs: Mapping[str, str],
        places: Mapping[str, Place] | None = None,
        held: Sequence[Tensor] = (),
    ) -> None:
        super().__init__()
        self.description = description
        self.layer_outputs = dict(layer_outputs)
        self.places = dict(places or {})
        for name, module in modules:
            self.add_module(name, module)
        self._steps = tuple(steps)
        self._output = output
        last_use = {position: i for i, step in enumerate(steps) for position in step.inputs if position != output}
        done: list[list[int]] = [[] for _ in steps]
        for position, last in last_use.items():
            done[last].append(position)
        self._done = [tuple(positions) for positions in done]
        self._count, self._held = len(description.inputs), len(held)
        for number, tensor in enumerate(held):  # the same for every sample, such as what a cut leaves in front of it
            self.register_buffer(f"_held_{number}", tensor, persistent=False)
        self.register_buffer("_dtype_of", torch.empty(0), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters and of the input."""
        return self._dtype_of.dtype

    @property
    def steps(self) -> tuple[Step, ...]:
        """The calls of a forward pass, in order."""
        return self._steps

    @property
    def output_position(self) -> int:
        """The position of the tensor that is returned."""
        return self._output

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the logits.

        Parameters
        ----------
        *inputs
            Torch layout, batch first, in the model's dtype; one per input, in the order of `description.inputs`.

        Raises
        ------
        ConversionError
            If shape or dtype is not what the model takes.
        """
        self._check(inputs)
        values: list[Tensor | None] = [*inputs, *self._constants(len(inputs[0]))]
        for i, step in enumerate(self._steps):
            values.append(self._result(step, values))
            for position in self._done[i]:
                values[position] = None
        result = values[self._output]
        assert result is not None
        return result

    def tensors(self, *inputs: Tensor, given: Mapping[str, Tensor] | None = None) -> list[Tensor]:
        """Return every tensor of a forward pass by its position; without gradients.

        Parameters
        ----------
        *inputs
            As `forward` takes them.
        given
            By the name of a Keras layer: what stands in place of its output.
        """
        self._check(inputs)
        instead = {self.places[name].position: tensor for name, tensor in (given or {}).items()}
        known = [*inputs, *self._constants(len(inputs[0]))]
        values = [instead.get(position, tensor) for position, tensor in enumerate(known)]
        with torch.no_grad():
            for step in self._steps:
                made = self._result(step, values)
                values.append(instead.get(len(values), made))
        return values

    def _constants(self, samples: int) -> list[Tensor]:
        held = [self.get_buffer(f"_held_{number}") for number in range(self._held)]
        return [tensor.expand(samples, *tensor.shape[1:]) for tensor in held]

    def _result(self, step: Step, values: Sequence[Tensor | None]) -> Tensor:
        module = self.get_submodule(step.module)
        taken = [value for p in step.inputs if (value := values[p]) is not None]
        if is_zennits_sum(module):
            axes = max(value.dim() for value in taken)
            taken = [torch.stack(torch.broadcast_tensors(*(with_axes(value, axes) for value in taken)), -1)]
        made: Tensor = module(*taken)
        return made

    def append(self, name: str, module: nn.Module) -> None:
        """Put a module behind the model; it takes the output and returns another of the same shape."""
        self.add_module(name.replace(".", "_"), module)
        self._steps = (*self._steps, Step(name.replace(".", "_"), (self._output,)))
        self._done.append(())
        self._output = self._count + self._held + len(self._steps) - 1

    def to_torch(self, array: npt.NDArray[Any] | Sequence[npt.NDArray[Any]] | Mapping[str, npt.NDArray[Any]]) -> Any:
        """Turn a batch in Keras layout `(N, H, W, C)`, `(N, T, C)` or `(N, F)` into an input of this model.

        Where the channels come first in Keras too (`description.channels_first`), no axis is moved.

        Parameters
        ----------
        array
            A batch. For several inputs one per input, in the model's order or by the input's name, or all of them
            joined as `joined` does.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor
            A tuple for a model of several inputs.

        Raises
        ------
        ConversionError
            If the shape does not fit or the values are not real numbers.
        """
        arrays = self._parts(array)
        tensors = tuple(self._tensor(part) for part in arrays)
        self._check(tensors)
        return tensors[0] if self._count == 1 else tensors

    def to_keras(self, array: Any) -> npt.NDArray[Any]:
        """Turn a batch in torch layout into a contiguous array in Keras layout; several inputs are `joined`."""
        if isinstance(array, (tuple, list)):
            return joined([self.to_keras(part) for part in array])
        values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
        return np.ascontiguousarray(np.moveaxis(values, 1, -1) if self._moves(values.ndim) else values)

    def targets(self, indices: Sequence[int]) -> list[Any]:
        """Return explained classes as this model's output has them: a place in it where it has several axes.

        Parameters
        ----------
        indices
            One per sample, counted over all numbers of the output in Keras' order.
        """
        shape = [size or 1 for size in self.description.output_layer.output_shape]
        if len(shape) == 1:
            return [int(index) for index in indices]
        return [tuple(int(place) for place in np.unravel_index(index, shape)) for index in indices]

    def logits(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the logits `(N, ...)` of a batch in Keras layout."""
        inputs = self.to_torch(array)
        with torch.no_grad():
            made: Tensor = self(*inputs) if self._count > 1 else self(inputs)
        return made.cpu().numpy()

    def _parts(self, array: Any) -> list[npt.NDArray[Any]]:
        if isinstance(array, Mapping):
            names = list(self.description.keys or (name for name, _ in self.description.inputs))
            if set(array) != set(names):
                passed = [str(name) for name in array]
                raise ConversionError(f"The model {self.description.name!r} takes the inputs {names}, given {passed}.")
            return [np.asarray(array[name]) for name in names]
        if self._count == 1 or isinstance(array, (tuple, list)):
            return list(array) if isinstance(array, (tuple, list)) and self._count > 1 else [np.asarray(array)]
        return divided(np.asarray(array), [shape for _, shape in self.description.inputs])

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        array = np.asarray(array)
        if array.dtype.kind not in "fiu":
            raise ConversionError(f"The input has the dtype {array.dtype}, expected real numbers.")
        # A copy in NumPy's own order: one that keeps the strides of an axis of one place misleads torch's BatchNorm2d.
        own_memory = np.array(array, dtype=np.float64 if self.dtype == torch.float64 else np.float32, order="C")
        tensor = torch.from_numpy(own_memory)
        return (tensor.movedim(-1, 1) if self._moves(array.ndim) else tensor).to(self._dtype_of.device)

    def _moves(self, axes: int) -> bool:
        """Return whether Keras has the channels of a batch last."""
        return axes > 2 and not self.description.channels_first

    def _check(self, inputs: Sequence[Tensor]) -> None:
        name = self.description.name
        if len(inputs) != self._count:
            inner = ", ".join(f"{key} {shape}" for key, shape in self.description.inputs)
            raise ConversionError(f"The model {name!r} takes {self._count} inputs ({inner}), given {len(inputs)}.")
        for x, (key, keras) in zip(inputs, self.description.inputs, strict=True):
            expected = keras if self.description.channels_first else (keras[-1], *keras[:-1])
            actual = tuple(x.shape[1:])
            fits = len(actual) == len(expected) and all(
                wanted is None or size == wanted for size, wanted in zip(actual, expected, strict=True)
            )
            if not fits or x.shape[0] == 0:
                which = f" as {key!r}" if self._count > 1 else ""
                raise ConversionError(
                    f"The model {name!r} takes a batch of {keras} in Keras layout{which}, which is "
                    f"(N, {', '.join(str(n) for n in expected)}) in torch layout; given {tuple(x.shape)}. "
                    "Check the batch axis, the order of the channels and the size."
                )
            if x.dtype != self.dtype:
                raise ConversionError(
                    f"The model {name!r} computes in {self.dtype}, the input is {x.dtype}. "
                    "Convert the input (module.to_torch does), or load the model with another dtype."
                )


def joined(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return several inputs as one: `(N, total)`, the values of each in Keras' order, one input after another."""
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def divided(array: npt.NDArray[Any], shapes: Sequence[Shape]) -> list[npt.NDArray[Any]]:
    """Return the inputs that `joined` made one of.

    Raises
    ------
    ConversionError
        If the sizes do not add up, or one is open.
    """
    if any(None in shape for shape in shapes):
        raise ConversionError(f"Inputs of open sizes {shapes} cannot be joined into one; give one array per input.")
    fixed = [tuple(size for size in shape if size is not None) for shape in shapes]
    sizes = [math.prod(shape) for shape in fixed]
    if array.ndim != 2 or array.shape[1] != sum(sizes):
        raise ConversionError(
            f"The model takes {len(shapes)} inputs of {shapes}, joined {sum(sizes)} numbers per sample; given an array "
            f"of shape {array.shape}. Give one array per input."
        )
    parts = np.split(array, np.cumsum(sizes)[:-1], axis=1)
    return [part.reshape(len(array), *shape) for part, shape in zip(parts, fixed, strict=True)]
