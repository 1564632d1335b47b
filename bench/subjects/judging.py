"""One port through the harness: on the shipped models together, and on each real model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.real.fetch import Cache
from bench.real.judging import inputs, whole
from bench.real.models import MODELS
from parity.report import Written, load, write
from parity.report.subjects import Judged, judged
from parity.run.results import JSON_NAME
from parity.run.session import Session

TRACES = 1000
"""As many failing methods of a model as there are: each says where it parts."""


def judge(
    name: str,
    shipped: Sequence[str],
    real: Sequence[str],
    methods: Sequence[str],
    directory: Path,
    cache: Cache,
    options: Mapping[str, Any],
) -> Judged:
    """Run a port on all models, write a report of each run, and return what became of it.

    Parameters
    ----------
    name : str
        Of the subject.
    shipped, real : sequence of str
        The models.
    methods : sequence of str
        Names or globs.
    directory : pathlib.Path
        The folder of all reports.
    cache : Cache
        Where the packages of real models lie.
    options : mapping
        Further fields of `parity.run.session.Session`.

    Raises
    ------
    ParityError
        If it cannot be had, or nothing of it could be compared.
    """
    documents, links = [], []
    for folder, where in _runs(shipped, real, cache):
        place = directory / name / folder
        session = Session(
            methods=methods, subject=name, directory=place, traces_of_failing=TRACES,
            command=f"python -m bench.subjects --subject {name}", **where, **options,
        )  # fmt: skip
        documents.append(_document(session))
        links.append(f"{name}/{folder}/parity.html")
    return judged(documents, links)


def _document(session: Session) -> Mapping[str, Any]:
    """Run a session, write its report, and return its results; a run that did not come to its end is none."""
    written: list[Written] = []

    def report(results: dict[str, Any], arrays: Path) -> None:
        written.append(write(results, arrays, session.directory, move_arrays=True))

    session.run(report=report)
    if session.interrupted:
        raise KeyboardInterrupt
    if session.failure is not None:
        raise session.failure
    return written[0].document


def earlier(name: str, shipped: Sequence[str], real: Sequence[str], directory: Path) -> Judged:
    """Return what earlier runs of a port came to, from their reports.

    Raises
    ------
    ParityError
        If one is missing or damaged.
    """
    folders = [*(["shipped"] if shipped else []), *real]
    documents = [load(directory / name / folder / JSON_NAME) for folder in folders]
    return judged(documents, [f"{name}/{folder}/parity.html" for folder in folders])


def _runs(shipped: Sequence[str], real: Sequence[str], cache: Cache) -> Iterator[tuple[str, dict[str, Any]]]:
    if shipped:
        yield "shipped", {"models": shipped}
    for name in real:
        path = whole(cache, MODELS[name])
        yield name, {"models": [str(path)], "files": [str(file) for file in inputs(cache, MODELS[name], path)]}
