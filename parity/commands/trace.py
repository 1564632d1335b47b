"""`parity trace`: one case, layer by layer."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from parity.commands.completion import complete_method, complete_model
from parity.commands.consoles import CONTEXT, console, escaped, examples
from parity.commands.outputs import refuse_overwriting, require_folder, write_whole
from parity.commands.own_file import of_own_file

if TYPE_CHECKING:
    from parity.assets.source import InputShapes
    from parity.run.trace.table import Distance, Trace


@click.command(
    context_settings=CONTEXT,
    epilog=examples(
        "parity trace --model vgg_mnist --method lrp_z",
        "parity trace --model mine.h5 --inputs x.npy --method lrpsign_z --subject mine.py:explain",
        "parity trace --method lrp_epsilon_0_1 --subject zennit --json - | jq .traces[0].layer",
    ),
)
@click.option(
    "--model", default="vgg_mnist", show_default=True, shell_complete=complete_model, help="Name or Keras .h5."
)
@of_own_file
@click.option(
    "--method", "methods", multiple=True, required=True, shell_complete=complete_method, help="Names or globs."
)
@click.option("--input", "names", multiple=True, help="Only the inputs of this name. [the first]")
@click.option("--inputs", "files", multiple=True, help="Arrays or images, or globs of them, instead of the shipped.")
@click.option("--target", type=int, help="The explained class. [arg-max]")
@click.option(
    "--subject", "subject_name", default="signxai_torch", show_default=True, help="The implementation under test."
)
@click.option(
    "--reference", type=click.Choice(["auto", "innvestigate", "signxai"]), default="auto", show_default=True,
    help="The original that methods are held to.",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float64", show_default=True, help="The lane."
)
@click.option("--json", "json_to", metavar="PATH", help="Also write the traces here; '-' is stdout, and nothing else.")
@click.option("--store", type=click.Path(path_type=Path), help="Where reference results lie. [$PARITY_STORE]")
@click.option("--refresh", is_flag=True, help="Ask the reference again for what is stored.")
def trace(
    model: str,
    config: Path | None,
    output: str | None,
    input_shape: InputShapes,
    methods: Sequence[str],
    names: Sequence[str],
    files: Sequence[str],
    target: int | None,
    subject_name: str,
    reference: str,
    dtype: str,
    json_to: str | None,
    store: Path | None,
    refresh: bool,
) -> None:
    """Show, layer by layer, where a subject leaves the original.

    A line per layer, output to input: the rule on each side, how far the layer's output in the converted network is
    from the original's, how far the relevance that arrives there is, and what it hands on. The first layer that hands
    on something else of what arrives alike is the one to look at.

    Exit 0 if nothing parts, 1 if something does, 2 if there is no trace.
    """
    copy = Path(json_to) if json_to and json_to != "-" else None
    if copy is not None:
        require_folder(copy)
    from parity.run.session import Session

    out = console(stderr=True) if json_to == "-" else console()
    with contextlib.redirect_stdout(sys.stderr) if json_to == "-" else contextlib.nullcontext():
        session = Session(
            models=[model], methods=methods, files=files, config=config, output=output,
            input_shape=input_shape, input_names=names, samples=None if names or files else 1, target=target,
            reference=reference, subject=subject_name, dtype=dtype, store=store, refresh=refresh,
        )  # fmt: skip
        if copy is not None:
            refuse_overwriting([copy], session.files_read())
        traces = []
        for one in session.traces():
            if isinstance(one, Exception):
                raise one
            traces.append(one)
            show(out, one)
    text = json.dumps({"traces": [one.to_json() for one in traces]}, indent=1, allow_nan=False)
    if json_to == "-":
        click.echo(text)
    elif copy is not None:
        write_whole(copy, [text.encode(), b"\n"])
    sys.exit(1 if any(one.kind is not None for one in traces) else 0)


def show(out: Console, trace: Trace) -> None:
    """Print a trace."""
    case = trace.case
    out.print(
        f"[bold]{escaped(case['method'])}[/] on {escaped(case['model'])}, input {escaped(case['input'])}, class "
        f"{case['target']}, {case['dtype']}: {escaped(case['subject'])} beside {case['reference']}",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for title in (
        "layer",
        "class",
        "rule there",
        "rule here",
        "makes",
        "arrives",
        "hands on",
        "slope",
        "sums there, here",
    ):
        table.add_column(title, justify="right" if title in ("makes", "arrives", "hands on", "slope") else "left")
    for line in trace.lines:
        for place, one in enumerate(line.handed):
            mark = "[bold red]" if line.name == trace.layer else ""
            first = place == 0
            to = f" to {escaped(one.to)}" if len(line.handed) > 1 else ""
            slope = "" if one.numbers.slope is None else f"{one.numbers.slope:.6g}"
            sums = "" if one.numbers.reference_sum is None or one.numbers.subject_sum is None else (
                f"{one.numbers.reference_sum:.4g}, {one.numbers.subject_sum:.4g}"
            )  # fmt: skip
            table.add_row(
                f"{mark}{escaped(line.name)}" if first else "", line.class_name if first else "",
                escaped(line.reference_rule) if first else "", escaped(line.subject_rule) if first else "",
                _told(line.made) if first else "", _arrived(line.arrived) if first else "",
                f"{mark}{_told(one.numbers)}{to}", slope, sums,
            )  # fmt: skip
    out.print(table)
    for problem in dict.fromkeys(
        f"{line.name} to {one.to}: {one.numbers.problem}"
        for line in trace.lines
        for one in line.handed
        if one.numbers.unknown
    ):
        out.print(f"not compared: {escaped(problem)}", soft_wrap=True)
    out.print(escaped(trace.says), soft_wrap=True)
    if trace.cause:
        out.print(escaped(trace.cause), soft_wrap=True)


def _arrived(numbers: Distance | None) -> str:
    return "starts" if numbers is None else _told(numbers)


def _told(numbers: Distance) -> str:
    if numbers.unknown:
        return "-"
    return "differs" if numbers.rel_l2 is None else f"{numbers.rel_l2:.1e}"
