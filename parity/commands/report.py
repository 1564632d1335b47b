"""`parity report`: a results file to the report again."""

from __future__ import annotations

from pathlib import Path

import click

from parity.commands.consoles import CONTEXT, examples


@click.command(
    context_settings=CONTEXT,
    epilog=examples(
        "parity report reports/parity.json",
        "parity report new/parity.json --previous old/parity.json --out compared",
    ),
)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder. [where the results lie]")
@click.option("--previous", type=click.Path(path_type=Path), help="Earlier parity.json to compare with.")
def report(results: Path, out: Path | None, previous: Path | None) -> None:
    """Render RESULTS (parity.json) again."""
    from parity.report import load, write

    document = load(results)
    arrays = results.parent / document["arrays"] if document.get("arrays") else None
    written = write(document, arrays if arrays and arrays.exists() else None, out or results.parent, previous=previous)
    click.echo(f"report: {written.html}")
