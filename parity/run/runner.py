"""Runs cases: both sides on the same bytes, numbers, verdicts."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from parity import keras
from parity.assets.inputs import Input
from parity.judge.known.defects import adds_branches, swapped_size
from parity.judge.known.divergences import BY_NAME, ROUNDING
from parity.judge.known.properties import PROPERTIES
from parity.judge.metrics import Metrics, compare
from parity.judge.verdict import Limits, NoiseFloor, Verdict, judge, judge_imitation, limits_for
from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError
from parity.reference.request import Dtype, ReferenceAnswer, ReferenceCall, ReferenceRequest
from parity.reference.rules import ReferenceRules, ask_rules
from parity.run.ahead import Ahead
from parity.run.cases import DTYPES, Plan
from parity.run.outcome import (
    Outcome,
    Row,
    covered_by_flip,
    covered_by_rounding,
    new_row,
    not_in_float64,
    without_reference,
)
from parity.run.questions import NotInReferenceError, Question, question
from parity.run.records import ModelFacts
from parity.run.subject_maps import Maps, SubjectMaps
from parity.run.subjects import Method, Subject, parse

Array = npt.NDArray[Any]
LOGITS_LIMIT = {"float32": 1e-5, "float64": 1e-12}
"""Largest relative L2 distance of the logits, both sides, before any map is believed."""


_Answered = tuple[ReferenceCall, list[ReferenceAnswer], str]
"""The reference that answered, its answers, and what one asked before it said."""


class Runner:
    """Runs the cases of one model.

    Parameters
    ----------
    plan : Plan
        What is compared.
    client : ReferenceClient
        The reference process and its store.
    subject : Subject
        The implementation under test.
    reference : str
        "auto", "signxai" or "innvestigate".
    target : int or None
        The explained class of every input; None takes the arg-max of each.
    ahead : int
        How many requests `run` puts to the reference at once, ahead of the subject's work; 0 asks when an answer
        is needed.
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
        self.client, self.subject, self.reference = client, subject, reference
        source = plan.source
        self.modules = {
            name: keras.load(source.path, architecture=source.architecture, dtype=getattr(torch, name))
            for name in DTYPES
        }
        self._imitations: dict[tuple[str, str], keras.KerasModule] = {}
        self._take(plan)

    def next(self, plan: Plan) -> Runner:
        """Return a runner of other inputs of the same model, which shares the networks with this one."""
        other = copy(self)
        other._take(plan, self.facts)
        return other

    def _take(self, plan: Plan, known: ModelFacts | None = None) -> None:
        self.plan = plan
        self.inputs = np.stack([one.array for one in plan.inputs])
        self.facts = ModelFacts(plan, self.modules["float64"].description, ())
        if known is not None:  # what does not depend on the inputs
            self.facts.rules, self.facts.reference_rules = known.rules, known.reference_rules
        # Whether Grad-CAM is transposed depends on sizes that the model may leave open.
        self._described = replace(self.facts.description, input_shape=self.inputs.shape[1:])
        self._check_logits(self._target)
        self.maps = SubjectMaps(
            self.subject, plan.source, self.modules, self.inputs, self.facts.targets, self._imitations
        )

    def _check_logits(self, target: int | None) -> None:
        facts = self.facts
        lanes = [name for name in DTYPES if self.plan.float64 or name == "float32"]
        own = {name: self._logits(name) for name in DTYPES}
        best = own["float64"].argmax(axis=1)
        if target is not None and not 0 <= target < own["float64"].shape[1]:
            raise IndexError(f"target {target} is out of range: the model has {own['float64'].shape[1]} classes")
        facts.targets = tuple(int(index) if target is None else target for index in best)
        for name in lanes:
            answers = self._ask(ReferenceCall("signxai", "logits"), name)
            failed = next((answer for answer in answers if answer.array is None), None)
            if failed is not None and failed.error_kind == "environment":
                raise ReferenceEnvironmentError(str(failed.error))
            if failed is not None:
                facts.problem = f"the reference could not compute the logits: {failed.error}"
                facts.broken = True
                return
            theirs = np.stack([cast(Array, answer.array).reshape(-1) for answer in answers]).astype(np.float64)
            distance = float(np.linalg.norm(own[name] - theirs))
            norm = float(np.linalg.norm(theirs))
            if distance > 0:  # logits behind a ReLU may all be zero, on both sides; on one side they differ
                distance = distance / norm if norm else float("inf")
            facts.logits_rel_l2[name] = distance
            facts.top1_agreement = float(np.mean(theirs.argmax(axis=1) == best))
            if not distance <= LOGITS_LIMIT[name]:
                facts.problem = (
                    f"the logits of the two sides differ by rel. L2 {distance:.3g} in {name}, "
                    f"more than {LOGITS_LIMIT[name]:g}: the networks are not the same, so no map is compared"
                )
                return

    def _logits(self, dtype: str) -> Array:
        module = self.modules[dtype]
        with torch.no_grad():
            return np.concatenate([module(module.to_torch(one[None])).double().numpy() for one in self.inputs])

    def _request(self, call: ReferenceCall, dtype: str) -> ReferenceRequest:
        inputs = tuple(one.array for one in self.plan.inputs)
        targets = self.facts.targets if call.kind != "logits" else tuple(0 for _ in inputs)
        return ReferenceRequest(self.plan.source, inputs, targets, call, cast(Dtype, dtype))

    def _ask(self, call: ReferenceCall, dtype: str) -> list[ReferenceAnswer]:
        return self.client.answer(self._request(call, dtype))

    def run(self, started: Callable[[str], None] = lambda _: None) -> Generator[Outcome, None, None]:
        """Yield an outcome per case: method by method, input by input, lane by lane.

        Methods are taken in the order in which they need the least switching between the two references.
        """
        asked = in_order(self.plan.methods, self._described, self.reference)
        self.maps.share({method.name: how.parameters for method, how in asked if isinstance(how, Question)})
        with Ahead(self._requests(asked), self._ahead) as answers:
            for method, how in asked:
                started(method.name)
                yield from self._method(method, how, answers)

    def run_method(self, name: str) -> Iterator[Outcome]:
        """Yield the outcomes of one method."""
        (asked,) = in_order([name], self._described, self.reference)
        with Ahead(self._requests([asked]), self._ahead) as answers:
            yield from self._method(*asked, answers)

    def _requests(
        self, asked: Sequence[tuple[Method, Question | str]]
    ) -> Iterator[tuple[str, Callable[[], _Answered | None]]]:
        """Yield what is asked of the reference, by method and lane, in the order in which it is needed."""
        if self.facts.problem is not None:
            return
        for method, how in asked:
            if isinstance(how, Question):
                for dtype in self.plan.dtypes(method.name):
                    yield f"{method.name} {dtype}", partial(self._compute, method, how, dtype)

    def _compute(self, method: Method, how: Question, dtype: str) -> _Answered | None:
        """Return the reference's answers if any must be computed; what is stored is read when it is needed."""
        if self.client.is_stored(self._request(how.calls[0], dtype)):
            return None
        call, answers, note = self._reference_maps(how, dtype)
        if method.row.layers and dtype == self.plan.dtypes(method.name)[0]:
            self.facts.reference_rules.setdefault(method.name, self._ask_rules(call, answers).to_json())
        return call, answers, note

    def _ask_rules(self, call: ReferenceCall, answers: list[ReferenceAnswer]) -> ReferenceRules:
        # They are the same in both lanes, and float32 costs half.
        return ask_rules(self.client.answer, self._request(call, "float32"), answers)

    def _method(self, method: Method, how: Question | str, answered: Ahead[_Answered | None]) -> Iterator[Outcome]:
        lanes = self.plan.dtypes(method.name)
        if isinstance(how, str):
            yield from self._same(method, lanes[:1], "unsupported", how)
            return
        if self.facts.problem is not None:
            status = "error" if self.facts.broken else "mismatch"
            yield from self._same(method, lanes, status, self.facts.problem, failed_check="logits")
            return
        if method.row.layers and method.name not in self.facts.rules:
            self.facts.rules[method.name] = self.maps.rules(method.name)
        twins: dict[int, Outcome] = {}
        # The float32 limit comes from the float64 maps of the very same cases.
        exact = self.maps.take(method.name, how.parameters, "float64")
        for dtype in lanes:  # float64 first: its cases speak for their float32 twins
            mine = exact if dtype == "float64" else self.maps.take(method.name, how.parameters, dtype)
            call, answers, note = answered.take(f"{method.name} {dtype}") or self._reference_maps(how, dtype)
            known = self.facts.reference_rules.get(method.name)
            if method.row.layers and (known is None or known["problem"]):
                self.facts.reference_rules[method.name] = self._ask_rules(call, answers).to_json()
            for index, (one, answer) in enumerate(zip(self.plan.inputs, answers, strict=True)):
                outcome = self._case(method, how, dtype, index, one, call, answer, mine, exact)
                outcome.row["message"] = note + outcome.row["message"]
                if outcome.row["status"] == "structural" and index in twins:
                    outcome.row |= covered_by_flip(outcome, twins[index])
                if outcome.row["status"] == "structural" and dtype == "float64":
                    outcome.row |= self._covered_by_rounding(method, how, index, outcome)
                held = outcome.row["status"] in ("parity", "reference-defect") and not outcome.row["failed_check"]
                if dtype == "float64" and held:
                    twins[index] = outcome
                yield outcome

    def _covered_by_rounding(self, method: Method, how: Question, index: int, outcome: Outcome) -> Row:
        """Return what a float64 row becomes if the subject's own rounding explains it, else nothing."""
        if (
            outcome.subject is None
            or outcome.reference is None
            or not ROUNDING.covers(method.name, outcome.row["reference"])
            or not (method.ignore_bias or adds_branches(self.facts.description))
        ):
            return {}
        try:
            again = self.maps.in_another_memory_order(method.name, how.parameters, index)
        except Exception:  # nothing is known of its rounding, so nothing is covered
            return {}
        return covered_by_rounding(outcome, again)

    def _same(
        self, method: Method, lanes: tuple[str, ...], status: str, message: str, failed_check: str | None = None
    ) -> Iterator[Outcome]:
        for dtype in lanes:
            for index, one in enumerate(self.plan.inputs):
                verdict = {"status": status, "message": message, "failed_check": failed_check}
                yield Outcome(self._row(method, dtype, index, one, None) | verdict)

    def _reference_maps(self, how: Question, dtype: str) -> _Answered:
        note, left = "", list(how.calls)
        while True:
            call = left.pop(0)
            answers = self._ask(call, dtype)
            # A reference that raises leaves the case to the other one, if that has the method; the row says so.
            raised = next((one for one in answers if one.array is None and one.error_kind == "method"), None)
            last_resort = how.imitated if call is not how.imitated and not left else None
            if raised is not None and last_resort is not None and not_in_float64(dtype, raised):
                left.append(last_resort)
            if raised is None or not left:
                return call, answers, note
            note += f"{call.backend} raised, so the other reference was asked: {raised.error}\n"

    def _case(
        self,
        method: Method,
        how: Question,
        dtype: str,
        index: int,
        one: Input,
        call: ReferenceCall,
        answer: ReferenceAnswer,
        mine: Maps,
        exact: Maps,
    ) -> Outcome:
        subject = None if mine.arrays is None else mine.arrays[index]
        row = self._row(method, dtype, index, one, call)
        row |= {
            "seconds_reference": answer.seconds if answer.array is not None else None,
            "seconds_subject": mine.seconds if subject is not None else None,
            "seconds_subject_shared_by": mine.together if subject is not None else None,
        }
        if mine.error is not None:
            row |= {"status": "error", "message": f"{self.subject.name}: {mine.error}"}
        elif answer.array is None:
            row |= without_reference(how, dtype, call, answer)
            row |= self._held(row, dtype, index, subject)
        else:
            assert subject is not None
            row |= self._judged(method, how, dtype, call, answer.array, subject, exact, index)
        return Outcome(row, answer.array, subject)

    def _held(self, row: Row, dtype: str, index: int, subject: Array | None) -> Row:
        """Return what a row without a reference becomes by what its method promises, or nothing."""
        if not row["divergence"] or subject is None:
            return {}
        x = self.inputs[index].astype(dtype)
        if BY_NAME[row["divergence"]].holds and subject.shape != x.shape:
            message = f"the map has the shape {subject.shape}, the input {x.shape}\n{row['message']}"
            return {"status": "mismatch", "failed_check": "shape", "divergence": None, "message": message}
        for name in BY_NAME[row["divergence"]].holds:
            wrong = PROPERTIES[name](self.modules[dtype], x, self.facts.targets[index], subject)
            if wrong is not None:
                message = f"{wrong}\n{row['message']}"
                return {"status": "mismatch", "failed_check": name, "divergence": None, "message": message}
        return {}

    def _judged(
        self,
        method: Method,
        how: Question,
        dtype: str,
        call: ReferenceCall,
        reference: Array,
        subject: Array,
        exact: Maps,
        index: int,
    ) -> Row:
        floor = None
        if dtype == "float32":
            if exact.arrays is None:
                message = f"no noise floor: {self.subject.name} fails in float64: {exact.error}"
                return {"status": "error", "message": message}
            measured = compare(exact.arrays[index], subject)
            floor = None if measured.problem else NoiseFloor.from_metrics(measured)
        metrics, limits = compare(reference, subject), limits_for(dtype, floor)
        verdict = _verdict(how, call, metrics, limits)
        defect = BY_NAME[how.defect] if how.defect else None
        if defect is not None and defect.imitated and call.backend in defect.references and not verdict.ok:
            verdict = self._imitated(method, how, dtype, reference, subject, limits, verdict, metrics, index)
        return metrics.to_json() | {
            "status": verdict.status,
            "failed_check": verdict.failed_check,
            "message": verdict.message,
            "margin": verdict.margin if np.isfinite(verdict.margin) else None,
            "limits": limits.to_json(),
            "divergence": verdict.divergence,
            "imitation": verdict.imitation.checked() if verdict.imitation else None,
            "noise_floor": floor.to_json() if floor else None,
        }

    def _imitated(
        self,
        method: Method,
        how: Question,
        dtype: str,
        reference: Array,
        subject: Array,
        limits: Limits,
        plain: Verdict,
        real: Metrics,
        index: int,
    ) -> Verdict:
        """Return the verdict on a reference that explains another case: held to the subject on that case."""
        swapped = swapped_size(how.defect, self.inputs.shape[1:])
        if swapped is None:
            maps = self.maps.imitation(method.name, how.parameters, dtype, how.defect or "")
        else:
            maps = self.maps.sized(method.name, how.parameters, dtype, swapped)
        if maps.arrays is None:
            return replace(plain, message=f"{plain.message}\n{self.subject.name} on the other case: {maps.error}")
        if swapped is not None:  # the map that is judged must be the one that the imitation is a resized form of
            again = self.maps.sized(method.name, how.parameters, dtype, swapped[::-1])
            if again.arrays is None or not np.array_equal(again.arrays[index], subject):
                text = f"{self.subject.name} gives another map when it is asked for the input's size {swapped[::-1]}"
                return replace(plain, message=f"{plain.message}\n{text}: {again.error or 'the values differ'}")
        return judge_imitation(compare(reference, maps.arrays[index]), limits, BY_NAME[how.defect or ""], plain, real)

    def _row(self, method: Method, dtype: str, index: int, one: Input, call: ReferenceCall | None) -> Row:
        return new_row(self.plan, method, dtype, one, self.facts.targets[index], call)


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
    asked.sort(key=lambda pair: isinstance(pair[1], Question) and pair[1].calls[0].backend == "innvestigate")
    return asked


def _verdict(how: Question, call: ReferenceCall, metrics: Metrics, limits: Limits) -> Verdict:
    defect = BY_NAME[how.defect] if how.defect else None
    if defect is not None and call.backend not in (*defect.references, defect.alternative):
        defect = None  # it speaks of a reference that was not asked
    return judge(metrics, limits, defect, alternative_used=defect is not None and call.backend == defect.alternative)
