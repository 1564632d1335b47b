"""`parity report`: a results file to the report again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from parity.commands.consoles import CONTEXT, echo, examples


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
    """Render RESULTS (parity.json) again; counts and verdicts are taken from the numbers of its rows.

    Exit 0 if all are at parity, 1 if some are not, the run had stopped early, or nothing was compared, 2 if a file
    cannot be read.
    """
    from parity.report import headline_sentences, load, write
    from parity.report.rows import group
    from parity.run.recheck import recheck

    document = recheck(load(results))
    arrays = results.parent / document["arrays"] if document.get("arrays") else None
    written = write(document, arrays if arrays and arrays.exists() else None, out or results.parent, previous=previous)
    for sentence in headline_sentences(document, group(document["results"])):
        echo(sentence)
    echo(f"report: {written.html}")
    sys.exit(0 if document["summary"]["green"] else 1)
