"""Where the commands write: consoles for stdout and stderr, and texts that users give, shown as they are."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from parity.errors import ParityError

LOG_WIDTH = 120
"""Columns where there is no terminal: a log has no width of its own."""

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""Settings that all commands share."""


# Control characters of both sets, with which a terminal is steered; signs that turn the direction of text or are not
# seen; halves of characters, which file names can hold and no encoding has.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class _SafeConsole(Console):
    """A console on which nothing that is printed steers the terminal; rich's own styling is added after this."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr as they are now; `NO_COLOR` and dumb terminals are honored by rich."""
    made = _SafeConsole(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made.width = LOG_WIDTH
    return made


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Write a text to stdout or stderr as `click.echo` does, with what would steer the terminal made visible."""
    click.echo(visible(text), err=err, nl=nl)


def show_traceback(error: BaseException) -> None:
    """With --debug, write to stderr where an error comes from: its traceback, and such as a worker's before."""
    context = click.get_current_context(silent=True)
    if context is None or not context.find_root().params.get("debug"):
        return
    if isinstance(error, ParityError) and error.detail:
        echo(error.detail, err=True)
    echo("".join(traceback.format_exception(error)), err=True)


def echo_json(text: str, *, nl: bool = True) -> None:
    """Write JSON to stdout; what would steer the terminal is spelled in JSON's own way: the data are the same."""
    # As bytes: JSON is UTF-8, whatever the terminal's encoding is.
    click.echo(_STEERING.sub(_json_sign, text).encode("utf-8"), nl=nl)


def echo_csv(lines: Iterable[str]) -> None:
    """Write CSV to stdout; its cells hold nothing that would steer the terminal (`parity.report.csv`)."""
    # As bytes: lines end as RFC 4180 says on every system, and other letters are UTF-8, whatever the terminal's are.
    for line in lines:
        click.echo(line.encode("utf-8"), nl=False)


def visible(text: str) -> str:
    """Return a text in which signs that steer a terminal are spelled by their codes; lines and tabs stay."""
    return _STEERING.sub(_sign, text)


def escaped(text: str) -> str:
    """Return a text in which rich sees no markup."""
    return escape(text)


def _sign(found: re.Match[str]) -> str:
    return found[0] if found[0] in "\n\t" else _code(found[0])


def _json_sign(found: re.Match[str]) -> str:
    return found[0] if found[0] in "\n\t\r" else f"\\u{ord(found[0]):04x}"


def _code(sign: str) -> str:
    return f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}"


def examples(*lines: str) -> str:
    """Return an epilog that shows command lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
