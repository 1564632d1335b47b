"""`parity methods`: what the method table has."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from parity.commands.completion import complete_method
from parity.commands.consoles import CONTEXT, examples


@click.command(
    context_settings=CONTEXT,
    short_help="List the methods.",
    epilog=examples(
        "parity methods",
        "parity methods 'lrp_*_ib'",
        "parity methods --json core | jq .formula",
        "parity methods --plan 'lrp*_z'",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--plan", "as_plan", is_flag=True, help="The tree of what they share when explained together.")
@click.argument("patterns", nargs=-1, shell_complete=complete_method)
def methods(as_json: bool, as_plan: bool, patterns: Sequence[str]) -> None:
    """List the methods: all, or those that PATTERNS (names or globs) match."""
    from parity.run.cases import select_methods
    from parity.run.facts import method_facts
    from parity.run.subjects import plan

    if as_plan:
        click.echo(str(plan(select_methods(patterns or ["all"]))))
        return
    for name in select_methods(patterns or ["all"]):
        facts = method_facts(name)
        if as_json:
            click.echo(json.dumps({"name": name, **facts}, default=str))
        else:
            click.echo(f"{name:<48} {facts['family']:<22} {facts['formula']}")
