"""A case layer by layer: the reference is watched, the subject explains the model cut at every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from parity.errors import ParityError, first_line
from parity.judge.limits import limits_for
from parity.keras.cut import NoCutError, cut
from parity.keras.network import names_of
from parity.reference.trace import TracedLayer, unpacked
from parity.run.questions import Candidate, Question, question
from parity.run.subjects import Method, parse
from parity.run.trace.base import asked_at, base_of, why_not
from parity.run.trace.causes import explained
from parity.run.trace.table import Distance, Handed, Line, Trace, distance, not_compared
from parity.run.trace.verdict import parting

if TYPE_CHECKING:
    from parity.run.runner import Runner

Array = npt.NDArray[Any]


class NoTraceError(ParityError):
    """There is no trace of such a case; the message says why."""


def trace(
    runner: Runner, name: str, dtype: str, index: int = 0, limit: float | None = None, causes: bool = True
) -> Trace:
    """Return the trace of one case.

    The activations of both sides are compared first, from the same input, so that another network is not taken for
    another rule. What a layer hands on is compared at the reference's own activations: for each tensor that a layer
    reads, the subject explains the part of the model from that tensor on, all else being held as it was in the
    reference. That works for every subject, and what went wrong above a layer does not hide what goes wrong in it.

    Parameters
    ----------
    runner
        The model, its inputs and both sides.
    name
        The method.
    dtype
        "float32" or "float64".
    index
        Which of the runner's inputs.
    limit
        The relative L2 distance within which two sides agree; None takes the lane's own.
    causes
        Whether known causes are tried, in float64.

    Raises
    ------
    NoTraceError
        If the method passes no layers, or the reference has no trace of it.
    """
    method = parse(name)
    reason = why_not(method)
    if reason is not None:
        raise NoTraceError(reason)
    how = question(method, runner.described, runner.reference)
    candidate, stand_ins = _candidate(runner, how, method, index)
    answer = runner.side.trace(candidate, runner.inputs[index], runner.facts.targets[index], dtype)
    if answer.array is None:
        raise NoTraceError(f"{candidate.call.backend} has no trace of {name}: {answer.error}")
    case = _Case(runner, method, how, candidate, dtype, index, _contracted(unpacked(answer.array), stand_ins))
    return case.traced(limits_for(dtype).rel_l2 if limit is None else limit, causes)


def cause_of(runner: Runner, name: str, dtype: str, index: int) -> str:
    """Return what is known to make such a map of the reference's, for a method without a trace; empty if it is not.

    In float64 alone, and only where the subject is held to the plain reference.
    """
    method = parse(name)
    how = question(method, runner.described, runner.reference)
    if dtype != "float64" or why_not(method) is None or not how.candidates or how.candidates[0].recipe != "plain":
        return ""
    x, target = runner.inputs[index], runner.facts.targets[index]
    (answer,) = runner.side.maps(how.candidates[0], method, [x], [target], dtype)
    maps = runner.maps.of([x], target, name, how.parameters, dtype)
    if answer.array is None or maps.arrays is None:
        return ""
    module = runner.modules[dtype]
    proof = explained(module, x.astype(dtype), target, name, answer.array, maps.arrays[0], dict(how.parameters))
    return "" if proof is None else str(proof)


def _candidate(runner: Runner, how: Question, method: Method, index: int) -> tuple[Candidate, Mapping[str, str]]:
    """Return what the reference is asked, if that is about the model's own layers, and what stands for others there."""
    if not how.candidates:
        raise NoTraceError(f"{method} has no trace: {how.reason}.")
    first = how.candidates[0]
    found = runner.side.stand_ins(first, runner.facts.targets[index]) if first.recipe == "plain" else None
    if found is None:
        raise NoTraceError(
            f"{method} has no trace on this model: the subject is held to {first.held_to}, whose layers are not the "
            "model's."
        )
    return first, found


def _contracted(layers: Sequence[TracedLayer], stand_ins: Mapping[str, str]) -> tuple[TracedLayer, ...]:
    """Return the layers without those that stand for another: who read one of them read that other."""
    kept = []
    for layer in layers:
        if layer.name in stand_ins:
            continue
        handed: dict[str, Array] = {}
        for name, part in zip(layer.inbound, layer.handed, strict=True):
            real = stand_ins.get(name, name)
            handed[real] = handed[real] + part if real in handed else part
        kept.append(replace(layer, inbound=tuple(handed), handed=tuple(handed.values())))
    return tuple(kept)


@dataclass
class _Case:
    runner: Runner
    method: Method
    how: Question
    candidate: Candidate
    dtype: str
    index: int
    layers: tuple[TracedLayer, ...]

    def __post_init__(self) -> None:
        runner = self.runner
        self.module = runner.modules[self.dtype]
        self.description = self.module.description
        self.x: Array = runner.inputs[self.index][None].astype(self.dtype)
        self.target = runner.facts.targets[self.index]
        there = dict(zip(names_of(self.description), (one.name for one in self.description.layers), strict=True))
        inputs_there = [one.name for one in self.layers if one.class_name == "InputLayer"]
        # The input of a Sequential model has no name of its own; inputs are told by their order.
        there |= dict(zip(inputs_there, (name for name, _ in self.description.inputs), strict=False))
        self.reference = {there[one.name]: one for one in self.layers if one.name in there}
        self.here = {one: there.get(one, one) for one in (layer.name for layer in self.layers)}
        given = {
            name: self.module.places[name].to_torch(one.made[None].astype(self.dtype))
            for name, one in self.reference.items()
            if one.made is not None
        }
        x = self.module.to_torch(self.x)
        inputs = x if isinstance(x, tuple) else (x,)
        places = self.module.places
        end = places[self.description.output_layer.name].position
        self.ends = {name for name, place in places.items() if place.position == end}
        self.own = self.module.tensors(*inputs)
        self.held = self.module.tensors(*inputs, given=given)
        self.maps: dict[tuple[str, str], tuple[Array, Array]] = {}

    def traced(self, limit: float, causes: bool) -> Trace:
        """Return the trace."""
        rules = self._subject_rules()
        lines: list[Line] = []
        for layer in reversed(self.description.layers):
            if not layer.inbound or (layer.name in self.ends and not self.module.places[layer.name].steps):
                continue  # an input, or a layer at the end that does nothing
            one = self.reference.get(layer.name)
            handed = tuple(self._handed(layer.name, producer) for producer in dict.fromkeys(layer.inbound))
            lines.append(
                Line(
                    layer.name, layer.class_name, "" if one is None else one.rule, rules.get(layer.module or "", ""),
                    self._made(layer.name), self._arrived(layer.name), handed,
                )
            )  # fmt: skip
        inbound = {layer.name: layer.inbound for layer in self.description.layers}
        pair, whole = self._around()
        around = None if pair is None else distance(*pair)
        kind, where, says = parting(lines, inbound, limit, around, whole)
        maps = {to: both for (one, to), both in self.maps.items() if one == where}
        wrong = around is not None and around.beyond(limit)
        cause = self._cause(*pair) if pair is not None and wrong and causes else ""
        return Trace(self._told(), tuple(lines), limit, kind, where, says, cause, maps)

    def _cause(self, reference: Array, subject: Array) -> str:
        """Return what is known to make such a map of the reference's, if that can be proved."""
        x = self.runner.inputs[self.index].astype(self.dtype)
        proof = explained(self.module, x, self.target, self.method.name, reference, subject, self.how.parameters)
        return "" if proof is None else str(proof)

    def _told(self) -> Mapping[str, Any]:
        runner = self.runner
        return {
            "model": runner.plan.source.name,
            "input": runner.plan.inputs[self.index].name,
            "target": self.target,
            "method": self.method.name,
            "dtype": self.dtype,
            "subject": runner.subject.name,
            "reference": self.candidate.call.backend,
        }

    def _subject_rules(self) -> dict[str, str]:
        name = self.method.name
        found = self.runner.facts.rules.get(name) or self.runner.maps.rules(name)
        return {module: rule for module, _, rule in found}

    def _own_output(self, name: str) -> Array:
        place = self.module.places[name]
        array: Array = place.to_keras(self.own[place.position])[0]
        return array

    def _made(self, name: str) -> Distance:
        one = self.reference.get(name)
        if one is None or one.made is None:
            return not_compared("the reference was not seen to compute it")
        return distance(one.made, self._own_output(name))

    def _arrived(self, name: str) -> Distance | None:
        """Return the distance of the relevance at a layer's output: the sum of what those that read it hand to it."""
        if name in self.ends:
            return None
        one = self.reference.get(name)
        if one is None or one.arrived is None:
            return not_compared("the reference was not seen to have relevance there")
        readers = [layer.name for layer in self.description.layers if name in layer.inbound]
        parts = [self.maps.get((reader, name)) for reader in readers]
        if not parts or any(part is None for part in parts):
            return not_compared("what one of the layers that read it hands on was not compared")
        return distance(one.arrived, sum(part[1] for part in parts if part is not None))  # type: ignore[arg-type]

    def _handed(self, layer: str, producer: str) -> Handed:
        asked = asked_at(self.method, self.description, producer, self.candidate.call.backend)
        reference = self._reference_handed(layer, producer)
        if reference is None:
            return Handed(producer, asked, not_compared("the reference was not seen to hand anything on there"))
        try:
            part = cut(self.module, layer, producer, self.held)
        except NoCutError as error:
            return Handed(producer, asked, not_compared(str(error)))
        place = self.module.places[producer]
        x = place.to_keras(self.held[place.position])
        parameters = {key: value for key, value in self.how.parameters.items() if key != "mu"}
        answer = self.runner.subject.attribute_many(part, x, [self.target], {asked: parameters})[asked]
        if answer.array is None:
            text = f"the subject does not explain this part of the model: {first_line(answer.error or '')}"
            return Handed(producer, asked, not_compared(text))
        subject = answer.array[0]
        if subject.shape == reference.shape:
            self.maps[layer, producer] = reference, subject
        return Handed(producer, asked, distance(reference, subject))

    def _reference_handed(self, layer: str, producer: str) -> Array | None:
        one = self.reference.get(layer)
        if one is None:
            return None
        handed = dict(zip((self.here[name] for name in one.inbound), one.handed, strict=True))
        return handed.get(producer)

    def _around(self) -> tuple[tuple[Array, Array] | None, str]:
        """Return the maps themselves, the reference's and the subject's, and what is done around the layers."""
        parts = [what for what, _ in self.method.modifiers]
        if base_of(self.method) != self.method.base:
            parts.insert(0, "x_input")
        runner = self.runner
        x, target = runner.inputs[self.index], self.target
        (answer,) = runner.side.maps(self.candidate, self.method, [x], [target], self.dtype)
        maps = runner.maps.of([x], target, self.method.name, self.how.parameters, self.dtype)
        if answer.array is None or maps.arrays is None:
            return None, " ".join(parts)
        return (answer.array, maps.arrays[0]), " ".join(parts)
