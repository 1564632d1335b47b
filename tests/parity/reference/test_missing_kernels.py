"""What the worker adds to TensorFlow computes what TensorFlow's own kernels do where those exist."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.reference

ROOT = Path(__file__).resolve().parents[3]
LIMIT = 1e-6


def test_they_are_tensorflows_own(reference_python: Path) -> None:
    # On a CPU TensorFlow has kernels for channels first in oneDNN alone, which it turns on by itself on few processors.
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_ENABLE_ONEDNN_OPTS": "1"}
    command = [str(reference_python), "-m", "tests.parity.reference.kernels_against_tensorflow"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = {name: [float(one) for one in numbers] for name, *numbers in map(str.split, done.stdout.splitlines())}
    assert len(told) == 18
    assert {name: far for name, far in told.items() if not max(far) <= LIMIT} == {}
