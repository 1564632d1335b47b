"""The converted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from zennit.layer import Sum

from parity.keras.description import ModelDescription
from parity.keras.errors import ConversionError


@dataclass(frozen=True)
class Step:
    """One call of one sub-module.

    Attributes
    ----------
    module
        Name of the sub-module.
    inputs
        Positions of the tensors it takes: 0 is the model's input, i the result of step i - 1.
    """

    module: str
    inputs: tuple[int, ...]


class KerasModule(nn.Module):
    """A Keras model as a torch module.

    Takes torch layout, `(N, C, H, W)`, `(N, C, T)` or `(N, F)`, and returns logits `(N, classes)`. Sub-modules
    carry the Keras layers' names; each is called exactly once per forward pass.

    Attributes
    ----------
    description
        The model and its layers as data.
    layer_outputs
        Where each Keras layer ends: by the name of the layer, and by that of the sub-module that does its own work,
        the name of the sub-module that gives its output, activation attribute included; in the order of computation.
        `signxai_torch.operations.ends` reads it.
    """

    description: ModelDescription
    layer_outputs: Mapping[str, str]
    _dtype_of: Tensor

    def __init__(
        self,
        description: ModelDescription,
        modules: Sequence[tuple[str, nn.Module]],
        steps: Sequence[Step],
        output: int,
        layer_outputs: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.description = description
        self.layer_outputs = dict(layer_outputs)
        for name, module in modules:
            self.add_module(name, module)
        self._steps = tuple(steps)
        self._output = output
        last_use = {position: i for i, step in enumerate(steps) for position in step.inputs}
        self._done = [tuple(p for p, last in last_use.items() if last == i and p != output) for i in range(len(steps))]
        self.register_buffer("_dtype_of", torch.empty(0), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters and of the input."""
        return self._dtype_of.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits.

        Parameters
        ----------
        x
            Torch layout, batch first, in the model's dtype.

        Raises
        ------
        ConversionError
            If shape or dtype is not what the model takes.
        """
        self._check(x)
        values: list[Tensor | None] = [x]
        for i, step in enumerate(self._steps):
            module = self.get_submodule(step.module)
            inputs = [value for p in step.inputs if (value := values[p]) is not None]
            if isinstance(module, Sum):
                inputs = [torch.stack(torch.broadcast_tensors(*inputs), -1)]
            values.append(module(*inputs))
            for position in self._done[i]:
                values[position] = None
        result = values[self._output]
        assert result is not None
        return result

    def append(self, name: str, module: nn.Module) -> None:
        """Put a module behind the model; it takes the output and returns another of the same shape."""
        self.add_module(name.replace(".", "_"), module)
        self._steps = (*self._steps, Step(name.replace(".", "_"), (self._output,)))
        self._done.append(())
        self._output = len(self._steps)

    def to_torch(self, array: npt.NDArray[Any]) -> Tensor:
        """Turn a batch in Keras layout `(N, H, W, C)`, `(N, T, C)` or `(N, F)` into an input of this model.

        Where the channels come first in Keras too (`description.channels_first`), no axis is moved.

        Raises
        ------
        ConversionError
            If the shape does not fit or the values are not real numbers.
        """
        array = np.asarray(array)
        if array.dtype.kind not in "fiu":
            raise ConversionError(f"The input has the dtype {array.dtype}, expected real numbers.")
        # A copy in NumPy's own order: one that keeps the strides of an axis of one place misleads torch's BatchNorm2d.
        own_memory = np.array(array, dtype=np.float64 if self.dtype == torch.float64 else np.float32, order="C")
        tensor = torch.from_numpy(own_memory)
        tensor = tensor.movedim(-1, 1) if self._moves(array.ndim) else tensor
        tensor = tensor.to(self._dtype_of.device)
        self._check(tensor)
        return tensor

    def to_keras(self, array: Tensor | npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Turn a batch in torch layout into a contiguous array in Keras layout."""
        values = array.detach().cpu().numpy() if isinstance(array, Tensor) else np.asarray(array)
        return np.ascontiguousarray(np.moveaxis(values, 1, -1) if self._moves(values.ndim) else values)

    def _moves(self, axes: int) -> bool:
        """Return whether Keras has the channels of a batch last."""
        return axes > 2 and not self.description.channels_first

    def _check(self, x: Tensor) -> None:
        keras = self.description.input_shape
        expected = keras if self.description.channels_first else (keras[-1], *keras[:-1])
        actual = tuple(x.shape[1:])
        fits = len(actual) == len(expected) and all(
            wanted is None or size == wanted for size, wanted in zip(actual, expected, strict=True)
        )
        if not fits or x.shape[0] == 0:
            raise ConversionError(
                f"The model {self.description.name!r} takes a batch of {keras} in Keras layout, which is "
                f"(N, {', '.join(str(n) for n in expected)}) in torch layout; given {tuple(x.shape)}. "
                "Check the batch axis, the order of the channels and the size."
            )
        if x.dtype != self.dtype:
            raise ConversionError(
                f"The model {self.description.name!r} computes in {self.dtype}, the input is {x.dtype}. "
                "Convert the input (module.to_torch does), or load the model with another dtype."
            )
