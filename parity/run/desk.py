"""Where the cases of one model are run on this machine, a few inputs at a time, with what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from parity.errors import ParityError
from parity.run.cases import Plan
from parity.run.document import Document, Order
from parity.run.outcome import Outcome, failed_cases
from parity.run.records import model_record
from parity.run.runner import Runner
from parity.run.trace.failing import DIFFERS, traces_of


@dataclass
class Desk:
    """Runs the cases of one model that are not finished; outcomes go to a document.

    Attributes
    ----------
    make : callable
        Makes the first `Runner` of a plan.
    document : Document
        Where outcomes go, and where finished ones are.
    order : callable
        Returns where a row stands in the document.
    stops : callable
        Says whether the run ends with a row.
    tell : callable
        Called with a method's name and the number of finished cases when the method starts.
    traces : int
        How many failing methods may still be followed layer by layer.
    failures : list of (str, Exception)
        On which input of which model the harness itself has failed. Its cases are error rows.
    """

    make: Callable[[Plan], Runner]
    document: Document
    order: Callable[[Mapping[str, Any]], Order]
    stops: Callable[[Mapping[str, Any]], bool]
    tell: Callable[[str, int], None]
    traces: int = 0
    failures: list[tuple[str, Exception]] = field(default_factory=list)
    _runner: Runner | None = None
    _finished: set[tuple[str, str, str]] = field(default_factory=set)

    def collect(self, plan: Plan) -> None:
        """Take over what is finished of a plan, and run the rest.

        Raises
        ------
        ParityError
            If nothing of the model can be run.
        """
        rows, first = self.document.rows, len(self.document.rows)
        self._finished = self.document.take_over(plan, self.order)
        taken = rows[first:]
        self.traces -= sum("layers" in (row.get("trace") or {}) for row in taken)
        if any(self.stops(row) for row in taken):
            return
        left = tuple(one for one in plan.inputs if not self._has(plan, one.name))
        if left:
            self._run(replace(plan, inputs=left))
        else:
            self.tell(plan.methods[-1], len(rows))
        # The case at which a run stops is followed, too.
        if self.traces > 0 and any(row["status"] in DIFFERS and "trace" not in row for row in rows[first:]):
            runner = self._runner_of(plan)
            self.traces -= self.document.add_traces(traces_of(runner, rows[first:], self.traces))

    def _has(self, plan: Plan, name: str) -> bool:
        """Return whether every case of an input is finished."""
        return all((method, dtype, name) in self._finished for method in plan.methods for dtype in plan.dtypes(method))

    def _run(self, plan: Plan, quietly: bool = False) -> bool:
        """Run a plan, and return whether the run ends with it.

        What breaks the harness on several inputs is tried on each alone, and costs those that it breaks on.
        """
        try:
            runner = self._runner_of(plan)
            self.document.add_model(model_record(runner.facts))  # its rules are filled as the cases run
            tell = (lambda _: None) if quietly else (lambda method: self.tell(method, len(self.document.rows)))
            with closing(runner.run(tell)) as outcomes:
                for outcome in outcomes:
                    self._add(outcome)
                    if self.stops(outcome.row):
                        return True
            return False
        except ParityError:
            raise
        except Exception as error:
            self._runner = None  # nobody knows what it is in
            if len(plan.inputs) > 1:
                return any(self._run(replace(plan, inputs=(one,)), quietly=True) for one in plan.inputs)
            return self._failed(plan, error)

    def _failed(self, plan: Plan, error: Exception) -> bool:
        (one,) = plan.inputs
        self.failures.append((f"{plan.source.name}, {one.name}", error))
        message = f"the harness failed on this input: {type(error).__name__}: {error}"
        rows = [
            outcome for outcome in failed_cases(plan, plan.options.target, message) if not self._is_finished(outcome)
        ]
        for outcome in rows:
            self._add(outcome)
        return any(self.stops(outcome.row) for outcome in rows)

    def _add(self, outcome: Outcome) -> None:
        self.document.add(outcome, self.order(outcome.row))
        self._finished.add((outcome.row["method"], outcome.row["dtype"], outcome.row["input"]))

    def _is_finished(self, outcome: Outcome) -> bool:
        row = outcome.row
        return (row["method"], row["dtype"], row["input"]) in self._finished

    def _runner_of(self, plan: Plan) -> Runner:
        """Return a runner of a plan; it shares the networks of the one before."""
        try:
            runner = self.make(plan) if self._runner is None else self._runner.next(plan)
        except IndexError as error:
            raise ParityError(f"{plan.source.name}: {error}") from None
        runner.finished = lambda method, dtype, name: (method, dtype, name) in self._finished
        self._runner = runner
        return runner
