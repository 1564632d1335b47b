"""Options that say of a model's file what the file itself does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class ShapeType(click.ParamType):
    """Sizes such as ``64,64,3``, or of one of several inputs ``name:64,64,3``: the name, "" for none, and the sizes."""

    name = "sizes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """Read one shape."""
        if isinstance(value, tuple):
            return value
        name, _, sizes = str(value).rpartition(":")
        numbers = [text.strip() for text in sizes.split(",")]
        if not all(text.isdecimal() and int(text) for text in numbers):
            self.fail(f"{value!r} is no shape such as 64,64,3, or name:64,64,3 of one of several inputs", param, ctx)
        return name, tuple(int(text) for text in numbers)


def of_own_file(command: Command) -> Command:
    """Add the options `config`, `output` and `input_shape` to a command."""
    options = (
        click.option(
            "--config", type=click.Path(dir_okay=False, path_type=Path),
            help="model.to_json() of a file of weights, where it has another name.",
        ),
        click.option("--output", help="Layer whose output is meant, in a model of several outputs."),
        click.option(
            "--input-shape", type=ShapeType(), multiple=True,
            help="Sizes that the model leaves open: 64,64,3; of several inputs name:64,64,3.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command
