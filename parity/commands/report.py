"""`parity report`: a results file to the report again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parity.commands.consoles import CONTEXT, echo, echo_csv, examples
from parity.commands.outputs import refuse_one_file_twice, refuse_overwriting, require_folder, write_whole
from parity.commands.signals import StopSignals
from parity.errors import ParityError

if TYPE_CHECKING:
    from parity.report import Written


@click.command(
    context_settings=CONTEXT,
    short_help="Make the report of a finished or stopped run again.",
    epilog=examples(
        "parity report reports/parity.json",
        "parity report reports                            # also of a run that was killed",
        "parity report new/parity.json --previous old/parity.json --out compared",
        "parity report reports --csv cases.csv            # a line per case, for a spreadsheet or pandas",
    ),
)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder. [where the results lie]")
@click.option("--previous", type=click.Path(path_type=Path), help="Earlier parity.json to compare with.")
@click.option(
    "--csv", "csv_to", metavar="PATH", help="Also write a line per case here; '-' is stdout, and nothing else."
)
def report(results: Path, out: Path | None, previous: Path | None, csv_to: str | None) -> None:
    """Render RESULTS again: a parity.json, or a folder with the report of a run or what a run has finished so far.

    Counts and verdicts are taken from the numbers of the rows. Exit 0 if all are at parity, 1 if some are not, the run
    had stopped early, or nothing was compared, 2 if a file cannot be read.
    """
    csv_copy = Path(csv_to) if csv_to and csv_to != "-" else None
    if csv_copy is not None:
        require_folder(csv_copy)
    from parity.report import csv_parts, headline_sentences, load, report_files
    from parity.report.rows import group
    from parity.run.arrays_file import ARRAYS_NAME
    from parity.run.journal import PREFIX
    from parity.run.results import JSON_NAME
    from parity.run.unfinished import last_unfinished

    if csv_copy is not None:
        folder = out or (results if results.is_dir() else results.parent)
        refuse_one_file_twice([*report_files(folder), folder / ARRAYS_NAME, csv_copy])
        refuse_overwriting([csv_copy], [path for path in (results, previous) if path is not None and path.is_file()])
    found = last_unfinished(results) if results.is_dir() else None
    if found is not None or results.name.startswith(PREFIX):
        journal = results if found is None else found[0]
        written = _of_journal(journal, out or journal.parent, previous)
    else:
        path = results / JSON_NAME if results.is_dir() else results
        written = _of_json(load(path), path.parent, out or path.parent, previous)
    document = written.document
    for sentence in headline_sentences(document, group(document["results"])):
        echo(sentence, err=csv_to == "-")
    echo(f"report: {written.html}", err=csv_to == "-")
    if csv_to == "-":
        echo_csv(csv_parts(document))
    elif csv_copy is not None:
        write_whole(csv_copy, (line.encode() for line in csv_parts(document)))
    sys.exit(0 if document["summary"]["green"] else 1)


def _of_json(document: dict[str, Any], lies_in: Path, out: Path, previous: Path | None) -> Written:
    from parity.report import write
    from parity.run.recheck import recheck

    document = recheck(document)
    arrays = lies_in / document["arrays"] if document.get("arrays") else None
    return write(document, arrays if arrays and arrays.exists() else None, out, previous=previous)


def _of_journal(journal: Path, out: Path, previous: Path | None) -> Written:
    """Write the report of a run that did not end, or is under way, which may go on with its journal."""
    from parity.claimed import ClaimedFolder, sweep
    from parity.report import write
    from parity.run.arrays_file import ARRAYS_NAME
    from parity.run.recheck import recheck
    from parity.run.results import STAGING
    from parity.run.salvage import salvaged

    with salvaged(journal) as (results, document), StopSignals() as stops:
        try:
            out.mkdir(parents=True, exist_ok=True)
            sweep(out, STAGING)
            with ClaimedFolder.make(out, STAGING) as staging:
                arrays = document.write_arrays(staging.path / ARRAYS_NAME)
                stops.hold()
                return write(recheck(results), arrays, out, previous=previous, move_arrays=True)
        except OSError as error:
            raise ParityError(f"cannot write to {out}: {error.strerror or error}") from error
