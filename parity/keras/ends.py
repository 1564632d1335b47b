"""Where a model begins and ends: the inputs and outputs that its configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from parity.keras.calls import Fail, Source


def ends_of(value: Any, model: str, what: str, fail: Fail) -> list[Source]:
    """Return the tensors of `[["name", 0, 0], ...]` (Keras 2), `["name", 0, 0]` or `{"key": [...]}` (Keras 3).

    Parameters
    ----------
    value
        The entry `input_layers` or `output_layers` of a model's configuration.
    model, what
        The model's name, and whether it is its "input" or "output", for messages.
    fail
        Makes errors.

    Raises
    ------
    ConversionError
        If the entry has another form.
    """
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value)]  # so Keras 3 numbers them
    if isinstance(value, list) and value and isinstance(value[0], str):
        value = [value]
    if not (isinstance(value, list) and value and all(isinstance(end, list) and end for end in value)):
        raise fail(f"the model {model!r} does not name its {what} layer. Save the model again.")
    sources = []
    for end in value:
        numbers = [*end[1:3], 0, 0][:2]
        if not isinstance(end[0], str) or any(type(number) is not int or number < 0 for number in numbers):
            raise fail(f"the model {model!r} does not name its {what} layer. Save the model again.")
        sources.append(Source(end[0], *numbers))
    return sources


def numbered_as_inside(source: Source) -> Source:
    """Return an output that a Functional model makes, its call counted from 0.

    Keras 3 counts the calls of such a model from 0 where a layer reads them, and from 1 where they are outputs.
    """
    return replace(source, call=max(source.call - 1, 0))


def keys_of(inputs: Any) -> tuple[str, ...]:
    """Return the names that a model of a dict takes its inputs under, in the order in which Keras 3 numbers them."""
    return tuple(sorted(inputs)) if isinstance(inputs, Mapping) else ()
