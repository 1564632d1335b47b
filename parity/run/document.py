"""The results document (`parity.json`, schema 1) and the arrays beside it, from the outcomes of a run.

Outcomes go to the run's journal as they come; what an earlier run into the same folder has finished is taken from it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from parity.judge.controls import Controls
from parity.run.arrays_file import ARRAYS_NAME, ArraysFile, dataset
from parity.run.cases import Plan, Series
from parity.run.facts import Named, differences_named, facts_of_run, method_facts, plain_rules, reference_methods
from parity.run.journal import Journal, JournalError, Place, Reader, cannot_write
from parity.run.model_entries import ModelEntries
from parity.run.outcome import Outcome
from parity.run.records import ModelRecord, input_records
from parity.run.results import SCHEMA_VERSION
from parity.run.totals import summarize
from parity.run.trace.table import Trace, Untraced
from parity.run.unfinished import Finished, Key, Run, forget_superseded, go_on

_MOSTLY_THE_SAME = ("limits", "noise_samples", "reference_notes", "shape")
"""Of a row: what few values are shared by many rows, and is never changed in place. Memory holds each value once."""

Order = tuple[int, ...]


class Document:
    """Collects outcomes; `finish` returns the results document. A context manager.

    When it ends, what it has collected stays in the journal for the next run, unless `complete` was set.

    Parameters
    ----------
    directory : Path
        The report's folder.
    command : str
        The command that reproduces the run.
    subject : Named
        The implementation under test.

    Attributes
    ----------
    complete : bool
        Set by who has written the report of the whole run: the journal goes.
    rows : list of dict
        The rows so far.
    taken_over : int
        How many of them an earlier run had finished.
    """

    def __init__(self, directory: Path, command: str, subject: Named) -> None:
        self.complete, self.taken_over = False, 0
        self.rows: list[dict[str, Any]] = []
        self._directory, self._command, self._subject = directory, command, subject
        self._created = self._last_begun = _now()
        self._begun, self._before = time.perf_counter(), 0.0
        self._journal: Journal | Reader | None = None
        self._run = Run()
        self._environment: dict[str, str] = {}
        self._earlier = Finished()
        self._entries = ModelEntries(self._append)
        self._places: list[Place] = []  # where each row's record lies
        self._trace_places: dict[int, Place] = {}  # by the row's id
        self._order: list[Order] = []
        self._controls = Controls()
        self._shared: dict[str, Any] = {}  # by its text

    def __enter__(self) -> Document:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(self._journal, Journal):
            return
        if self.complete and kind is None:
            self._journal.remove()
            forget_superseded(self._directory, self._run, self.rows)
        elif self.rows or self._earlier.rows:
            self._journal.keep()
        else:
            self._journal.remove()

    @property
    def is_empty(self) -> bool:
        """Whether neither this run nor an earlier one it goes on with has finished a case."""
        return not self.rows and not self._earlier.rows

    @property
    def journal(self) -> Journal | Reader:
        """The journal, begun if there is none."""
        if self._journal is None:
            self.begin()
        assert self._journal is not None
        return self._journal

    def begin(self, run: Run | None = None) -> None:
        """Begin the journal, or go on with that of an earlier run into this folder that did not end.

        Parameters
        ----------
        run : Run, optional
            What decides the cases. Without it nothing is taken over, now or later.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        run = run or Run(asked={"subject": self._subject.name})
        found = go_on(self._directory, run)
        journal = found[0] if found else Journal.make(self._directory)
        self._journal, self._run, self._entries.ids = journal, run, run.ids
        if found:
            self._earlier = self._entries.earlier = found[1]
            self._environment = dict(self._earlier.environment)
            self._created, self._before = str(self._earlier.run["created"]), self._earlier.seconds
        facts = facts_of_run(self._created, self._command, self._subject)
        self._last_begun = _now()
        journal.append({"kind": "run", "begun": self._last_begun} | run.to_json() | facts)
        self._note_loaded()
        journal.sync()

    def read(self, journal: Reader, earlier: Finished) -> None:
        """Take everything from the journal of a run that did not end, which stays as it is."""
        self._journal, self._earlier, self._entries.earlier, facts = journal, earlier, earlier, earlier.run
        self._entries.ids, self._before, self._environment = earlier.ids, earlier.seconds, dict(earlier.environment)
        self._created, self._last_begun = str(facts["created"]), str(facts["begun"])
        for key in list(earlier.rows):
            self._take_as_it_was(key, earlier.sha256(key[0], key[1]))

    def _note_loaded(self) -> None:
        new = self._run.loaded()
        if new:
            self._append({"kind": "loaded"} | new)

    def _append(self, record: Mapping[str, Any], arrays: Mapping[str, Any] | None = None) -> Place:
        journal = self.journal
        assert isinstance(journal, Journal)
        return journal.append(record, arrays)

    def sync(self, environment: Mapping[str, str]) -> None:
        """Have everything on the disk itself: called after every few inputs."""
        if environment and environment != self._environment:
            self._environment = dict(environment)
            self._append({"kind": "environment", "environment": self._environment})
        if isinstance(self._journal, Journal):
            self._journal.sync()

    # --- what comes in -------------------------------------------------------------------------------------------

    def add_model(self, record: ModelRecord) -> None:
        """Take in a model and its inputs, or further inputs of a model that is known."""
        self._entries.add(record)

    def add(self, outcome: Outcome, order: Order | None = None) -> None:
        """Take in the outcome of one case; its maps go to the journal and are not kept.

        Parameters
        ----------
        outcome : Outcome
            The case.
        order : tuple of int, optional
            Where it stands in the document, for outcomes that come in another order; either all have one or none.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        row = outcome.row
        order = (len(self.rows),) if order is None else order
        model = row["model"]
        self._entries.tell_rules(model, row["method"])
        self._note_loaded()
        record = {
            "kind": "row",
            "id": self._entries.id(model),
            "sha256": self._entries.sha256(model, row["input"]),
            "order": order,
            "seconds": round(self.seconds, 2),
            "row": row,
        }
        sides = {"reference": outcome.reference, "subject": outcome.subject}
        maps = {side: np.asarray(array) for side, array in sides.items() if array is not None}
        self._take(outcome, order, self._append(record, maps))

    def _take(self, outcome: Outcome, order: Order, place: Place) -> None:
        for name in outcome.row.keys() & _MOSTLY_THE_SAME:
            value = outcome.row[name]
            outcome.row[name] = self._shared.setdefault(json.dumps(value), value)
        self.rows.append(outcome.row)
        self._order.append(order)
        self._places.append(place)
        self._controls.see(outcome)

    def add_traces(self, traces: Iterable[tuple[dict[str, Any], Trace | Untraced]]) -> int:
        """Take in traces of rows that are here, or why there are none; return how many there were.

        The layer's maps go to the journal as those of the row.
        """
        count = 0
        for row, found in traces:
            maps: dict[str, Any] = {}
            if isinstance(found, Untraced):
                row["trace"] = found.to_json()
            else:
                count += 1
                row["first_diverging_layer"] = found.layer
                row["trace"] = found.to_json() | {"maps": list(found.maps)}
                for number, sides in enumerate(found.maps.values()):
                    pair = zip(("reference", "subject"), map(np.asarray, sides), strict=True)
                    maps |= {f"trace/{number}/{side}": array for side, array in pair}
            record = {"kind": "trace", "case": _key(row), "trace": row["trace"], "layer": row["first_diverging_layer"]}
            self._trace_places[id(row)] = self._append(record, maps)
        return count

    # --- what an earlier run has finished ------------------------------------------------------------------------

    def take_over(self, plan: Plan, order: Callable[[Mapping[str, Any]], Order]) -> set[tuple[str, str, str]]:
        """Take in what is finished of a plan; return the method, lane and input of each such case.

        An error is not finished: it is tried again.
        """
        taken: set[tuple[str, str, str]] = set()
        model = plan.source.name
        for method in plan.methods:
            for dtype in plan.dtypes(method):
                for one in plan.inputs:
                    if self._take_over((model, one.name, method, dtype), one.sha256, order):
                        taken.add((method, dtype, one.name))
        if taken:
            with_cases = {name for *_, name in taken}
            take = self._entries.take_input
            absent = (one for one in plan.inputs if not take(model, one.name, one.sha256, self.journal))
            again = tuple(one for one in absent if one.name in with_cases)
            self._entries.add_inputs(*input_records(replace(plan, inputs=again)))
        return taken

    def take_rest(self, series: Series, order: Callable[[Mapping[str, Any]], Order]) -> None:
        """Take in what else an earlier run has finished of a model's cases, where a run ends early."""
        outline = series.outline
        lanes = {method: outline.dtypes(method) for method in outline.methods}
        for key in list(self._earlier.rows):
            model, name, method, dtype = key
            if model == outline.source.name and name in series.inputs and dtype in lanes.get(method, ()):
                self._take_as_it_was(key, series.inputs[name], order)

    def _take_as_it_was(self, key: Key, sha256: str, order: Callable[[Mapping[str, Any]], Order] | None = None) -> None:
        # A row is of no use without its input; the next run writes that again and takes the row over.
        if self._entries.take_input(key[0], key[1], sha256, self.journal):
            self._take_over(key, sha256, order)

    def _take_over(self, key: Key, sha256: str, order: Callable[[Mapping[str, Any]], Order] | None) -> bool:
        place = self._earlier.rows.pop(key, None)
        if place is None:
            return False
        record = self.journal.record(place)
        row = record["row"]
        if record["id"] != self._entries.id(key[0]) or record["sha256"] != sha256:
            return False
        if row["status"] == "error" and not isinstance(self._journal, Reader):
            return False
        maps = self.journal.arrays(record)
        if maps is None or self._entries.known(key[0]) is None:
            return False
        trace = self._earlier.traces.get(key)
        told = None if trace is None else self.journal.record(trace)
        if trace is not None and told is not None and self.journal.arrays(told) is not None:  # else it is made again
            row |= {"trace": told["trace"], "first_diverging_layer": told["layer"]}
            self._trace_places[id(row)] = trace
        self._take(
            Outcome(row, maps.get("reference"), maps.get("subject")),
            tuple(record["order"]) if order is None else order(row),
            place,
        )
        self.taken_over += 1
        return True

    # --- what goes out -------------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """How long the run has taken, with the runs that it goes on with."""
        return self._before + time.perf_counter() - self._begun

    def _put_in_order(self) -> None:
        order = sorted(range(len(self.rows)), key=self._order.__getitem__)
        if order != list(range(len(order))):
            self.rows[:] = [self.rows[index] for index in order]
            self._places = [self._places[index] for index in order]
            self._order.sort()

    def write_arrays(self, path: Path | None = None) -> Path:
        """Write the arrays of the rows as `finish` has put them in order, and return where.

        Parameters
        ----------
        path : Path, optional
            The file; if not given, it lies in the journal's folder until a report takes it.

        Raises
        ------
        JournalError
            If it cannot be written; none is left then.
        """
        if path is None:
            assert isinstance(self.journal, Journal)
            path = self.journal.folder.path / ARRAYS_NAME
        try:
            with ArraysFile(path, self._created) as file:
                for (model, name), (_, place) in self._entries.places.items():
                    file.put({dataset(kind, model, name): array for kind, array in self._arrays(place).items()})
                for index, place in enumerate(self._places):
                    found = self._arrays(place)
                    trace = self._trace_places.get(id(self.rows[index]))
                    if trace is not None:
                        found |= self._arrays(trace)
                    file.put({f"results/{index}/{name}": array for name, array in found.items()}, "lzf")
        except OSError as error:
            text = cannot_write(self._directory, error)
            raise JournalError(f"{text}. What is finished is kept there: the same run then makes the report") from error
        return path

    def _arrays(self, place: Place) -> dict[str, Any]:
        found = self.journal.arrays(self.journal.record(place))
        if found is None:
            raise JournalError(f"maps in {self._directory} were changed while they were in use; run again")
        return found

    def finish(
        self,
        environment: Mapping[str, str],
        seconds: float | None = None,
        *,
        planned: int,
        stopped: bool = False,
        reference_fault: str | None = None,
    ) -> dict[str, Any]:
        """Return the results document.

        Parameters
        ----------
        environment : mapping
            Versions of the reference side.
        seconds : float, optional
            How long the run took; if not given, since this was made.
        planned : int
            How many cases the run was to make: each has one row.
        stopped : bool
            Whether the run ended before its last case. Where rows are missing it did, whatever is said here.
        reference_fault : str, optional
            Why no reference could be asked.
        """
        self._put_in_order()
        methods = {row["method"] for row in self.rows}
        summary = summarize(
            self.rows,
            self._controls.to_json(),
            planned=planned,
            stopped=stopped,
            reference_fault=reference_fault,
        )
        if isinstance(self._journal, Reader):
            facts, took = self._earlier.run, self._before
        else:
            facts, took = facts_of_run(self._created, self._command, self._subject), self.seconds
        return {
            "schema": SCHEMA_VERSION,
            "created": self._created,
            "begun": self._last_begun,
            "command": facts["command"],
            "seconds": round(took if seconds is None else seconds, 2),
            "commit": facts["commit"],
            "interrupted": summary["stopped"],
            "arrays": ARRAYS_NAME,
            "environment": facts["environment"] | {"reference": dict(environment or self._environment)},
            "models": [model | {"rules": plain_rules(model["rules"])} for model in self._entries.models.values()],
            "inputs": self._entries.inputs,
            "methods": {name: method_facts(name) for name in sorted(methods)},
            "reference_methods": reference_methods(),
            "divergences": differences_named(self.rows),
            "summary": summary,
            "results": self.rows,
        }


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _key(row: Mapping[str, Any]) -> Key:
    return row["model"], row["input"], row["method"], row["dtype"]
