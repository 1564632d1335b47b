"""`parity methods`: what the method table has."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from parity.commands.completion import complete_method
from parity.commands.consoles import CONTEXT, echo_csv, examples


@click.command(
    context_settings=CONTEXT,
    short_help="List the methods.",
    epilog=examples(
        "parity methods",
        "parity methods 'lrp_*_ib'",
        "parity methods --json core | jq .formula",
        "parity methods --csv > methods.csv",
        "parity methods --plan 'lrp*_z'",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--csv", "as_csv", is_flag=True, help="Name, family, formula and citation, as CSV.")
@click.option("--plan", "as_plan", is_flag=True, help="The tree of what they share when explained together.")
@click.argument("patterns", nargs=-1, shell_complete=complete_method)
def methods(as_json: bool, as_csv: bool, as_plan: bool, patterns: Sequence[str]) -> None:
    """List the methods: all, or those that PATTERNS (names or globs) match."""
    if as_json + as_csv + as_plan > 1:
        raise click.UsageError("--json, --csv and --plan are three ways of writing; give one of them")
    from parity.run.cases import select_methods
    from parity.run.facts import method_facts
    from parity.run.subjects import plan

    if as_plan:
        click.echo(str(plan(select_methods(patterns or ["all"]))))
        return
    if as_csv:
        from parity.report.csv import csv_lines

        columns = ("name", "family", "formula", "citation")
        every = ({"name": name, **method_facts(name)} for name in select_methods(patterns or ["all"]))
        echo_csv(csv_lines(columns, ([facts[column] for column in columns] for facts in every)))
        return
    for name in select_methods(patterns or ["all"]):
        facts = method_facts(name)
        if as_json:
            click.echo(json.dumps({"name": name, **facts}, default=str))
        else:
            click.echo(f"{name:<48} {facts['family']:<22} {facts['formula']}")
