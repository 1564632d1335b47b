"""Models judged one after another: what became of each is told at once, and none costs the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from bench.judged import verdicts
from bench.judged.standing import Standing
from parity.errors import ParityError


def judge_each(judges: Mapping[str, Callable[[], Standing]], must_convert: bool) -> bool:
    """Judge models and tell what became of each; return whether all is as it should be.

    Parameters
    ----------
    judges : mapping
        By the model's name, what judges it.
    must_convert : bool
        Whether a model that does not convert is a failure.
    """
    good = True
    for name, judged in judges.items():
        try:
            standing = judged()
        except ParityError as error:
            good = False
            click.echo(f"{name}: {error}", err=True)
            continue
        green = not must_convert if standing.document is None else standing.document["summary"]["green"]
        good = good and bool(green)
        click.echo(f"{name}: {verdicts.told(standing)}")
    return good
