"""A recorded forward pass that runs again on other inputs, without the model's own code.

Where a model computes the same functions whatever its input is, they need to be found out once. A tape calls them in
their order, each on tensors made by those before it. It stands for the model only for inputs of the shape, strides,
dtype and device that it was made with, and only as long as the model is what it was (`operations.standing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from torch import Tensor

from signxai_torch.operations.counting import Count
from signxai_torch.operations.operation import Operation, Value, filled, tensors_of
from signxai_torch.operations.recorder import Keep, Recorder, run_with_extra
from signxai_torch.operations.refusal import Obstacle


@dataclass(slots=True)
class _Step:
    """One operation: where its sources and results lie among all values, and which of them nobody reads later."""

    operation: Operation
    sources: tuple[int, ...]
    results: tuple[int, ...]
    spent: tuple[int, ...]
    rest: tuple[Any, ...] | None  # the arguments behind the first, where nothing else depends on the input


class Tape:
    """The operations of a recording, to be run again; in place of a `Recorder` for what walks them.

    Parameters
    ----------
    recorder : Recorder
        The recording; the tape takes its operations over.
    output : Value
        What the model returned.
    shape : torch.Size
        The axes of one sample's output.

    Attributes
    ----------
    input, parts, operations, obstacles, cuts, results, derived
        As in `Recorder`; a recording with obstacles or cuts becomes no tape.
    output : Value
        What the model returns.
    shape : torch.Size
        The axes of one sample's output.
    softmax : str
        The softmax that ends the model, and its place, as in `Model`.
    given_back : callable
        Is told when the tape is free for another walk.
    """

    def __init__(self, recorder: Recorder, output: Value, shape: torch.Size) -> None:
        self.input, self.operations, self.output, self.shape = recorder.input, recorder.operations, output, shape
        self.parts = (self.input,)
        self.obstacles: list[Obstacle] = []
        self.cuts: list[str] = []
        self.results: dict[str, list[Value | None]] = {}
        self.softmax = ""
        self.derived: dict[Any, Any] = {}
        self.given_back: Callable[[Tape], None] = lambda tape: None
        for operation in self.operations:
            operation.derived = {}
            _ = operation.quick  # found now, while the places of the maxima are there that some need
        places = {self.input: 0}
        self._steps = _compiled(self.operations, output, places)
        self._count, self._output_place = len(places), places[output]
        self.forget()

    def value_of(self, _made: Tensor) -> Value:
        """Return what is known of what the tape made."""
        return self.output

    def forget(self) -> None:
        """Let go of all values of the last run, and be free for another."""
        self.input.kept = None
        for operation in self.operations:
            operation.extra = None
            for result in operation.results:
                result.kept = None
        self.given_back(self)

    def logits(self, x: Tensor, count: Count | None = None) -> Tensor:
        """Return the logits, a row per sample, in autograd's graph if `x` is; any number of threads may ask."""
        made: list[Any] = [x, *[None] * (self._count - 1)]
        for step in self._steps:
            read = [made[source] for source in step.sources]
            if step.rest is not None:
                results = step.operation.call(read[0], *step.rest, **step.operation.keywords)
            else:
                results = step.operation.run(*read)
            if count is not None:
                count.note(step.operation.call, (*read, *step.operation.arguments), results)
            _put(made, step, results)
        return made[self._output_place]  # type: ignore[no-any-return]

    def record(self, x: Tensor, keep: Keep) -> Tensor:
        """Run on an input and keep what rules need, as a `Recorder` does; return the logits."""
        flags = self._flags(keep)
        self.input.keep(x)
        made: list[Any] = [x, *[None] * (self._count - 1)]
        with torch.no_grad():
            for step, (needs_inputs, needs_output) in zip(self._steps, flags, strict=True):
                operation = step.operation
                read = [made[source] for source in step.sources]
                by_place, by_name = filled(operation.arguments, operation.keywords, operation.places, read)
                operation.extra, results = run_with_extra(operation.function, operation.call, by_place, by_name)
                if needs_inputs:
                    for source, tensor in zip(operation.sources, read, strict=True):
                        source.keep(tensor)
                _put(made, step, results)
                if needs_output:
                    operation.results[0].keep(results if isinstance(results, Tensor) else next(tensors_of(results)))
        return made[self._output_place]  # type: ignore[no-any-return]

    def _flags(self, keep: Keep) -> list[tuple[bool, bool]]:
        if not is_dataclass(keep):
            return [keep(operation) for operation in self.operations]
        if keep not in self.derived:
            self.derived[keep] = [keep(operation) for operation in self.operations]
        return self.derived[keep]  # type: ignore[no-any-return]


def _compiled(operations: list[Operation], output: Value, places: dict[Value, int]) -> list[_Step]:
    """Return the steps; `places` gets where each value lies."""
    last: dict[Value, int] = {}
    for number, operation in enumerate(operations):
        last |= dict.fromkeys((*operation.sources, *operation.results), number)
    del last[output]
    spent: list[list[Value]] = [[] for _ in operations]
    for value, number in last.items():
        spent[number].append(value)
    steps = []
    for operation, unread in zip(operations, spent, strict=True):
        for result in operation.results:
            places[result] = len(places)
        steps.append(
            _Step(
                operation,
                tuple(places[source] for source in operation.sources),
                tuple(places[result] for result in operation.results),
                tuple(places[value] for value in unread),
                operation.arguments[1:] if operation.places == (0,) else None,
            )
        )
    return steps


def _put(made: list[Any], step: _Step, results: Any) -> None:
    if isinstance(results, Tensor):
        made[step.results[0]] = results
    else:
        for place, tensor in zip(step.results, tensors_of(results), strict=True):
            made[place] = tensor
    for place in step.spent:
        made[place] = None
