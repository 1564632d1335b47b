"""Results to files: `parity.json`, `parity.html`, `summary.md` and `junit.xml`, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.report.compared import compare_runs, remember
from parity.report.console import show_results
from parity.report.csv import csv_parts
from parity.report.headline import headline_sentences
from parity.report.html import render
from parity.report.junit import junit_parts
from parity.report.summary import summary_markdown
from parity.run.arrays_file import ARRAYS_NAME
from parity.run.journal import cannot_write
from parity.run.results import (
    JSON_NAME,
    ReportError,
    encode,
    load,
    validate,
    write_together,
)
from parity.run.totals import summarize

__all__ = [
    "ReportError",
    "Written",
    "csv_parts",
    "headline_sentences",
    "load",
    "remember",
    "render",
    "report_files",
    "show_results",
    "summarize",
    "validate",
    "write",
]


@dataclass(frozen=True)
class Written:
    """Where the files of a report lie, and the document as written (with `compared`, if there was a run before)."""

    json: Path
    html: Path
    summary: Path
    junit: Path
    document: Mapping[str, Any]


def write(
    results: Mapping[str, Any],
    arrays_path: Path | None,
    directory: Path,
    *,
    previous: Path | Mapping[str, Any] | None = None,
    move_arrays: bool = False,
) -> Written:
    """Write a run's report: all of it, or none, and then what lay there before stays.

    Parameters
    ----------
    results : mapping
        The results document (schema 1). It is checked before anything is written.
    arrays_path : Path or None
        The arrays file. `results["arrays"]`, its name, is kept as given.
    directory : Path
        Where the files go; made if it does not exist.
    previous : Path or mapping, optional
        An earlier results document, what `remember` kept of it, or its path, to compare with. If not given, a
        `parity.json` that lies in `directory` is taken, unless it is of this very run or cannot be read.
    move_arrays : bool
        Whether the arrays file takes its place in `directory` together with the others.

    Raises
    ------
    ReportError
        If the document is not valid, `previous` was given and cannot be read, the arrays file is damaged, or the
        folder cannot be written.
    """
    document = dict(results)
    earlier = _earlier(previous, directory / JSON_NAME)
    if earlier is not None and earlier["created"] != document.get("created"):
        document["compared"] = compare_runs(earlier, document)
    validate(document)
    written = Written(*report_files(directory), document=document)
    page = render(document, arrays_path)
    texts = {
        written.json: encode(document),
        written.html: [page],
        written.summary: [summary_markdown(document)],
        written.junit: junit_parts(document),
    }
    try:
        write_together(texts, {directory / ARRAYS_NAME: arrays_path} if move_arrays and arrays_path else None)
    except OSError as error:
        raise ReportError(cannot_write(directory, error)) from error
    return written


def report_files(directory: Path) -> tuple[Path, Path, Path, Path]:
    """Return where JSON, page, summary and JUnit file lie in a report's folder."""
    return directory / JSON_NAME, directory / "parity.html", directory / "summary.md", directory / "junit.xml"


def _earlier(previous: Path | Mapping[str, Any] | None, last: Path) -> Mapping[str, Any] | None:
    """Return the run to compare with: the given one, else the last one into this folder, if it can be read."""
    if isinstance(previous, Mapping):
        return previous
    if previous is not None:
        return load(previous)
    if not last.exists():
        return None
    try:
        return load(last)
    except ReportError:
        # What happens to lie there may be of an older version; nobody asked to compare with it.
        return None
