"""Where the commands write: consoles for stdout and stderr, and texts that users give, shown as they are."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

LOG_WIDTH = 120
"""Columns where there is no terminal: a log has no width of its own."""

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""Settings that all commands share."""


def console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr as they are now; `NO_COLOR` and dumb terminals are honored by rich."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = LOG_WIDTH
    return made


def escaped(text: str) -> str:
    """Return a text in which rich sees no markup."""
    return escape(text)


def examples(*lines: str) -> str:
    """Return an epilog that shows command lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
