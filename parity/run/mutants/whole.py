"""The whole table, from names to results: the references' client, the trials, and the matrix of names."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from parity.claimed import temporary
from parity.errors import ParityError
from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError
from parity.run.budget import share
from parity.run.cases import Plan
from parity.run.mutants.material import material
from parity.run.mutants.names import try_names
from parity.run.mutants.report import Whole
from parity.run.mutants.table import chosen
from parity.run.mutants.trial import try_all
from parity.run.torch_arithmetic import round_equal_windows_equally, torch_threads

NAMES_MODEL = "dense_mnist"
"""Where every method is tried in every other's place: the references are fastest there, and no convolution makes two
rules equal."""


def run(
    names: Sequence[str] = (),
    models: Sequence[str] = (),
    store: Path | None = None,
    jobs: int | None = None,
    timeout: float = 900.0,
    with_names: bool | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Whole:
    """Try mutants.

    Parameters
    ----------
    names : sequence of str
        The mutants; empty for the whole table, and subjects that repeat a wrong reference.
    models : sequence of str
        Only these models; empty for all.
    store : Path, optional
        Where reference results lie; None for the usual place.
    jobs : int, optional
        Reference processes at once; None for one per core.
    timeout : float
        Seconds per reference request.
    with_names : bool, optional
        Whether every method is tried in every other's place; None does so with the whole table.
    tell : callable
        Called with what is tried next.

    Raises
    ------
    ParityError
        If there is no such mutant or model, or no reference environment.
    """
    mutants = chosen(names, models)
    whole = not names and not models
    matrix_wanted = whole if with_names is None else with_names
    begun = time.perf_counter()
    round_equal_windows_equally()
    budget = share(0, jobs)
    with (
        warnings.catch_warnings(),
        torch_threads(budget.torch_threads),
        temporary("parity-mutants-") as claimed,
        ReferenceClient(
            store=store, timeout=timeout, threads=budget.reference_threads, jobs=budget.jobs, keep_both=budget.keep_both
        ) as client,
    ):
        warnings.simplefilter("ignore")  # spoilt networks make the port warn, which is right and says nothing here
        results = try_all(mutants, client, models, budget.jobs, with_echoes=not names, tell=tell)
        matrix = None
        if matrix_wanted:
            tell(f"{NAMES_MODEL}: every method in every other's place")
            source, inputs = material(NAMES_MODEL, claimed.path, 1)
            matrix = try_names(Plan(source, inputs, (), frozenset(), frozenset()), client, budget.jobs)
        if client.fault is not None:  # what failed of it says nothing of any mutant
            raise ReferenceEnvironmentError(client.fault)
    if not results.trials:
        raise ParityError("no mutant was tried")
    return Whole(results, matrix, time.perf_counter() - begun)
