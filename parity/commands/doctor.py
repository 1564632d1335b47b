"""`parity doctor`: what is there, what is broken, and the command that mends it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from parity.commands.consoles import CONTEXT, console, escaped, examples
from parity.run.doctor import Check, examine

STYLES = {"ok": ("✓", "green"), "failed": ("✗", "red"), "absent": ("–", "yellow")}


@click.command(
    context_settings=CONTEXT,
    short_help="Find a missing or broken environment.",
    epilog=examples("parity doctor", "parity doctor --quick", "parity doctor --json | jq '.checks[].status'"),
)
@click.option("--store", type=click.Path(path_type=Path), help="Where reference results lie. [$PARITY_STORE]")
@click.option("--quick", is_flag=True, help="Do not start TensorFlow.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(store: Path | None, quick: bool, as_json: bool) -> None:
    """Find a missing or broken environment; exit 0 if all is well, 2 if something failed.

    What is merely absent (weights that need a download) does not count as failed.
    """
    out = console()
    found = []
    for check in examine(store, quick):
        found.append(check)
        if not as_json:
            _show(out, check)
    failed = sum(check.status == "failed" for check in found)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "checks": [check.to_json() for check in found]}, indent=1))
    elif failed:
        out.print(f"[bold red]{failed} of {len(found)} checks failed[/]; run `parity doctor` again when mended")
    else:
        out.print("[bold green]all is well[/]")
    sys.exit(2 if failed else 0)


def _show(out: Console, check: Check) -> None:
    mark, color = STYLES[check.status]
    text = f"[{color}]{mark} {check.status:<7}[/] {escaped(f'{check.name:<22}')} {escaped(check.detail)}"
    out.print(text, soft_wrap=True)
    if check.mend:
        out.print(f"          mend: [bold]{escaped(check.mend)}[/]", soft_wrap=True)
