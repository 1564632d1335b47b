"""Damage to an architecture: one value of it, however deep, is replaced by junk, repeated, or gone."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

JUNK = [None, True, 0, -1, 7, 10**12, -0.5, float("nan"), 1e300, "", "same", [], [[]], [1, 2, 3, 4], {}, "Sequential"]


def _places(value: Any, place: tuple = ()) -> Iterator[tuple]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*place, key))


def damage(architecture: Any, rng: random.Random) -> None:
    place = rng.choice([place for place in _places(architecture) if place])
    parent = architecture
    for key in place[:-1]:
        parent = parent[key]
    if rng.random() < 0.2:
        del parent[place[-1]]
    elif rng.random() < 0.2 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[0]))
    else:
        parent[place[-1]] = copy.deepcopy(rng.choice(JUNK))
