"""The command `python -m bench`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click
import torch

from bench import page, report, session
from bench.document import BenchFileError, load
from bench.harness import HarnessError
from bench.judged.options import split
from bench.limits import judge, unmet
from bench.networks import STACK, TOY
from bench.plan import VGG16, Wish
from parity.errors import ParityError
from parity.run.cases import select_methods
from parity.run.machine import available_cores
from parity.run.results import dumps, write_atomically

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"


@click.command()
@click.option("--quick", is_flag=True, help="All of the small network, a little of VGG16; under two minutes.")
@click.option("--model", "models", multiple=True, help=f"Instead of the usual networks; also {TOY} and {STACK}.")
@click.option("--method", "methods", multiple=True, help="Names or globs instead of the usual methods.")
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds of every call, instead of 5 or more.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=available_cores, help="Threads of torch and of TensorFlow."
)
@click.option("--device", default="cpu", show_default=True, help="Where torch's contenders run: cpu, cuda or mps.")
@click.option("--store", type=click.Path(path_type=Path), help="Stored answers of the reference, for --stored-total.")
@click.option("--stored-total", is_flag=True, help="Look those totals up; VGG16: about 10 minutes less.")
@click.option("--no-reference", is_flag=True, help="Start no TensorFlow.")
@click.option("--report", "directory", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--page/--no-page", "write_page", default=None, help="Write the table in docs/ (full runs do).")
@click.option("--render", type=click.Path(path_type=Path), help="Measure nothing: render this bench.json again.")
@click.option("--strict", is_flag=True, help="Exit with 1 if a limit is not met.")
def main(
    quick: bool,
    models: tuple[str, ...],
    methods: tuple[str, ...],
    rounds: int | None,
    threads: int,
    device: str,
    store: Path | None,
    stored_total: bool,
    no_reference: bool,
    directory: Path,
    write_page: bool | None,
    render: Path | None,
    strict: bool,
) -> None:
    """Measure the port beside stock zennit, captum and the TensorFlow reference."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise click.UsageError(f"torch has no device {device!r} here: {error}") from None
    try:
        named = split(methods)
        wish = Wish(split(models) or None, select_methods(named) if named else None, quick, rounds, stored_total)
        if render is not None:
            document = load(render)
            document["limits"] = judge(document)  # by the limits of today
        else:
            document = session.run(
                wish,
                command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
                directory=directory,
                threads=threads,
                device=device,
                with_reference=not no_reference,
                store=store,
                tell=click.echo,
            )
            write_atomically(directory / "bench.json", dumps(document))
        write_atomically(directory / "bench.html", report.render(document))
        part = wish.networks or wish.methods or wish.quick or wish.rounds
        full = not part and render is None and device == "cpu"
        if write_page or (write_page is None and full):
            page.update(PAGE, document)
            click.echo(f"wrote the table in {PAGE.name}")
    except (ParityError, HarnessError, BenchFileError, page.PageError) as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(2)
    click.echo(f"wrote {directory / 'bench.json'} and {directory / 'bench.html'}, {document['seconds']:.0f} s\n")
    _tell_limits(document)
    if strict and unmet(document["limits"]):
        sys.exit(1)


def _tell_limits(document: dict[str, Any]) -> None:
    """Write every limit with its number, and what could not be measured."""
    measured = [one for one in document["limits"] if one["verdict"] != "not measured"]
    heading = ""
    for one in measured:
        if one["group"] != heading:
            heading = one["group"]
            click.echo(heading if ", batch " in heading else f"{VGG16}, batch 1: {heading}")
        number = "-" if one["value"] is None else f"{one['value']:.3g}"
        color = {"met": "green", "not met": "red"}.get(one["verdict"])
        text = f"  {one['name']:<28} {number:>7}  {one['relation']} {one['bound']:<5g} {one['verdict']}"
        click.echo(click.style(text, fg=color))
    counts = [f"{sum(one['verdict'] == name for one in document['limits'])} {name}" for name in
              ("met", "not met", "not measured", "no counterpart")]  # fmt: skip
    click.echo(f"limits: {', '.join(counts)}")
    for one in document["absent"]:
        if one["kind"] != "no-counterpart":
            what = one.get("case") or one.get("sweep") or one.get("memory")
            about = " ".join(
                str(what[key]) for key in ("network", "names", "method", "contender", "how") if key in what
            )
            click.echo(f"not measured: {about}: {one['reason']}")
