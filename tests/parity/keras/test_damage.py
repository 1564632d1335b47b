"""Random damage: whatever a file holds, it converts or is refused; no other exception escapes."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch

import parity.keras
from parity.keras import ConversionError
from tests.parity.keras.damage import damage
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


def test_damaged_architectures_never_escape_as_another_error(tmp_path):
    rng = random.Random(8)
    refused = 0
    for i in range(250):
        model = copy.deepcopy(tiny() if i % 2 else tiny_branches())
        for _ in range(rng.choice([1, 1, 2])):
            damage(model.architecture, rng)
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
