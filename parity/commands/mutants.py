"""`parity mutants`: wrong ports on trial, which shows whether the judge can be believed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from parity.commands.consoles import CONTEXT, console, escaped, examples
from parity.commands.outputs import refuse_one_file_twice, require_folder, write_whole

INTERVAL = 5.0
"""Least seconds between two lines of progress."""


@click.command(
    context_settings=CONTEXT,
    short_help="Try wrong ports: each must end red.",
    epilog=examples(
        "parity mutants                                # the whole table",
        "parity mutants --model cnn_timeseries --no-names",
        "parity mutants --mutant nan --mutant scale_1_25_in_float32",
        "parity mutants --markdown docs/mutants.md",
        "parity mutants --json - | jq .mutants_killed",
    ),
)
@click.option("--model", "models", multiple=True, help="Only mutants that are tried on this model, and on it alone.")
@click.option("--mutant", "names", multiple=True, help="Only the mutants of this name.")
@click.option("--names/--no-names", "with_names", default=None,
              help="Also try every method in every other's place. [with the whole table]")  # fmt: skip
@click.option("--store", type=click.Path(path_type=Path), help="Where reference results lie. [$PARITY_STORE]")
@click.option("--jobs", type=click.IntRange(1), help="Reference processes at once. [one per core, up to 4]")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=900.0, show_default=True,
    help="Seconds per reference request.",
)  # fmt: skip
@click.option("--json", "json_to", metavar="PATH", help="Write the results here; '-' is stdout, and nothing else.")
@click.option("--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the table as a page.")
@click.option("--quiet", is_flag=True, help="Print the verdict only.")
def mutants(
    models: Sequence[str],
    names: Sequence[str],
    with_names: bool | None,
    store: Path | None,
    jobs: int | None,
    timeout: float,
    json_to: str | None,
    markdown: Path | None,
    quiet: bool,
) -> None:
    """Try wrong ports (mutants), each as a subject in a run of its own: it must end red.

    Exit 0 if all are killed by the check that is meant to, and the healthy port is green in all their cases; 1 if not;
    2 if the command or the environment is at fault.
    """
    json_copy = Path(json_to) if json_to and json_to != "-" else None
    outputs = [path for path in (json_copy, markdown) if path is not None]
    for path in outputs:
        require_folder(path)
    refuse_one_file_twice(outputs)
    from parity.run.mutants import report
    from parity.run.mutants.whole import run  # the heavy imports wait until there is something to run

    errors = console(stderr=True)
    out = errors if json_to == "-" else console()
    whole = run(names, models, store, jobs, timeout, with_names, _Progress(errors, quiet))
    text = json.dumps(whole.to_json(), indent=1) + "\n"
    if json_to == "-":
        click.echo(text, nl=False)
    elif json_copy is not None:
        write_whole(json_copy, [text.encode()])
    if markdown is not None:
        write_whole(markdown, [report.markdown(whole).encode(errors="backslashreplace")])
    if not quiet:
        _show(out, whole)
    for complaint in whole.complaints:
        out.print(f"[bold red]✗[/] {escaped(complaint)}", soft_wrap=True)
    if whole.names is not None:
        out.print(escaped(report.names_sentence(whole.names)), soft_wrap=True)
    mark = "[bold green]✓[/]" if whole.green else "[bold red]✗[/]"
    out.print(f"{mark} {report.headline(whole)}, {whole.seconds:.0f} s", soft_wrap=True)
    sys.exit(0 if whole.green else 1)


def _show(out: Console, whole: object) -> None:
    from parity.run.mutants.report import Whole

    assert isinstance(whole, Whole)
    table = Table(box=None, pad_edge=False)
    for title in ("mutant", "where", "dtypes", "model", "stopped by"):
        table.add_column(title, overflow="fold")
    for trial in whole.results.trials:
        stopped = ", ".join(trial.checks) if trial.killed else "[bold red]nothing: it lives[/]"
        mutant = trial.mutant
        table.add_row(escaped(mutant.name), escaped(mutant.where), mutant.dtypes, escaped(trial.model), stopped)
    out.print(table)


class _Progress:
    """Prints what is tried, not more often than a reader follows.

    Parameters
    ----------
    errors : rich.console.Console
        Where to.
    quiet : bool
        Whether nothing is shown.
    """

    def __init__(self, errors: Console, quiet: bool) -> None:
        self._errors, self._quiet = errors, quiet
        self._begun, self._last = time.perf_counter(), float("-inf")

    def __call__(self, what: str) -> None:
        """Tell what is tried next."""
        now = time.perf_counter()
        if self._quiet or now - self._last < INTERVAL:
            return
        self._last = now
        self._errors.print(f"{now - self._begun:.0f} s  {what}", markup=False, soft_wrap=True)
