"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WIDE = 140
"""Columns from which on there is room for the bar itself."""
COUNTS = 54
"""Columns of the counts and times."""
INTERVAL = 1.0
"""Least seconds between two plain lines."""


class RunProgress:
    """Shows the current method, the cases done and, on a terminal, the time left.

    Cases are what a run is made of: a method comes again with every few inputs.

    Parameters
    ----------
    console : rich.console.Console
        Where to; a terminal gets a bar that vanishes at the end.
    cases : int
        How many cases.
    quiet : bool
        Whether nothing is shown.
    """

    def __init__(self, console: Console, cases: int, quiet: bool = False) -> None:
        self._console, self._cases, self._quiet = console, cases, quiet
        self._plain = not console.is_terminal
        self._begun = time.perf_counter()
        self._last = float("-inf")
        wide = console.width >= WIDE
        self._room = 44 if wide else max(console.width - COUNTS, 8)
        self._bar = Progress(
            TextColumn(f"{{task.description:<{self._room}}}", markup=False),
            *([BarColumn()] if wide else []),
            MofNCompleteColumn(),
            TextColumn("cases,"),
            TimeElapsedColumn(),
            TextColumn("passed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=quiet or self._plain,
        )
        self._task = self._bar.add_task("preparing"[: self._room], total=cases)

    def __enter__(self) -> RunProgress:
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._bar.disable:  # stopped, rich 13 ends even what was never shown with an empty line
            self._bar.stop()

    def __call__(self, method: str, done: int) -> None:
        """Tell that a method starts and how many cases are done."""
        name = method if len(method) <= self._room else f"{method[: self._room - 1]}…"
        self._bar.update(self._task, description=name, completed=done)
        now = time.perf_counter()
        if self._quiet or not self._plain or now - self._last < INTERVAL:
            return
        self._last = now
        self._console.print(
            f"[{done}/{self._cases} cases] {now - self._begun:.0f} s {method}",
            markup=False,
            soft_wrap=True,
        )
