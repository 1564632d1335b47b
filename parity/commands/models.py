"""`parity models`: what can be explained."""

from __future__ import annotations

import json

import click

from parity.commands.consoles import CONTEXT, echo, examples


@click.command(
    context_settings=CONTEXT, short_help="List the models.", epilog=examples("parity models", "parity models --json")
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def models(as_json: bool) -> None:
    """List the models, and how to get those that are absent."""
    from parity.assets.models import list_models

    for source in list_models():
        if as_json:
            facts = {
                "name": source.name,
                "present": source.present,
                "on_demand": source.on_demand,
                "sha256": source.sha256 or None,
                "description": source.description,
            }
            click.echo(json.dumps(facts))
        else:
            mark = "" if source.present else "(made on demand) " if source.on_demand else "(absent) "
            echo(f"{source.name:<16} {mark}{source.description.removeprefix('absent: ')}")
