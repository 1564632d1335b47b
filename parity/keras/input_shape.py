"""The sizes of the input that a model leaves open, where they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral

import numpy as np

from parity.keras.description import Shape
from parity.keras.errors import ConversionError
from parity.keras.graph import Graph

InputShape = Sequence[int | None] | Mapping[str, Sequence[int | None]]
"""Of the input without the batch axis, Keras layout; of several inputs by name. None leaves a size as it is."""
HOW_TO_TELL = (
    "Tell the sizes of the input: input_shape=(64, 64, 3) in Python, --input-shape 64,64,3 at the command line"
)
"""What to do where an open size is in the way."""


def of_shape(graph: Graph, told: InputShape | None, fail: Callable[[str], ConversionError]) -> Graph:
    """Return a graph whose inputs have the sizes that are told.

    Raises
    ------
    ConversionError
        If a shape contradicts the model, or is told of an input that it does not have.
    """
    if told is None:
        return graph
    if not isinstance(told, Mapping):
        if len(graph.inputs) > 1:
            names = ", ".join(name for name, _ in graph.inputs)
            raise fail(
                f"the model has several inputs ({names}), and input_shape tells one shape. Tell each by its name"
            )
        told = {graph.inputs[0][0]: told}
    unknown = [name for name in told if name not in dict(graph.inputs)]
    if unknown:
        names = ", ".join(name for name, _ in graph.inputs)
        raise fail(f"input_shape is told of {unknown[0]!r}; the model's inputs are {names}")
    inputs = tuple((name, _filled(name, shape, told.get(name), fail)) for name, shape in graph.inputs)
    return replace(graph, inputs=inputs, sized=inputs != graph.inputs)


def _filled(
    name: str, shape: Shape, told: Sequence[int | None] | None, fail: Callable[[str], ConversionError]
) -> Shape:
    if told is None:
        return shape
    told = told.tolist() if isinstance(told, np.ndarray) else told
    if not isinstance(told, Sequence) or isinstance(told, str):
        raise fail(f"input_shape is {told!r}, expected a tuple of sizes")
    told = [int(size) if isinstance(size, Integral) and not isinstance(size, bool) else size for size in told]
    fits = len(told) == len(shape) and all(
        there in (None, size) and (type(size) is int and size > 0) for there, size in zip(shape, told, strict=True)
        if size is not None
    )  # fmt: skip
    if not fits:
        raise fail(
            f"input_shape is {tuple(told)}, and the input {name!r} takes {shape}, None for any size and without the "
            "batch axis"
        )
    return tuple(there if size is None else size for there, size in zip(shape, told, strict=True))
