"""The page of the command line, from what the commands say of themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click

from parity.commands.cli import main


def page() -> str:
    """Return the Markdown of every command's help."""
    parts = [
        "# Command line\n",
        "What `parity COMMAND --help` prints. Every command ends with 2 where the command or the environment is at "
        "fault, and says what to do.\n",
    ]
    for path, command in _commands(main, ("parity",)):
        name = " ".join(path)
        context = click.Context(command, info_name=name, max_content_width=96, terminal_width=96)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, part in sorted(command.commands.items()):
            yield from _commands(part, (*path, name))
