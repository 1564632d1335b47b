"""The command `python -m bench.applications`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from bench.applications import page
from bench.applications.families import FAMILIES, select
from bench.applications.judging import judged
from bench.cli import DOCS
from bench.judged.options import split
from bench.judged.runs import judge_each
from parity.errors import ParityError

PAGE = DOCS / "applications.md"


@click.command()
@click.option("--model", "models", multiple=True, help="Instead of all; names of bench/applications/families.py.")
@click.option("--method", "methods", multiple=True, help="Names or globs instead of the core methods.")
@click.option(
    "--report", "directory", type=click.Path(path_type=Path), default=Path("reports/applications"), show_default=True,
    help="Where networks (1.2 GB), reports and standings go.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), help="Workers of the reference. [as many as there is room for]")
@click.option("--store", type=click.Path(path_type=Path), envvar="PARITY_STORE", help="Where reference results lie.")
@click.option("--page/--no-page", "write_page", default=None, help="Write docs/applications.md. [with core methods]")
def main(
    models: tuple[str, ...],
    methods: tuple[str, ...],
    directory: Path,
    jobs: int | None,
    store: Path | None,
    write_page: bool | None,
) -> None:
    """Explain a member of every family of keras.applications on both sides, and judge every map."""
    try:
        chosen = select(split(models))
    except ParityError as error:
        raise click.UsageError(str(error)) from None
    options = {"jobs": jobs, "store": store}
    judges = {
        family.name: partial(
            judged, family, split(methods), directory,
            options | {"command": f"python -m bench.applications --model {family.name}"},
        )
        for family in chosen
    }  # fmt: skip
    good = judge_each(judges, must_convert=True)
    if not methods if write_page is None else write_page:
        page.write(PAGE, list(FAMILIES.values()), directory)
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
