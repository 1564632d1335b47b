"""Random damage: whatever a file holds, it converts or is refused; no other exception escapes."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import parity.keras
from parity.keras import ConversionError
from tests.parity.keras.keras_files import tiny, tiny_branches

pytestmark = pytest.mark.slow


def test_flipped_bytes_never_escape_as_another_error(tmp_path):
    """Damage anywhere: the file is refused, or what was hit was padding or a harmless number."""
    path = tiny().write(tmp_path / "m.h5")
    data = path.read_bytes()
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(120):
        spoilt = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            spoilt[position] ^= int(rng.integers(1, 256))
        path.write_bytes(spoilt)
        try:
            parity.keras.load(path)
        except ConversionError:
            refused += 1
    assert refused > 10


JUNK = [None, True, 0, -1, 7, 10**12, -0.5, float("nan"), 1e300, "", "same", [], [[]], [1, 2, 3, 4], {}, "Sequential"]


def _places(value: Any, place: tuple = ()) -> Iterator[tuple]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*place, key))


def _damage(architecture: Any, rng: random.Random) -> None:
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


def test_damaged_architectures_never_escape_as_another_error(tmp_path):
    rng = random.Random(8)
    refused = 0
    for i in range(250):
        model = copy.deepcopy(tiny() if i % 2 else tiny_branches())
        for _ in range(rng.choice([1, 1, 2])):
            _damage(model.architecture, rng)
        path = model.write(tmp_path / "m.h5")
        try:
            module = parity.keras.load(path)
        except ConversionError:
            refused += 1
            continue
        shape = module.description.input_shape
        logits = module(torch.zeros(1, shape[-1], *(n or 9 for n in shape[:-1])))
        assert logits.shape == (1, module.description.classes)
    assert refused > 100
