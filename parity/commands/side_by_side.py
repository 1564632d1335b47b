"""`parity run` with several `--subject`: a report of each in a folder of its own, and a page that compares them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from parity.commands.consoles import escaped, show_traceback
from parity.commands.outputs import refuse_one_file_twice, refuse_overwriting
from parity.commands.sessions import close, run_session, show
from parity.commands.signals import StopSignals
from parity.errors import ParityError

if TYPE_CHECKING:
    from parity.report.subjects import Judged
    from parity.run.session import Session

PAGE, MARKDOWN = "subjects.html", "subjects.md"


def run_side_by_side(
    specs: Sequence[str],
    directory: Path,
    make: Callable[..., Session],
    errors: Console,
    out: Console,
    quiet: bool,
    stops: StopSignals,
) -> int:
    """Run every subject on the same cases and write the comparison; return the exit code, which is the worst one's.

    All are planned before the first one starts. What is wrong with one subject's run costs no other's, and after
    Ctrl-C the comparison has those that were begun.

    Raises
    ------
    ParityError
        If a subject cannot be had, two have one name, or a file would be overwritten that is read.
    """
    from parity.report import report_files

    sessions: dict[str, Session] = {}
    for spec in dict.fromkeys(specs):
        session = make(subject=spec)
        name = session.subject_name
        if name in sessions:
            raise ParityError(f"two subjects are called {name}: {sessions[name].subject} and {spec}; rename one")
        session.directory = directory / folder_of(name)
        sessions[name] = session
    pages = [directory / PAGE, directory / MARKDOWN]
    for session in sessions.values():
        pages += [*report_files(session.directory), session.arrays_path]
    refuse_one_file_twice(pages)
    for session in sessions.values():
        refuse_overwriting(pages, session.files_read())
    code = 0
    finished: list[Judged] = []
    try:
        for name, session in sessions.items():
            out.print(f"[bold]{escaped(name)}[/]", soft_wrap=True)
            try:
                written = run_session(session, errors, quiet, stops)
                finished.append(_judged(written.document, session.directory, directory))
                show(out, written, quiet)
                code = max(code, close(errors, session, written, stops))
            except Exception as error:  # costs no other subject's run
                show_traceback(error)
                text = str(error) if isinstance(error, ParityError) else f"{type(error).__name__}: {error}"
                errors.print(f"{escaped(name)}: {escaped(text)}", soft_wrap=True)
                code = max(code, 2)
            if session.interrupted or stops.received is not None:
                break
            stops.resume()
    finally:
        stops.hold()
        if finished:
            page = write(directory, finished)
            out.print(f"side by side: {page}", markup=False, soft_wrap=True)
    return code


def write(directory: Path, subjects: Sequence[Judged]) -> Path:
    """Write the comparison as a page and in Markdown, and return the page."""
    from parity.report import subjects as comparison
    from parity.run.results import write_together

    write_together({directory / PAGE: comparison.page(subjects), directory / MARKDOWN: comparison.text(subjects)})
    return directory / PAGE


def folder_of(name: str) -> str:
    """Return the name of a subject's folder."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-") or "subject"


def _judged(document: Mapping[str, Any], folder: Path, directory: Path) -> Judged:
    from parity.report.subjects import judged

    return judged([document], [f"{folder.relative_to(directory).as_posix()}/parity.html"])
