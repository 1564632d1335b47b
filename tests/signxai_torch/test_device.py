"""The checks of `device_checks.py`, in a process in which no gradient was taken before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.signxai_torch import stand_in_device

CHECKS = Path(__file__).with_name("device_checks.py")
ROOT = CHECKS.parents[2]


@pytest.mark.skipif(not stand_in_device.OFFERED, reason="this version of torch offers no backend in Python")
def test_maps_on_another_device() -> None:
    command = [sys.executable, "-m", "pytest", str(CHECKS), "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
