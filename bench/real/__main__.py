"""The command `python -m bench.real`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from bench.cli import DOCS
from bench.judged.options import split
from bench.judged.runs import judge_each
from bench.real import page
from bench.real.fetch import DEFAULT_CACHE, Cache
from bench.real.judging import judged
from bench.real.models import MODELS, select
from parity.errors import ParityError

PAGE = DOCS / "real.md"


@click.command()
@click.option("--model", "models", multiple=True, help="Instead of all; names of bench/real/models.py.")
@click.option("--method", "methods", multiple=True, help="Names or globs instead of those of the table.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), default=DEFAULT_CACHE, show_default=True,
    envvar="REAL_MODELS", help="Where packages lie, fetched when they are missing. [$REAL_MODELS]",
)  # fmt: skip
@click.option("--report", "directory", type=click.Path(path_type=Path), default=Path("reports/real"), show_default=True)
@click.option("--samples", type=click.IntRange(1), help="How many inputs of each model. [all]")
@click.option("--jobs", type=click.IntRange(1), help="Workers of the reference. [as many as there is room for]")
@click.option("--store", type=click.Path(path_type=Path), envvar="PARITY_STORE", help="Where reference results lie.")
@click.option("--page/--no-page", "write_page", default=None, help="Write docs/real.md. [with the table's methods]")
def main(
    models: tuple[str, ...],
    methods: tuple[str, ...],
    cache: Path,
    directory: Path,
    samples: int | None,
    jobs: int | None,
    store: Path | None,
    write_page: bool | None,
) -> None:
    """Explain real trained models of other people on both sides, and judge every map."""
    try:
        chosen = select(split(models))
    except ParityError as error:
        raise click.UsageError(str(error)) from None
    options = {"samples": samples, "jobs": jobs, "store": store}
    judges = {
        model.name: partial(
            judged, Cache(cache), model, split(methods), directory,
            options | {"command": f"python -m bench.real --model {model.name}"},
        )
        for model in chosen
    }  # fmt: skip
    good = judge_each(judges, must_convert=False)
    if not methods if write_page is None else write_page:
        page.write(PAGE, list(MODELS.values()), directory)
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
