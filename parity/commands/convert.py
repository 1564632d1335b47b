"""`parity convert`: Keras to torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from parity.commands.completion import complete_model
from parity.commands.consoles import CONTEXT, console, escaped, examples
from parity.commands.outputs import refuse_overwriting, require_folder
from parity.commands.own_file import of_own_file
from parity.errors import ParityError

if TYPE_CHECKING:
    from parity.assets.source import InputShapes
    from parity.keras import KerasModule

OTHER_FORMATS = (".onnx", ".h5", ".hdf5", ".keras", ".safetensors", ".json", ".npz")
"""Of OUT: under the name of another format (.onnx, .safetensors) a file would be taken for what it is not."""


@click.command(
    context_settings=CONTEXT,
    short_help="Keras to torch, with a check of the logits.",
    epilog=examples(
        "parity convert mine.h5 mine.pt",
        "parity convert weights_only.h5:vgg16 vgg16.pt --torchvision",
        "parity convert vgg_mnist vgg_mnist.pt --no-check",
        "python -c \"import torch; print(torch.load('mine.pt', weights_only=True)['config']['layers'])\"",
    ),
)
@click.argument("model", shell_complete=complete_model)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@of_own_file
@click.option("--torchvision", is_flag=True, help="Write a state dict for torchvision.models.vgg16() or vgg19().")
@click.option("--no-check", is_flag=True, help="Do not ask the reference for the logits.")
@click.option("--store", type=click.Path(path_type=Path), help="Where reference results lie. [$PARITY_STORE]")
@click.option("--quiet", is_flag=True, help="No layer table.")
def convert(
    model: str,
    out: Path,
    config: Path | None,
    output: str | None,
    input_shape: InputShapes,
    torchvision: bool,
    no_check: bool,
    store: Path | None,
    quiet: bool,
) -> None:
    """Convert MODEL (a Keras .h5, or a shipped name) to OUT, a file for torch.load(..., weights_only=True).

    OUT holds {"state_dict": ..., "config": ...}, where config describes the layers. Where the reference
    environment exists, the logits of both sides are compared first; if they differ, nothing is written and the
    exit code is 1.
    """
    require_folder(out)
    from parity import keras
    from parity.assets.models import resolve
    from parity.reference import ReferenceClient
    from parity.run.export import check_logits, save

    console_ = console()
    source = resolve(model, config, output, input_shape)
    refuse_overwriting([out], [source.path])
    if out.suffix.lower() in OTHER_FORMATS:
        raise ParityError(
            f"cannot write {out}: what is written is a file for torch.load, no {out.suffix}; let its name end in .pt"
        )
    module = source.load()
    if torchvision:
        keras.torchvision_vgg_state_dict(module)  # refused before the reference is asked
    if not quiet:
        console_.print(_table(module))
    if no_check:
        console_.print("logits: not checked (--no-check)")
    else:
        with ReferenceClient(store=store) as client:
            check = check_logits(module, source, client)
        if check.rel_l2 is None:
            console_.print(f"[yellow]logits: not checked:[/] {escaped(check.why_not)}", soft_wrap=True)
        else:
            mark, sign = ("[bold red]✗", ">") if check.failed else ("[green]✓", "<=")
            text = f"logits on {check.input}: rel. L2 {check.rel_l2:.2g} from Keras {sign} {check.limit:g}"
            console_.print(f"{mark} {escaped(text)}[/]", soft_wrap=True)
        if check.failed:
            console_.print("nothing was written: the converted model does not compute what Keras computes")
            sys.exit(1)
        for problem in {str(error) for error in client.store_errors}:
            console(stderr=True).print(f"[yellow]store:[/] {escaped(problem)}", soft_wrap=True)
    save(module, out, torchvision)
    console_.print(f"written: {out}", markup=False, soft_wrap=True)


def _table(module: KerasModule) -> RenderableType:
    """Return a row per Keras layer: its name, type, output, parameters, and the torch module that does it."""
    description = module.description
    shape = ", ".join("any" if size is None else str(size) for size in description.input_shape)
    softmax = "; softmax removed, returns logits" if description.removed_softmax else ""
    title = Text(f"{description.name}: input ({shape}) in Keras layout{softmax}")
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("layer", footer=f"{len(description.layers)} layers", overflow="fold")
    table.add_column("type")
    table.add_column("output", no_wrap=True)
    table.add_column("parameters", footer=f"{description.parameters:,}", justify="right", no_wrap=True)
    table.add_column("torch module", overflow="fold")
    for layer in description.layers:
        torch_module = type(module.get_submodule(layer.module)).__name__ if layer.module else "–"
        output = "(" + ", ".join("any" if size is None else str(size) for size in layer.output_shape) + ")"
        table.add_row(
            escaped(layer.name),
            layer.class_name,
            output,
            f"{layer.parameters:,}" if layer.parameters else "",
            torch_module,
        )
    return Group(title, table)
