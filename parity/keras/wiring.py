"""Which call of a layer reads which, and in what order they are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parity.keras.calls import Call, Fail, Source
from parity.keras.graph import in_order

Place = tuple[str, int]
"""A layer's Keras name and the number of its call."""


@dataclass(frozen=True)
class Wiring:
    """The calls of one model.

    Attributes
    ----------
    producers
        The calls that each call reads, in the order of its sources.
    ends
        The calls that make the model's outputs, each with what of them is the output.
    read
        The numbers of the results of each call that something reads.
    order
        All calls, each after those that it reads, and after the first call of its layer, which has the weights.
    """

    producers: Mapping[Place, tuple[Place, ...]]
    ends: tuple[tuple[Place, Source], ...]
    read: Mapping[Place, set[int]]
    order: tuple[Place, ...]


def wired(calls: Mapping[Place, Call], outputs: Sequence[Source], model: str, fail: Fail) -> Wiring:
    """Return how calls depend on each other.

    Parameters
    ----------
    calls
        Each call of each layer.
    outputs
        What the model gives.
    model
        Its name, for messages.
    fail
        Makes errors.

    Raises
    ------
    ConversionError
        If a call reads one that is not there, or calls wait for each other.
    """
    first = _first_calls([*outputs, *(source for call in calls.values() for source in call.sources)])
    producers = {
        place: tuple(_place(source, calls, first, place[0], fail) for source in call.sources)
        for place, call in calls.items()
    }
    ends = tuple((_place(source, calls, first, "the output", fail), source) for source in outputs)
    read: dict[Place, set[int]] = {}
    for place, source in [*ends, *_pairs(calls, producers)]:
        read.setdefault(place, set()).add(source.tensor)
    after = {place: (*reads, *([(place[0], 0)] if place[1] else [])) for place, reads in producers.items()}
    order, circle = in_order(after)
    if circle:
        stuck = [key for key, _ in circle]
        raise fail(f"the layers {stuck[:3]} of the model {model!r} wait for each other in a circle.")
    return Wiring(producers, ends, read, tuple(order))


def _pairs(calls: Mapping[Place, Call], producers: Mapping[Place, tuple[Place, ...]]) -> list[tuple[Place, Source]]:
    return [pair for place, call in calls.items() for pair in zip(producers[place], call.sources, strict=True)]


def _place(source: Source, calls: Mapping[Place, Call], first: Mapping[str, int], reader: str, fail: Fail) -> Place:
    """Return which call of a layer a source means."""
    if (source.layer, 1) not in calls:
        return source.layer, 0
    number = source.call - first[source.layer]
    if (source.layer, number) not in calls:
        raise fail(
            f"the layer {reader!r} reads call {source.call} of {source.layer!r}, which is not in the model. "
            "Save the model again."
        )
    return source.layer, number


def _first_calls(sources: Sequence[Source]) -> dict[str, int]:
    """Return the number of each layer's first call: Keras 2 counts the making of a nested model as its call 0."""
    first: dict[str, int] = {}
    for source in sources:
        first[source.layer] = min(source.call, first.get(source.layer, 1))
    return first
