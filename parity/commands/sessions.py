"""What the command line does with a run once it is planned: run it, write its report, tell how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from parity.commands.consoles import escaped
from parity.commands.progress import RunProgress
from parity.commands.signals import StopSignals
from parity.errors import ParityError

if TYPE_CHECKING:
    from parity.report import Written
    from parity.run.session import Session


def run_session(
    session: Session, errors: Console, quiet: bool, stops: StopSignals, earlier: Mapping[str, Any] | None = None
) -> Written:
    """Run a session under a progress bar and write its report, compared with an earlier run if there is one."""
    from parity.report import write

    written: list[Written] = []

    def report(results: dict[str, Any], arrays: Path) -> None:
        written.append(write(results, arrays, session.directory, previous=earlier, move_arrays=True))

    with RunProgress(errors, session.total, quiet) as progress:
        session.run(progress, report, stops.hold)
    return written[0]


def show(out: Console, written: Written, quiet: bool) -> None:
    """Print the outcome of a run and where its report lies."""
    if quiet:
        from parity.report.headline import stopped_phrase

        summary = written.document["summary"]
        stopped = f" ({stopped_phrase(summary)})" if summary["stopped"] else ""
        out.print("green" if summary["green"] else f"NOT green{stopped}")
        return
    from parity.report import show_results

    show_results(out, written.document)
    out.print(f"report: {written.html}", markup=False, soft_wrap=True)


def close(errors: Console, session: Session, written: Written, stops: StopSignals) -> int:
    """Tell what went wrong besides the cases; return the exit code."""
    if session.taken_over:
        errors.print(
            f"taken over from an earlier run that did not end: {session.taken_over} of {session.total} cases",
            soft_wrap=True,
        )
    for problem in session.store_problems:
        errors.print(f"[yellow]note:[/] {escaped(problem)}", soft_wrap=True)
    if session.stopped:
        errors.print("stopped at the first case that is not green (--fail-fast)")
    if session.interrupted:
        errors.print("interrupted: the finished cases are in the report; run again to go on where this stopped")
        return stops.exit_code
    if (failure := session.failure) is not None:
        raise ParityError(f"{failure}\nWhat was compared is in the report.", failure.detail) from failure
    if fault := written.document["summary"]["reference_fault"]:
        errors.print(f"[yellow]note:[/] no reference could be asked: {escaped(str(fault))}", soft_wrap=True)
    if stops.received is not None:  # it came when there was nothing left to stop
        return stops.exit_code
    return 0 if written.document["summary"]["green"] else 1
