"""JSON as it is written here: numbers that are some, every key once, not deeper than a report is."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 64
"""Levels; a report has a dozen."""
LONGEST = 40
"""Digits of an integer; a seed or a size of memory has 20."""


def parse(text: str) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ValueError
        If it is no JSON, or holds NaN, an infinite or a monstrous number, a key twice in one object, or is nested
        deeper than `DEEPEST`. Half characters (surrogates) are the bytes of file names that are no UTF-8.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_float, parse_int=_integer
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    _refuse_depth(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in made if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return made


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON; one that could not be taken is null")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:LONGEST]} is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > LONGEST:
        raise ValueError(f"the integer {text[:LONGEST]}... has {len(text)} digits")
    return int(text)


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {DEEPEST} levels")


def _inside(value: Any) -> list[Any]:
    """Return the members of an object or an array that have members themselves."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [one for one in members if isinstance(one, (dict, list))]
