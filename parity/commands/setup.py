"""`parity setup`: makes the reference environment, anywhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from parity.commands.consoles import CONTEXT, console, echo, examples
from parity.paths import command_line, expanded

if TYPE_CHECKING:
    from parity.reference.making import Installer


@click.command(
    context_settings=CONTEXT,
    short_help="Make the TensorFlow environment.",
    epilog=examples(
        "parity setup                             # once; then `parity run` works in any folder",
        "parity setup --dry-run                   # what it would run",
        "parity setup --path ~/envs/reference     # in a place of yours",
        "parity setup --python /usr/bin/python3.11 --installer pip",
    ),
)
@click.option("--path", type=click.Path(path_type=Path), help="A new folder for it. [the user's data folder]")
@click.option("--python", help="The Python 3.11 to make it from: a path, or a program on PATH. [looked for]")
@click.option(
    "--installer",
    type=click.Choice(("auto", "uv", "pip")),
    default="auto",
    show_default=True,
    help="What makes it; uv also fetches a Python where there is none. 'auto': uv where it is installed.",
)
@click.option("--dry-run", is_flag=True, help="Show the commands, and run nothing.")
@click.option("--anew", is_flag=True, help="Make it again; the one that is there goes when the new one is whole.")
def setup(path: Path | None, python: str | None, installer: Installer, dry_run: bool, anew: bool) -> None:
    """Make the environment in which the TensorFlow references run: TensorFlow 2.12, iNNvestigate, SIGN-XAI.

    It takes 2.6 GB and needs Python 3.11, whatever Python `parity` itself runs in. What is there already is left as it
    is; what is interrupted leaves nothing behind.
    """
    from parity.reference.environment import ReferenceEnvironmentError, find_python, package_versions
    from parity.reference.installed import PREFIX, place
    from parity.reference.making import SIZE, make, recipe, require_free
    from parity.system import environment_python

    kept, out = place(), console()
    folder = None if path is None else expanded(path).absolute()
    there = None if kept is None else kept.environment()
    if there is not None and not anew and not dry_run and folder in (None, there):
        try:
            package_versions(environment_python(there))
        except ReferenceEnvironmentError as error:
            out.print(f"{there} does not work and is made anew: {error}", markup=False, soft_wrap=True)
        else:
            out.print(f"the reference environment is there: {there}", markup=False, soft_wrap=True)
            return
    how = recipe(python, installer)
    if dry_run:
        shown = folder or (kept.folder / f"{PREFIX}{kept.key}-..." if kept is not None else Path("..."))
        for command in how.commands(shown):
            echo(command_line(command))
        return
    if folder is not None:
        require_free(folder)
    out.print(f"making the reference environment; it takes {SIZE / 1e9:.1f} GB, and some minutes", markup=False)
    made = make(how, kept, folder, lambda line: out.print(f"$ {line}", markup=False, soft_wrap=True))
    out.print(f"made: {made}", markup=False, soft_wrap=True)
    interpreter = environment_python(made)
    used = find_python() if kept is not None or os.environ.get("REFERENCE_PYTHON") else None
    if used is None:
        out.print(f"say where it is: REFERENCE_PYTHON={interpreter}", markup=False, soft_wrap=True)
    elif used != interpreter:
        out.print(f"note: {used} goes before it (REFERENCE_PYTHON, or the clone's own)", markup=False, soft_wrap=True)
    else:
        out.print("`parity doctor` tries it; `parity run` uses it", markup=False)
