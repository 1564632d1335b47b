"""Files of very many layers: what reading them costs grows with their number, not with its square."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

import parity.keras
from parity.keras.graph import in_order
from tests.parity.keras.keras_files import KerasModel, functional, input_layer, layer

pytestmark = pytest.mark.slow

LONG = 30_000
"""Layers of a chain; sorted in squares, these take minutes."""


def test_a_long_chain_is_sorted_at_once_however_it_stands() -> None:
    forward = {number: [number - 1] if number else [] for number in range(LONG)}
    for chain in (forward, dict(reversed(forward.items()))):
        begun = time.perf_counter()
        assert in_order(chain) == (list(range(LONG)), [])
        assert time.perf_counter() - begun < 2


def test_layers_of_one_distance_stay_as_they_stand_and_a_circle_is_named() -> None:
    names = {"d": ["b", "c"], "c": ["a", "a"], "b": ["a"], "a": [], "x": ["y"], "y": ["x"], "z": ["nowhere"]}
    assert in_order(names) == (["a", "c", "b", "d"], ["x", "y", "z"])


def _chain_of_dense(count: int, path: Path) -> tuple[parity.keras.KerasModule, float]:
    """Return a network of so many layers, and how many seconds it took to load."""
    chain = [layer("Dense", f"d{i}", f"d{i - 1}" if i else "x", units=2) for i in range(count)]
    weights = {f"d{i}": {"kernel": np.eye(2), "bias": np.full(2, 1e-3)} for i in range(count)}
    KerasModel(functional(input_layer(2, inbound=[]), *chain), weights).write(path)
    begun = time.perf_counter()
    return parity.keras.load(path, dtype=torch.float64), time.perf_counter() - begun


def test_two_thousand_layers(tmp_path: Path) -> None:
    """Four times as many take four times as long; if each layer looked at all others, sixteen times."""
    _, few = _chain_of_dense(500, tmp_path / "short.h5")
    module, many = _chain_of_dense(2_000, tmp_path / "long.h5")
    assert many < 9 * few
    logits = module(torch.ones(1, 2, dtype=torch.float64))
    np.testing.assert_allclose(logits.numpy(), 1 + 1e-3 * 2_000, rtol=1e-9)
