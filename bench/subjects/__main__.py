"""The command `python -m bench.subjects`."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli import DOCS
from bench.judged.options import split
from bench.real.fetch import DEFAULT_CACHE, Cache
from bench.subjects import page
from bench.subjects.judging import earlier, judge
from bench.subjects.table import select_models, select_ports
from parity.commands.side_by_side import write
from parity.errors import ParityError
from parity.run.results import write_atomically

PAGE = DOCS / "subjects.md"


@click.command()
@click.option("--subject", "subjects", multiple=True, help="Instead of all; names of bench/subjects/table.py.")
@click.option("--model", "models", multiple=True, help="Instead of all; the same.")
@click.option("--method", "methods", multiple=True, help="Names or globs instead of the core methods.")
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="How many inputs of each model.")
@click.option(
    "--report", "directory", type=click.Path(path_type=Path), default=Path("reports/subjects"), show_default=True,
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_CACHE, show_default=True,
    envvar="REAL_MODELS", help="Where packages of real models lie. [$REAL_MODELS]",
)  # fmt: skip
@click.option("--store", type=click.Path(path_type=Path), envvar="PARITY_STORE", help="Where reference results lie.")
@click.option("--from-reports", is_flag=True, help="Run nothing: compare what lies in --report.")
@click.option("--page/--no-page", "write_page", default=None, help="Write docs/subjects.md. [where nothing is chosen]")
def main(
    subjects: tuple[str, ...],
    models: tuple[str, ...],
    methods: tuple[str, ...],
    samples: int,
    directory: Path,
    cache: Path,
    store: Path | None,
    from_reports: bool,
    write_page: bool | None,
) -> None:
    """Compare all known ports on the same cases; a port that cannot be had is told and left out."""
    try:
        ports = select_ports(split(subjects))
        shipped, real = select_models(split(models))
    except ParityError as error:
        raise click.UsageError(str(error)) from None
    options = {"samples": samples, "store": store}
    judged, asked = [], split(methods) or ("core",)
    for port in ports:
        try:
            if from_reports:
                judged.append(earlier(port.name, shipped, real, directory))
            else:
                judged.append(judge(port.name, shipped, real, asked, directory, Cache(cache), options))
            click.echo(f"{port.name}: {len(judged[-1].cells)} methods on {len(shipped) + len(real)} models")
        except ParityError as error:
            click.echo(f"{port.name}: {error}", err=True)
    if not judged:
        raise SystemExit(1)
    click.echo(f"side by side: {write(directory, judged)}")
    if write_page if write_page is not None else not (subjects or models or methods) and len(judged) == len(ports):
        write_atomically(PAGE, page.text(ports, judged))
    if len(judged) < len(ports):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
