"""One run from names to a written report: plans, the reference client, the document."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from parity import keras
from parity.budget import share
from parity.cases import DTYPES, LARGE, LARGE_FLOAT64, Plan, select_inputs, select_methods
from parity.document import Document
from parity.errors import ParityError
from parity.inputs import default_inputs, load_inputs
from parity.models import ModelSource, list_models, resolve
from parity.records import model_record
from parity.reference.client import ReferenceClient
from parity.report import Written, write
from parity.rounding import round_equal_windows_equally, torch_threads
from parity.run import Runner
from parity.subjects import subject
from parity.verdict import is_ok

SAMPLES = 3  # inputs of a small model unless told otherwise


@dataclass
class Session:
    """A run; the fields are the options of `parity run`.

    After `run`, `interrupted` and `stopped` tell whether Ctrl-C or `fail_fast` ended it early, `failure` why a
    later model could not be begun (the earlier ones are in the report), and `store_problems` what the store of
    reference results could not do.

    Raises
    ------
    ParityError
        While it is made: an unknown model, method, input or subject, before anything is computed.
    """

    models: Sequence[str]
    methods: Sequence[str]
    files: Sequence[str] = ()
    input_names: Sequence[str] = ()
    samples: int | None = None
    target: int | None = None
    reference: str = "auto"
    subject: str = "signxai_torch"
    dtype: str = "both"
    directory: Path = Path("reports")
    previous: Path | None = None
    store: Path | None = None
    refresh: bool = False
    timeout: float = 900.0
    jobs: int | None = None
    memory_limit: float | None = None
    fail_fast: bool = False
    command: str = "parity run"
    interrupted: bool = False
    stopped: bool = False
    failure: ParityError | None = None
    store_problems: list[str] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._subject = subject(self.subject)
        self._parameters = 0  # of the largest model
        chosen = select_methods(self.methods)
        for name in self.models:
            sources = [one for one in list_models() if one.input_set and not one.architecture] if name == "all" else [
                resolve(name)]  # fmt: skip
            for source in sources:
                self._add(source, chosen)

        if not any(plan.large for plan in self.plans):
            round_equal_windows_equally()

    def _add(self, source: ModelSource, methods: tuple[str, ...]) -> None:
        """Plan a model, once; results know it by its name alone."""
        for plan in self.plans:
            if plan.source.name == source.name:
                if plan.source.path == source.path:
                    return
                raise ParityError(
                    f"two models are called {source.name}: {plan.source.path} and {source.path}; rename one"
                )
        self.plans.append(self._plan(source, methods))

    def _plan(self, source: ModelSource, methods: tuple[str, ...]) -> Plan:
        description = keras.load(source.path, architecture=source.architecture).description
        if self.target is not None and not 0 <= self.target < description.classes:
            raise ParityError(
                f"target {self.target} is out of range: {source.name} has {description.classes} classes, "
                f"0 to {description.classes - 1}"
            )
        self._parameters = max(self._parameters, description.parameters)
        large = description.parameters >= LARGE
        if self.files:
            available = load_inputs(self.files, description.input_shape, source.preprocessing)
        else:
            available = default_inputs(source)
        samples = self.samples or (1 if large else None if self.files else SAMPLES)
        inputs = select_inputs(available, self.input_names, samples)
        if self.dtype == "both":
            float64 = [name for name in methods if not large or name in LARGE_FLOAT64]
            lanes = {"float64": float64, "float32": list(methods)}
        else:
            lanes = {name: list(methods) if name == self.dtype else [] for name in DTYPES}
        return Plan(source, inputs, methods, frozenset(lanes["float64"]), frozenset(lanes["float32"]), large)

    @property
    def total(self) -> int:
        """Number of cases."""
        return sum(plan.count for plan in self.plans)

    @property
    def arrays_path(self) -> Path:
        """The arrays file of the run."""
        return self.directory / "parity-arrays.h5"

    def run(self, tell: Callable[[str, int], None] = lambda _method, _done: None) -> Written:
        """Run all cases and write the report; Ctrl-C keeps what is finished.

        Parameters
        ----------
        tell : callable
            Called with a method's name and the number of finished cases when the method starts.

        Raises
        ------
        ParityError
            If no case could be made, or the report cannot be written.
        KeyboardInterrupt
            If Ctrl-C came before the first case was finished.
        """
        begun = time.perf_counter()
        budget = share(self._parameters, self.jobs, self.memory_limit)
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
            ) as client,
            Document(self.directory, self.command, self._subject) as document,
        ):
            try:
                self._collect(client, document, budget.jobs, tell)
            except KeyboardInterrupt:
                client.close(grace=0.0)  # what was asked ahead is wanted by nobody any more
                if not document.rows:
                    raise
                self.interrupted = True
            except ParityError as error:
                if not document.rows:
                    raise
                self.failure = error
            if not document.rows:
                raise ParityError("nothing was compared")
            self.store_problems = [budget.note] if budget.note else []
            self.store_problems += list(dict.fromkeys(str(error) for error in client.store_errors)) + [
                f"damaged entry, computed again: {path}" for path in client.store.damaged
            ]
            early = self.interrupted or self.failure is not None
            results = document.finish(client.environment(), time.perf_counter() - begun, early)
        return write(results, document.arrays_path, self.directory, previous=self.previous)

    def _collect(
        self, client: ReferenceClient, document: Document, ahead: int, tell: Callable[[str, int], None]
    ) -> None:
        for plan in self.plans:
            try:
                runner = Runner(plan, client, self._subject, self.reference, self.target, ahead)
            except IndexError as error:
                raise ParityError(f"{plan.source.name}: {error}") from None
            document.add_model(model_record(runner.facts))  # its rules are filled as the cases run
            with closing(runner.run(lambda method: tell(method, len(document.rows)))) as outcomes:
                for outcome in outcomes:
                    document.add(outcome)
                    row = outcome.row
                    stop = not is_ok(row["status"], row["divergence"]) and row["status"] != "unsupported"
                    if self.fail_fast and stop:
                        self.stopped = True
                        return
