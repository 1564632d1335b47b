"""`parity show`: maps as a picture."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from parity.commands.completion import complete_method, complete_model
from parity.commands.consoles import CONTEXT, console, echo, escaped, examples
from parity.commands.outputs import refuse_overwriting
from parity.commands.own_file import of_own_file
from parity.errors import ParityError

if TYPE_CHECKING:
    from parity.assets.source import InputShapes
    from parity.run.subjects.pictures import Sides


@click.command(
    context_settings=CONTEXT,
    short_help="Draw maps: of a model, or both sides of a finished run.",
    epilog=examples(
        "parity show vgg_mnist --method lrp_z",
        "parity show vgg_mnist --method 'lrp_z,gradient,lrpsign_z' --samples 5 --save digits.svg",
        "parity show mine.h5 --inputs photo.jpg --method lrp_epsilon_0_1 --target 3 --clip 99.5",
        "parity show reports --method lrp_z              # both sides, and their difference",
        "parity show reports/parity.json --method 'lrp_*' --input digit_3 --dtype float32",
    ),
)
@click.argument("what", shell_complete=complete_model)
@click.option(
    "--method", "methods", multiple=True, required=True, shell_complete=complete_method,
    help="Names or globs; 'all', or 'core': one per rule.",
)  # fmt: skip
@click.option("--inputs", "files", multiple=True, help="Arrays or images, or globs of them, instead of the shipped.")
@click.option("--input", "names", multiple=True, help="Only the inputs of this name.")
@click.option(
    "--samples", type=click.IntRange(1), help="How many inputs. [all of --inputs; else 3, or 1 for large models]"
)
@click.option("--target", type=int, help="The explained class. [arg-max of each input]")
@of_own_file
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), help="The lane. [float32; of a run float64, if it has it]"
)
@click.option("--scale", type=click.Choice(["map", "shared"]), default="map", show_default=True,
              help="A scale for each map of a model, or one for all.")  # fmt: skip
@click.option("--clip", type=click.FloatRange(0, 100), help="Percentile of |relevance| at which a scale ends.")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), default=Path("parity-show.png"), show_default=True,
    help="The picture: .png, .svg, .pdf or .jpg.",
)  # fmt: skip
def show(
    what: str,
    methods: Sequence[str],
    files: Sequence[str],
    names: Sequence[str],
    samples: int | None,
    target: int | None,
    config: Path | None,
    output: str | None,
    input_shape: InputShapes,
    dtype: str | None,
    scale: Literal["map", "shared"],
    clip: float | None,
    save: Path,
) -> None:
    """Draw maps of WHAT: a model (its name or its Keras .h5), or the folder or parity.json of a finished run.

    Of a model, signxai_torch explains its inputs; no TensorFlow is needed. Of a run, the maps of both sides are drawn
    as they were compared, with their difference. Red is relevance for the class, blue against it, zero is white, and
    what is no number is green.
    """
    from parity.run.subjects.pictures import require_pictures

    require_pictures(save)
    path = Path(what)
    if path.is_dir() or path.name.endswith(".json"):
        of_models = {"--inputs": files, "--target": target is not None, "--config": config, "--output": output,
                     "--input-shape": input_shape}  # fmt: skip
        if odd := [name for name, value in of_models.items() if value]:
            raise click.UsageError(f"{odd[0]} is for a model; {what} is a finished run, whose maps are there already")
        drawn = _of_run(path, methods, names, samples, dtype, clip, save)
    else:
        drawn = _of_model(what, config, output, input_shape, methods, files, names, samples, target, dtype or "float32",
                          scale, clip, save)  # fmt: skip
    echo(f"written: {save} ({drawn})")


def _of_model(
    what: str, config: Path | None, output: str | None, input_shape: InputShapes, methods: Sequence[str],
    files: Sequence[str], names: Sequence[str], samples: int | None, target: int | None, dtype: str,
    scale: Literal["map", "shared"], clip: float | None, save: Path,
) -> str:  # fmt: skip
    """Explain, draw, and return what was drawn."""
    from parity.assets.inputs import expand
    from parity.assets.models import resolve
    from parity.run.cases import Options, select_methods
    from parity.run.planning import series_of
    from parity.run.shown import explained
    from parity.run.subjects.pictures import draw_maps

    chosen = select_methods(methods)
    source = resolve(what, config, output, input_shape)
    refuse_overwriting([save], [source.path, *(expand(files) if files else [])])
    series = series_of(source, chosen, Options(target), dtype=dtype, files=files, names=names, samples=samples)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        made = explained(series, dtype, target)
    errors = console(stderr=True)
    for name, why in made.failed.items():
        errors.print(f"[yellow]no map:[/] {escaped(name)}: {escaped(why)}", soft_wrap=True)
    with warnings.catch_warnings(record=True) as drawn:
        warnings.simplefilter("always")
        channels: Literal["first", "last"] = "first" if series.description.channels_first else "last"
        draw_maps(made.maps, made.inputs, made.labels, save, channels, scale, clip)
    for text in dict.fromkeys(str(one.message) for one in [*noted, *drawn]):
        errors.print(f"[yellow]note:[/] {escaped(text)}", soft_wrap=True)
    return f"{_counted(made.maps, 'method')}, {_counted(made.labels, 'input')} of {source.name}"


def _of_run(
    path: Path, methods: Sequence[str], names: Sequence[str], samples: int | None, dtype: str | None,
    clip: float | None, save: Path,
) -> str:  # fmt: skip
    """Draw both sides, and return what was drawn."""
    from parity.report import load
    from parity.run.results import JSON_NAME
    from parity.run.shown import chosen_rows
    from parity.run.subjects.pictures import draw_sides

    path = path / JSON_NAME if path.is_dir() else path
    document = load(path)
    if not document.get("arrays"):
        raise ParityError(f"{path} names no arrays file, so there are no maps to show; run `parity run` again")
    arrays = path.parent / document["arrays"]
    refuse_overwriting([save], [path, arrays])
    shown = chosen_rows(document, methods, names, dtype, samples or (None if names else 3))
    cases = _sides(document, arrays, shown)
    draw_sides(cases, save, clip)
    return f"{_counted(cases, 'case')} of {path}"


def _sides(document: Mapping[str, Any], arrays: Path, shown: Sequence[int]) -> list[Sides]:
    from parity.looks import look
    from parity.report.arrays import Arrays, read_pairs
    from parity.report.wording import NAMES, format_number
    from parity.run.results import ReportError
    from parity.run.subjects.pictures import Sides

    look(read_pairs, arrays, document["created"], list(shown), error=ReportError)
    subject = str(document["environment"]["subject"]["name"])
    cases = []
    with Arrays(arrays, document["created"]) as file:
        for index in shown:
            row = document["results"][index]
            reference, mine = file.pair(index)
            if reference is None and mine is None:
                continue
            target = "" if row["target"] is None else f", class {row['target']}"
            told = "" if row.get("rel_l2") is None else f"; rel. L2 {format_number(row['rel_l2'])}"
            cases.append(
                Sides(
                    f"{row['method']}\n{row['model']}, {row['input']}{target}\n{row['dtype']}",
                    (f"TensorFlow ({row['reference']})" if row["reference"] else "TensorFlow", f"torch ({subject})"),
                    f"{NAMES[row['status']]}{told}",
                    file.picture(str(row["model"]), str(row["input"])),
                    reference,
                    mine,
                )
            )
    if not cases:
        raise ParityError("neither side of these cases has a map: " + str(document["results"][shown[0]]["message"]))
    return cases


def _counted(things: Sequence[Any] | Mapping[str, Any], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"
