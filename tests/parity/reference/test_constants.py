"""Weights that stay tensors in iNNvestigate's graphs change no bit of a map, and let no analyzer answer that failed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.reference

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def told(reference_python: Path) -> dict[str, Any]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(reference_python), "-m", "tests.parity.reference.constants_left_alone"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_maps_and_errors_are_the_same(told: dict[str, Any]) -> None:
    assert told["installed"]
    assert told["after"] == told["before"]
    maps = [answer for answer in told["before"].values() if len(answer) == 64]
    assert len(maps) >= 8
    assert len(maps) < len(told["before"])  # some fail, so that failures are compared too


def test_what_may_change_goes_keras_own_way(told: dict[str, Any]) -> None:
    alone = [name for name, left in told["left alone"].items() if left]
    assert alone == ["a constant", "a product with a weight"]
    assert len(told["left alone"]) == 8
