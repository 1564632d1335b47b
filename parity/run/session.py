"""One run from names to its results: plans, the reference client, the document."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.assets.inputs import expand
from parity.assets.models import list_models, resolve
from parity.assets.source import InputShapes, ModelSource
from parity.errors import ParityError
from parity.hashing import file_sha256
from parity.judge.verdict import is_ok
from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError
from parity.reference.store import store_location
from parity.run.arrays_file import ARRAYS_NAME
from parity.run.budget import require_room, share
from parity.run.cases import Options, Series, select_methods
from parity.run.cluster_access import NOBODY_SAID, Access
from parity.run.desk import Desk
from parity.run.document import Document
from parity.run.journal import JournalError
from parity.run.planning import cases_of, order_of, series_of
from parity.run.records import ModelRecord, input_records
from parity.run.runner import Runner, in_order
from parity.run.sameness import decides
from parity.run.subjects import subject
from parity.run.torch_arithmetic import round_equal_windows_equally, torch_threads
from parity.run.trace.table import Trace
from parity.run.trace.tracing import NoTraceError, trace
from parity.run.unfinished import Run

if TYPE_CHECKING:
    from parity.run.cluster import Cluster


@dataclass
class Session:
    """A run; the fields are the options of `parity run`, and `client_options`, further ones of `ReferenceClient`.

    `traces_of_failing` is how many failing methods of each model are followed layer by layer; not on a cluster.

    What a run into the same folder has finished that did not end is taken over, unless `anew` is set: see
    `parity.run.unfinished`.

    After `run`, `interrupted` and `stopped` tell whether Ctrl-C or `fail_fast` ended it early, `failure` why a
    model or an input could not be had or what is wrong with the reference environment (the report has what was
    compared nevertheless), `store_problems` what the store of reference results could not do, and `taken_over` how
    many cases an earlier run had finished.

    Raises
    ------
    ParityError
        While it is made: an unknown model, method, input or subject, before anything is computed.
    """

    models: Sequence[str]
    methods: Sequence[str]
    files: Sequence[str] = ()
    config: Path | None = None
    output: str | None = None
    input_shape: InputShapes = ()
    input_names: Sequence[str] = ()
    samples: int | None = None
    target: int | None = None
    reference: str = "auto"
    subject: str = "signxai_torch"
    dtype: str = "both"
    directory: Path = Path("reports")
    store: Path | None = None
    refresh: bool = False
    timeout: float = 900.0
    jobs: int | None = None
    memory_limit: float | None = None
    cluster: str | None = None
    access: Access = NOBODY_SAID
    client_options: Mapping[str, Any] = field(default_factory=dict)
    fail_fast: bool = False
    anew: bool = False
    traces_of_failing: int = 3
    command: str = "parity run"
    interrupted: bool = False
    stopped: bool = False
    failure: ParityError | None = None
    taken_over: int = 0
    store_problems: list[str] = field(default_factory=list)
    plans: list[Series] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._subject = subject(self.subject)
        self._parameters = 0  # of the largest model
        self._environment: dict[str, str] = {}
        self._reference_fault: str | None = None
        self._cut = False
        chosen = select_methods(self.methods)
        for name in self.models:
            sources = [one for one in list_models() if one.input_set and not one.architecture] if name == "all" else [
                resolve(name, self.config, self.output, self.input_shape)]  # fmt: skip
            for source in sources:
                self._add(source, chosen)

        if self.cluster is None:
            require_room(self._parameters, self.memory_limit)
        if not any(plan.outline.large for plan in self.plans):
            round_equal_windows_equally()

    def _add(self, source: ModelSource, methods: tuple[str, ...]) -> None:
        """Plan a model, once; results know it by its name alone."""
        for plan in self.plans:
            other = plan.outline.source
            if other.name == source.name:
                if other.path == source.path:
                    return
                raise ParityError(f"two models are called {source.name}: {other.path} and {source.path}; rename one")
        options = Options(self.target, self.reference, self._subject.spec, self.store)
        plan = series_of(source, methods, options, dtype=self.dtype, files=self.files,
                         names=self.input_names, samples=self.samples)  # fmt: skip
        self._parameters = max(self._parameters, plan.description.parameters)
        self.plans.append(plan)

    @property
    def subject_name(self) -> str:
        """What reports call the implementation under test."""
        return self._subject.name

    @property
    def total(self) -> int:
        """Number of cases."""
        return sum(plan.count for plan in self.plans)

    def files_read(self) -> list[Path]:
        """Return the files of models and inputs, which nothing may be written over."""
        inputs = expand(self.files) if self.files else []
        return [*(plan.outline.source.path for plan in self.plans), *inputs]

    @property
    def arrays_path(self) -> Path:
        """The arrays file of the run."""
        return self.directory / ARRAYS_NAME

    def run(
        self,
        tell: Callable[[str, int], None] = lambda _method, _done: None,
        report: Callable[[dict[str, Any], Path], object] | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Run all cases and return the results document. However it ends, what is finished stays in `directory`.

        Parameters
        ----------
        tell : callable
            Called with a method's name and the number of finished cases when the method starts.
        report : callable, optional
            Called with the results document and the arrays file, which it moves to `arrays_path`; when it returns, a
            whole run leaves nothing else behind. If not given, the arrays file is moved there and that is all.
        settle : callable
            Called when the last case is finished, before anything is written for good.

        Raises
        ------
        ParityError
            If no case could be made, or the folder cannot be written.
        KeyboardInterrupt
            If Ctrl-C came before the first case was finished.
        """
        with Document(self.directory, self.command, self._subject) as document:
            try:
                if self.cluster is None:
                    self._run_here(document, tell)
                else:
                    self._run_there(self.cluster, document, tell)
            except KeyboardInterrupt:
                if document.is_empty:
                    raise
                self.interrupted = True
            except JournalError:
                raise
            except Exception as error:
                if document.is_empty:
                    raise
                self._cut_short(error)
            settle()
            if self._cut or self.interrupted:
                self._take_rest(document)
            if not document.rows:
                raise self.failure or ParityError("nothing was compared")
            self.store_problems = list(dict.fromkeys(self.store_problems))
            self.taken_over = document.taken_over
            results: dict[str, Any] = document.finish(
                self._environment,
                planned=self.total,
                stopped=self._cut or self.interrupted or (self.stopped and len(document.rows) < self.total),
                reference_fault=self._reference_fault,
            )
            arrays = document.write_arrays()
            if report is None:
                arrays.replace(self.arrays_path)
            else:
                report(results, arrays)
            document.complete = not results["summary"]["stopped"]
        return results

    def _cut_short(self, error: Exception, where: str = "") -> None:
        """Take note that cases were not run, and why."""
        self._cut = True
        self._failed(error, where)

    def _failed(self, error: Exception, where: str = "") -> None:
        """Take note of what went wrong besides the cases: the first of it is told first."""
        text = str(error) if isinstance(error, ParityError) else f"unexpected error: {type(error).__name__}: {error}"
        text = f"{where}: {text}" if where else text
        detail = (error.detail if isinstance(error, ParityError) else "") or "".join(traceback.format_exception(error))
        if self.failure is not None:
            self.failure = ParityError(f"{self.failure}\n{text}", f"{self.failure.detail}\n{detail}")
        elif isinstance(error, ParityError) and not where:
            self.failure = error
        else:
            self.failure = ParityError(text, detail)

    def _take_rest(self, document: Document) -> None:
        """Take over what this run has not come to: it is finished all the same."""
        for number, series in enumerate(self.plans):
            document.take_rest(series, order_of(number, series, self.reference))

    def _begin(self, document: Document, reference: Mapping[str, str] | None) -> None:
        """Begin the journal, or go on with an earlier one, now that the reference's versions are known."""
        options = {
            "target": self.target,
            "reference": self.reference,
            "store": str(store_location(self.store)),
            "refresh": self.refresh,
            "offline": bool(self.client_options.get("offline")),
            "packs": [file_sha256(path) for path in self.client_options.get("packs", ())],
            "mkl": os.environ.get("MKL_CBWR"),  # as `round_equal_windows_equally` or the user has set it
            "cluster": self.cluster is not None,
        }
        asked = {"subject": self._subject.spec, "reference": self.reference, "target": self.target}
        decided = decides(self._subject, reference, options)
        document.begin(Run(decided, cases_of(self.plans), self.total, self.anew, asked))

    def _run_here(self, document: Document, tell: Callable[[str, int], None]) -> None:
        with self.client() as (client, jobs):
            try:
                reference: dict[str, str] | None = client.environment()
            except ReferenceEnvironmentError:  # it is told where an answer fails of it
                reference = None
            self._begin(document, reference)
            try:
                self._collect(client, document, jobs, tell)
            finally:
                self.store_problems += [str(error) for error in client.store_errors]
                self.store_problems += [f"damaged entry, computed again: {path}" for path in client.store.damaged]
                if document.rows:
                    self._environment = client.environment()
                # `unable`: there is no reference environment, though the store may have had every answer.
                self._reference_fault = client.fault or client.unable
                if client.fault is not None:
                    self._broken(client.fault)

    @contextmanager
    def client(self) -> Iterator[tuple[ReferenceClient, int]]:
        """Give out a client of the references, and how many requests it works on at once, as this machine allows."""
        budget = share(self._parameters, self.jobs, self.memory_limit)
        if budget.note is not None:
            self.store_problems.append(budget.note)
        with (
            torch_threads(budget.torch_threads),
            ReferenceClient(
                store=self.store,
                timeout=self.timeout,
                refresh=self.refresh,
                threads=budget.reference_threads,
                memory_limit=budget.memory_limit,
                jobs=budget.jobs,
                keep_both=budget.keep_both,
                **self.client_options,
            ) as client,
        ):
            yield client, budget.jobs

    def _broken(self, fault: str) -> None:
        """Take note that the environment is at fault for rows of this run: they say nothing of the subject."""
        self.failure, self._reference_fault = ReferenceEnvironmentError(fault), fault

    def _run_there(self, address: str, document: Document, tell: Callable[[str, int], None]) -> None:
        from parity.run.cluster import Cluster

        if self.jobs is not None or self.memory_limit is not None:
            raise ParityError("--jobs and --memory-limit are for this machine; with --cluster its workers have the say")
        with Cluster(address, self.access) as cluster:
            self._begin(document, cluster.versions(self._client_of_workers()))
            self._collect_from(cluster, document, tell)

    def _collect(
        self, client: ReferenceClient, document: Document, ahead: int, tell: Callable[[str, int], None]
    ) -> None:
        """Run all cases here; what goes wrong with a model costs its own cases."""
        for number, series in enumerate(self.plans):
            make = partial(Runner, client=client, subject=self._subject, reference=self.reference, target=self.target)
            desk = Desk(
                partial(make, ahead=ahead), document, order_of(number, series, self.reference), self._stops, tell
            )
            desk.traces = self.traces_of_failing
            try:
                for plan in series.plans():
                    desk.collect(plan)
                    document.sync(client.environment())
                    if self.stopped:
                        return
            except (JournalError, ReferenceEnvironmentError):
                raise
            except Exception as problem:
                if len(self.plans) == 1:
                    raise
                self._cut_short(problem, series.outline.source.name)
            finally:
                for where, error in desk.failures:
                    self._failed(error, where)

    def _client_of_workers(self) -> dict[str, Any]:
        """Return the arguments with which each worker of a cluster makes its `ReferenceClient`."""
        return {"store": self.store, "timeout": self.timeout, "refresh": self.refresh, **self.client_options}

    def _collect_from(self, cluster: Cluster, document: Document, tell: Callable[[str, int], None]) -> None:
        """Run all cases on a cluster, and take them in as they come."""
        from parity.run.cluster import Task

        options = self._client_of_workers()
        places = {
            one.outline.source.name: order_of(number, one, self.reference) for number, one in enumerate(self.plans)
        }

        def tasks() -> Iterator[Task]:
            for series in self.plans:
                order = places[series.outline.source.name]
                for plan in series.plans():
                    finished = document.take_over(plan, order)
                    for method, _ in in_order(plan.methods, series.description, self.reference):
                        one = replace(plan, methods=(method.name,))
                        here = {case for case in finished if case[0] == method.name}
                        if len(here) == one.count:
                            continue
                        partly[plan.source.name, plan.inputs[0].name, method.name] = here
                        yield Task(one, self._parameters, self._subject.spec, self.reference, self.target, options)

        known: set[tuple[str, str]] = set()
        partly: dict[tuple[str, str, str], set[tuple[str, str, str]]] = {}
        with closing(cluster.replies(tasks())) as replies:
            for task, reply in replies:
                plan = task.plan
                tell(plan.methods[0], len(document.rows))
                if reply.model is not None:
                    chunk = plan.source.name, plan.inputs[0].name
                    more = ([], {}) if chunk in known else input_records(plan)
                    known.add(chunk)
                    document.add_model(ModelRecord(reply.model, *more))
                self._environment |= reply.environment
                self.store_problems += reply.problems
                self._reference_fault = reply.unable or self._reference_fault
                if reply.fault is not None:
                    self._broken(reply.fault)
                finished = partly.pop((plan.source.name, plan.inputs[0].name, plan.methods[0]), set())
                for outcome in reply.outcomes:
                    row = outcome.row
                    if (row["method"], row["dtype"], row["input"]) in finished:
                        continue
                    document.add(outcome, places[plan.source.name](row))
                    if self._stops(row):
                        return
                document.sync(self._environment)

    def traces(self) -> Iterator[Trace | NoTraceError]:
        """Yield the trace of every case, or why it has none, instead of running it."""
        with self.client() as (client, _):
            for series in self.plans:
                runner: Runner | None = None
                for plan in series.plans():
                    if runner is None:
                        runner = Runner(plan, client, self._subject, self.reference, self.target)
                    else:
                        runner = runner.next(plan)
                    for method in plan.methods:
                        for dtype in plan.dtypes(method):
                            for index in range(len(plan.inputs)):
                                try:
                                    yield trace(runner, method, dtype, index)
                                except NoTraceError as error:
                                    yield error

    def _stops(self, row: Mapping[str, Any]) -> bool:
        bad = not is_ok(row["status"], row["divergence"]) and row["status"] not in ("unjudged", "unsupported")
        self.stopped |= self.fail_fast and bad
        return self.stopped
