"""Runs cases: both sides on the same bytes, numbers, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from parity import keras
from parity.judge.known.conditions import takes_tokens
from parity.judge.known.table import differences_of
from parity.reference.client import ReferenceClient
from parity.reference.request import ReferenceAnswer
from parity.reference.rules import ReferenceRules, ask_rules
from parity.run import promised
from parity.run.ahead import Ahead, Task
from parity.run.calls import MU, NotInReferenceError
from parity.run.cases import DTYPES, Plan
from parity.run.judging import NUMERIC, judged, subject_alone
from parity.run.kink import beside_a_kink
from parity.run.logits import check_logits
from parity.run.noise import Sample, samples
from parity.run.nothing import is_nothing
from parity.run.outcome import Case, Outcome, refuses
from parity.run.questions import Candidate, Question, question
from parity.run.records import ModelFacts
from parity.run.reference_side import ReferenceSide
from parity.run.subject_maps import Maps, SubjectMaps
from parity.run.subjects import Method, Subject, parse

Array = npt.NDArray[Any]
Finished = Callable[[str, str, str], bool]
"""Says of method, lane and input whether their case is finished."""


@dataclass(frozen=True)
class Answered:
    """What the references said to a question in one lane.

    Attributes
    ----------
    candidate
        What the subject is held to.
    answers
        One per input.
    note
        What references said that do not explain such a model, for the rows' messages.
    """

    candidate: Candidate
    answers: list[ReferenceAnswer]
    note: str = ""


class Runner:
    """Runs the cases of one model.

    Parameters
    ----------
    plan : Plan
        What is compared.
    client : ReferenceClient
        The reference processes and their store.
    subject : Subject
        The implementation under test.
    reference : str
        "auto", "signxai" or "innvestigate".
    target : int or None
        The explained class of every input; None takes the arg-max of each.
    ahead : int
        How many requests `run` puts to the reference at once, ahead of the subject's work; 0 asks when an answer
        is needed.

    Attributes
    ----------
    finished : callable
        Says of which cases nothing is wanted any more; they have no outcome.
    """

    def __init__(
        self,
        plan: Plan,
        client: ReferenceClient,
        subject: Subject,
        reference: str = "auto",
        target: int | None = None,
        ahead: int = 0,
    ) -> None:
        self._ahead, self._target = ahead, target
        self.finished: Finished = lambda _method, _dtype, _input: False
        self.client, self.subject, self.reference = client, subject, reference
        source = plan.source
        self.modules = {name: source.load(name) for name in DTYPES}
        self.side = ReferenceSide(client, source, self.modules["float64"].description)
        self._others: dict[tuple[str, str], keras.KerasModule] = {}
        self._take(plan)

    def next(self, plan: Plan, subject: Subject | None = None) -> Runner:
        """Return a runner of other inputs of the same model, or of another subject; it shares the networks."""
        other = copy(self)
        other.subject = subject or self.subject
        other._take(plan, self.facts)
        return other

    def _take(self, plan: Plan, known: ModelFacts | None = None) -> None:
        self.plan = plan
        self.inputs = np.stack([sample.array for sample in plan.inputs])
        self.facts = ModelFacts(plan, self.modules["float64"].description, ())
        if known is not None:  # what does not depend on the inputs
            self.facts.rules, self.facts.reference_rules = known.rules, known.reference_rules
        # Whether Grad-CAM is transposed depends on sizes that the model may leave open.
        self.described = self.facts.description.at(self.inputs.shape[1:])
        check_logits(self.facts, self.modules, self.side, self.inputs, self._target, self._ahead)
        self.maps = SubjectMaps(self.subject, self.modules, self.inputs, self.facts.targets, self._others)
        self._exact: dict[str, Answered] = {}

    def run(self, started: Callable[[str], None] = lambda _: None) -> Generator[Outcome, None, None]:
        """Yield an outcome per case: method by method, input by input, lane by lane.

        Methods are taken in the order in which they need the least switching between the two references.
        """
        asked = in_order(self.plan.methods, self.described, self.reference)
        due = [(method, how) for method, how in asked if isinstance(how, Question) and self._lanes(method)]
        self.maps.share({method.name: how.parameters for method, how in due})
        with Ahead(self._requests(asked), self._ahead) as ahead:
            for method, how in asked:
                started(method.name)
                with closing(self._method(method, how, ahead)) as outcomes:
                    yield from outcomes

    def run_method(self, name: str) -> Iterator[Outcome]:
        """Yield the outcomes of one method."""
        (asked,) = in_order([name], self.described, self.reference)
        with Ahead(self._requests([asked]), self._ahead) as ahead:
            yield from self._method(*asked, ahead)

    def _requests(self, asked: Sequence[tuple[Method, Question | str]]) -> Iterator[Task[Answered | None]]:
        """Yield what is asked of the reference, by method and lane, in the order in which it is needed."""
        for method, how in asked:
            if isinstance(how, Question) and how.candidates:
                for dtype in self._lanes(method):
                    # A method's modifiers are put around the same map, which a worker computes once.
                    topic = f"{method.base} {dtype}"
                    yield Task(f"{method.name} {dtype}", partial(self._compute, method, how, dtype), topic)

    def _lanes(self, method: Method) -> tuple[str, ...]:
        """Return the lanes in which maps of a method are compared."""
        lanes = (dtype for dtype in self.plan.dtypes(method.name) if dtype not in self.facts.problems)
        return tuple(dtype for dtype in lanes if self._due(method, dtype))

    def _due(self, method: Method, dtype: str) -> list[int]:
        """Return the inputs of which the case is not finished."""
        return [i for i, one in enumerate(self.plan.inputs) if not self.finished(method.name, dtype, one.name)]

    def _compute(self, method: Method, how: Question, dtype: str) -> Answered | None:
        """Return the reference's answers if any must be computed; what is stored is read when it is needed."""
        if self.side.is_stored(how.candidates[0], self._arrays, self.facts.targets, dtype):
            return None
        answered = self._answered(method, how, dtype)
        if method.row.layers and dtype == self.plan.dtypes(method.name)[-1]:
            self.facts.reference_rules.setdefault(method.name, self._ask_rules(answered).to_json())
        return answered

    @property
    def _arrays(self) -> list[Array]:
        """The inputs as they were read: the same bytes in both lanes, so that the logits are stored once."""
        return [sample.array for sample in self.plan.inputs]

    def _answered(self, method: Method, how: Question, dtype: str) -> Answered:
        """Return what the best candidate says that does not refuse such a model by its own rules."""
        note = ""
        for candidate in how.candidates:
            answers = self.side.maps(candidate, method, self._arrays, self.facts.targets, dtype)
            refused = next((answer for answer in answers if refuses(answer)), None)
            if refused is None or candidate is how.candidates[-1]:
                return Answered(candidate, answers, note)
            note += f"{candidate.call.backend} does not explain such a model: {refused.error}\n"
        raise AssertionError("a question without candidates was asked")

    def _ask_rules(self, answered: Answered) -> ReferenceRules:
        candidate = answered.candidate
        if candidate.recipe != "plain":
            return ReferenceRules(candidate.call.backend, problem="the map was put together from several answers")
        # They are the same in both lanes. Float32 costs half, and is the last lane: its worker has just seen them.
        request = self.side.plain_request(candidate, self._arrays, self.facts.targets, "float32")
        return ask_rules(self.client.answer, request, answered.answers)

    def _method(
        self, method: Method, how: Question | str, ahead: Ahead[Answered | None]
    ) -> Generator[Outcome, None, None]:
        lanes = self.plan.dtypes(method.name)
        if isinstance(how, str):
            yield from self._same(method, lanes, "unsupported", how)
            return
        for dtype in lanes:
            if dtype in self.facts.problems:
                status = "error" if self.facts.broken else "mismatch"
                yield from self._same(method, (dtype,), status, self.facts.problems[dtype], failed_check="logits")
        lanes = self._lanes(method)
        if not how.candidates:
            yield from self._unjudged(method, how, lanes)
            return
        if lanes and method.row.layers and method.name not in self.facts.rules:
            self.facts.rules[method.name] = self.maps.rules(method.name)
        for dtype in lanes:
            maps = self.maps.take(method.name, how.parameters, dtype)
            answered = ahead.take(f"{method.name} {dtype}") or self._answered(method, how, dtype)
            if dtype == "float64":
                self._exact = {method.name: answered}
            known = self.facts.reference_rules.get(method.name)
            if method.row.layers and dtype == lanes[-1] and (known is None or known["problem"]):
                self.facts.reference_rules[method.name] = self._ask_rules(answered).to_json()
            for index in self._due(method, dtype):
                outcome = self._case(self._case_of(method, dtype, index), how, answered, maps, index)
                outcome.row["message"] = answered.note + outcome.row["message"]
                yield outcome

    def _case_of(self, method: Method, dtype: str, index: int) -> Case:
        return Case(self.plan, method, dtype, self.plan.inputs[index], self.facts.targets[index])

    def _case(self, case: Case, how: Question, answered: Answered, maps: Maps, index: int) -> Outcome:
        candidate, answer = answered.candidate, answered.answers[index]
        backend = candidate.call.backend
        by_values = {one.by_values: one for one in differences_of(case.method, self.described, backend)}

        def noise(array: Array) -> Iterator[Sample]:
            return self._noise(case, candidate, array, index)

        if candidate.recipe == "promised":
            elsewhere = promised.Elsewhere(self.subject.name, self.maps, self.side, self.modules)
            return promised.judged(case, candidate, how, answer, maps, index, elsewhere, noise)
        outcome = judged(case, candidate, answer, maps, index, self.subject.name, noise, by_values.get("undefined"))
        if outcome.row["failed_check"] is not None and is_nothing(outcome, case, self.described, self.side):
            text = "Both maps are the variance of a gradient that does not change, up to its last digits: no proof."
            outcome.row |= {"status": "unjudged", "message": text, "margin": None, "divergence": None}
        if outcome.row["failed_check"] in NUMERIC and "kink" in by_values:
            row = beside_a_kink(outcome, case, by_values["kink"], self.described, self.side, self.maps)
            outcome.row |= row or {}
        return outcome

    def _noise(self, case: Case, candidate: Candidate, array: Array, index: int) -> Iterator[Sample]:
        """Yield samples of the reference's noise on a case; see `parity.run.noise`."""
        assert case.target is not None

        def ask(inputs: list[Array], dtype: str, onednn: bool) -> list[ReferenceAnswer]:
            targets = [case.target or 0] * len(inputs)
            return self.side.maps(candidate, case.method, inputs, targets, dtype, onednn)

        exact = self._in_float64(case, candidate, index) if case.dtype == "float32" else array
        yield from samples(case.x, case.dtype, array, exact, ask, edges(case.method), takes_tokens(self.described))

    def _in_float64(self, case: Case, candidate: Candidate, index: int) -> Array | None:
        """Return the reference's float64 map of a float32 case; None for what large models leave out."""
        answered = self._exact.get(case.method.name)
        if answered is not None and answered.candidate is candidate:
            return answered.answers[index].array
        if self.plan.large and case.method.name not in self.plan.float64:
            return None
        (answer,) = self.side.maps(candidate, case.method, [case.input.array], [case.target or 0], "float64")
        return answer.array

    def _unjudged(self, method: Method, how: Question, lanes: tuple[str, ...]) -> Generator[Outcome, None, None]:
        """Yield the rows of a method that nothing is left to hold to; shape and numbers are looked at all the same."""
        for dtype in lanes:
            maps = self.maps.take(method.name, how.parameters, dtype)
            for index in self._due(method, dtype):
                case = self._case_of(method, dtype, index)
                row = case.row() | {"status": "unjudged", "message": how.reason}
                row |= subject_alone(case, maps, index, self.subject.name)
                yield Outcome(row, None, None if maps.arrays is None else maps.arrays[index])

    def _same(
        self, method: Method, lanes: tuple[str, ...], status: str, message: str, failed_check: str | None = None
    ) -> Iterator[Outcome]:
        for dtype in lanes:
            for index in self._due(method, dtype):
                verdict = {"status": status, "message": message, "failed_check": failed_check}
                yield Outcome(self._case_of(method, dtype, index).row() | verdict)


def edges(method: Method) -> list[float]:
    """Return the values at which a method treats an input differently: the mu of its signs."""
    values = [MU if value is None else float(value) for what, value in method.modifiers if what == "x_sign_mu"]
    if "mu" in method.parameters and method.parameters["mu"] is not None:
        values.append(float(np.max(method.parameters["mu"])))
    return values


def in_order(
    methods: Sequence[str], description: keras.ModelDescription, reference: str
) -> list[tuple[Method, Question | str]]:
    """Return methods with how they are asked, or why they cannot be, in the order in which they are run.

    It is the order that needs the least switching between the two references.
    """
    asked: list[tuple[Method, Question | str]] = []
    for method in map(parse, methods):
        try:
            asked.append((method, question(method, description, reference)))
        except NotInReferenceError as error:
            asked.append((method, str(error)))
    asked.sort(key=lambda pair: _first_backend(pair[1]) == "innvestigate")
    return asked


def _first_backend(how: Question | str) -> str | None:
    return how.candidates[0].call.backend if isinstance(how, Question) and how.candidates else None
