"""What a stranger's code returned, as an array for the judge; nothing is broadcast, cast or reshaped to fit."""

from __future__ import annotations

import traceback
from typing import Any

import numpy as np
import torch

from parity.keras import KerasModule
from parity.run.subjects.protocol import Array

_REAL = "fiu"


class ReturnedError(TypeError):
    """A subject returned something that is no array of real numbers; the text says what."""


def as_array(value: Any) -> Array:
    """Return a tensor's or array's values in memory of their own, in the shape and dtype they have.

    A torch dtype that numpy lacks, such as bfloat16, is widened to float32, which holds each of its values exactly.

    Raises
    ------
    ReturnedError
        If it is neither a tensor nor an array, or does not hold real numbers.
    """
    if isinstance(value, torch.Tensor):
        return _from_tensor(value)
    if isinstance(value, np.ma.MaskedArray):
        raise ReturnedError("returned a masked array instead of an array; fill it, so that every value is meant")
    if not hasattr(value, "__array__"):
        raise ReturnedError(f"returned {_called(value)} instead of an array")
    try:
        array = np.array(value, copy=True, subok=False)
    except Exception as error:  # anything can stand behind __array__
        raise ReturnedError(
            f"returned {_called(value)} instead of an array: {type(error).__name__}: {error}"
        ) from error
    if array.dtype.kind not in _REAL:
        raise ReturnedError(f"returned an array of {array.dtype} values instead of an array of real numbers")
    return array


def _from_tensor(value: torch.Tensor) -> Array:
    kind = str(value.dtype).removeprefix("torch.")
    if value.dtype.is_complex or value.dtype == torch.bool:
        raise ReturnedError(f"returned a tensor of {kind} values instead of an array of real numbers")
    try:
        tensor = value.detach().cpu().resolve_neg()
        try:
            array = tensor.numpy()
        except TypeError:
            if not value.dtype.is_floating_point:
                raise
            array = tensor.to(torch.float32).numpy()
        return np.array(array, copy=True)
    except Exception as error:  # a sparse or quantized tensor, one without values
        raise ReturnedError(
            f"returned a tensor without plain values ({value.layout}, {kind}, on {value.device}) instead of an array: "
            f"{type(error).__name__}: {error}"
        ) from error


def _called(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def map_of(value: Any, module: KerasModule, inputs: Array) -> Array:
    """Return what a subject returned as maps in Keras layout; see `from_torch_layout`.

    Raises
    ------
    ReturnedError
        If it is no array of real numbers, or not one per input of a model of several.
    """
    count = len(module.description.inputs)
    if count == 1:
        return from_torch_layout(as_array(value), module, inputs)
    if not isinstance(value, (tuple, list)) or len(value) != count:
        raise ReturnedError(f"returned {_called(value)}, and the model takes {count} inputs; return a map for each")
    parts = [as_array(part) for part in value]
    expected = [(len(inputs), *part.shape[1:]) for part in module.to_torch(inputs)]
    shapes = [part.shape for part in parts]
    if shapes != expected:
        raise ReturnedError(f"returned maps of the shapes {shapes}, expected those of the inputs, {expected}")
    return module.to_keras(parts)


def from_torch_layout(values: Array, module: KerasModule, inputs: Array) -> Array:
    """Return maps in torch layout as maps in Keras layout.

    Parameters
    ----------
    values : numpy.ndarray
        Whatever shape a subject returned.
    module : KerasModule
        The model.
    inputs : numpy.ndarray
        What was explained, Keras layout, batch first.

    Returns
    -------
    numpy.ndarray
        In the shape of `inputs` if the subject's shape was right. If not, it has a shape of which each sample's part
        is wrong too, so that the judge, who sees one sample at a time, sees it.
    """
    if values.ndim == inputs.ndim:
        values = module.to_keras(values)
    return for_each_sample(values, inputs)


def for_each_sample(values: Array, inputs: Array) -> Array:
    """Return maps whose first axis counts the samples; with another first axis, each sample gets everything.

    That no sample's part can look right by accident, such as the first of three maps where one was asked for, the
    part then has more axes than an input.
    """
    samples = len(inputs)
    if values.shape[:1] == (samples,):
        return values
    if values.ndim == inputs.ndim - 1:
        values = values[None]
    return np.stack([values] * samples)


def told(error: BaseException, file: str | None = None) -> str:
    """Return "Type: message" of what a subject raised, and in a second line where in its file, if that is known."""
    text = f"{type(error).__name__}: {error}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if file is not None and frame.filename == file
    ]
    return f"{text}\nat line {frames[-1].lineno}, in {frames[-1].name}" if frames else text
