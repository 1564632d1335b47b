"""The command line: `python -m parity ...`, also installed as `parity`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from parity.errors import ParityError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Group(click.Group):
    """Shows a `ParityError` as one message, with a traceback only under --debug."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ParityError as error:
            if ctx.params.get("debug"):
                raise
            Console(stderr=True, highlight=False).print(f"[bold red]error:[/] {_escape(str(error))}", soft_wrap=True)
            ctx.exit(error.exit_code)
        except Exception as error:
            if ctx.params.get("debug") or isinstance(error, (click.ClickException, click.exceptions.Exit)):
                raise
            text = f"{type(error).__name__}: {error}"
            Console(stderr=True, highlight=False).print(
                f"[bold red]unexpected error:[/] {_escape(text)}\nRun `parity --debug ...` for the traceback.",
                soft_wrap=True,
            )
            ctx.exit(2)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


@click.group(cls=_Group, context_settings=CONTEXT)
@click.option("--debug", is_flag=True, help="Show the traceback of errors.")
@click.version_option(package_name="signxai-torch-parity")
def main(debug: bool) -> None:
    """Hold PyTorch explanations to their TensorFlow originals, number by number."""


@main.command(
    context_settings=CONTEXT,
    epilog="\b\nExamples:\n  parity run --model vgg_mnist --method lrp_flat\n"
    "  parity run --model mine.h5 --inputs x.npy --method 'lrp_*'\n"
    "  parity run --model vgg16-seeded --method core --samples 1",
)
@click.option("--model", "models", multiple=True, help="Name or Keras .h5; 'all' is every shipped one. [vgg_mnist]")
@click.option("--inputs", "files", multiple=True, help="Arrays (.npy, .npz) or images instead of the shipped inputs.")
@click.option("--input", "names", multiple=True, help="Only the inputs of this name.")
@click.option("--samples", type=click.IntRange(1), help="How many inputs. [3; 1 for large models]")
@click.option("--method", "methods", multiple=True, help="Names or globs; 'all', or 'core': one per rule. [all]")
@click.option("--target", type=int, help="The explained class. [arg-max of each input]")
@click.option("--reference", type=click.Choice(["auto", "innvestigate", "signxai"]), default="auto")
@click.option("--subject", "subject_name", default="signxai_torch", help="The implementation under test.")
@click.option("--dtype", type=click.Choice(["both", "float32", "float64"]), default="both", help="Lanes.")
@click.option("--report", "directory", type=click.Path(path_type=Path), default=Path("reports"), show_default=True)
@click.option("--save-arrays", type=click.Path(path_type=Path), help="Also copy all maps to this HDF5 file.")
@click.option("--store", type=click.Path(path_type=Path), help="Where reference results lie. [$PARITY_STORE]")
@click.option("--refresh", is_flag=True, help="Ask the reference again for what is stored.")
@click.option("--timeout", type=float, default=900.0, show_default=True, help="Seconds per reference request.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="Threads for the reference's second worker.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first case that is not green.")
@click.option("--quiet", is_flag=True, help="Print the verdict only.")
def run(
    models: Sequence[str],
    files: Sequence[str],
    names: Sequence[str],
    samples: int | None,
    methods: Sequence[str],
    target: int | None,
    reference: str,
    subject_name: str,
    dtype: str,
    directory: Path,
    save_arrays: Path | None,
    store: Path | None,
    refresh: bool,
    timeout: float,
    jobs: int,
    fail_fast: bool,
    quiet: bool,
) -> None:
    """Run cases and write the report; exit 0 if all are at parity, 1 if some are not, 2 on a usage error."""
    from parity.session import Session  # the heavy imports wait until there is something to run

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # a log has no width of its own
    session = Session(
        models=models or ["vgg_mnist"],
        files=files,
        input_names=names,
        samples=samples,
        methods=methods or ["all"],
        target=target,
        reference=reference,
        subject=subject_name,
        dtype=dtype,
        directory=directory,
        store=store,
        refresh=refresh,
        timeout=timeout,
        keep_both=jobs > 1,
        fail_fast=fail_fast,
        command=shlex.join(["parity", *sys.argv[1:]]),
    )
    begun = time.perf_counter()
    with _progress(console, quiet) as progress:
        bar = progress.add_task("preparing", total=session.total)

        def tell(method: str, done: int) -> None:
            progress.update(bar, description=method, completed=done, total=session.total)
            if not console.is_terminal and not quiet:
                console.print(f"[{done}/{session.total}] {time.perf_counter() - begun:.0f} s {method}", markup=False)

        written = session.run(tell)
    from parity.report import result_tables

    if save_arrays is not None:
        save_arrays.write_bytes(session.arrays_path.read_bytes())
    if quiet:
        console.print("green" if written.document["summary"]["green"] else "NOT green")
    else:
        console.print(result_tables(written.document))
        console.print(f"report: {written.html}", markup=False)
    if session.interrupted:
        console.print("interrupted: the finished cases are in the report; run again to go on where this stopped")
        sys.exit(130)
    sys.exit(0 if written.document["summary"]["green"] else 1)


def _progress(console: Console, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description:<44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )


@main.command(context_settings=CONTEXT)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.argument("patterns", nargs=-1)
def methods(as_json: bool, patterns: Sequence[str]) -> None:
    """List the methods: all, or those that PATTERNS (names or globs) match."""
    from parity.cases import select_methods
    from parity.document import method_facts

    for name in select_methods(patterns or ["all"]):
        if as_json:
            click.echo(json.dumps({"name": name, **method_facts(name)}, default=str))
        else:
            facts = method_facts(name)
            click.echo(f"{name:<48} {facts['family']:<22} {facts['formula']}")


@main.command("models", context_settings=CONTEXT)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def models_command(as_json: bool) -> None:
    """List the models, and how to get those that are absent."""
    from parity.models import list_models

    for source in list_models():
        if as_json:
            facts = {"name": source.name, "present": source.present, "sha256": source.sha256 or None,
                     "description": source.description}  # fmt: skip
            click.echo(json.dumps(facts))
        else:
            click.echo(f"{source.name:<16} {'' if source.present else '(absent) '}{source.description}")


@main.command(context_settings=CONTEXT)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Directory. [where the results lie]")
def report(results: Path, out: Path | None) -> None:
    """Render RESULTS (parity.json) again."""
    from parity.report import load, write

    document = load(results)
    arrays = results.parent / document["arrays"] if document.get("arrays") else None
    written = write(document, arrays if arrays and arrays.exists() else None, out or results.parent)
    click.echo(f"report: {written.html}")


if __name__ == "__main__":
    main()
