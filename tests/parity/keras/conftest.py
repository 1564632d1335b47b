"""What Keras itself says, computed once per test session by the reference interpreter."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def reference_python() -> Path:
    """Return the interpreter that has TensorFlow."""
    named = os.environ.get("REFERENCE_PYTHON")
    python = Path(named) if named else ROOT / ".venv-reference" / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no TensorFlow environment: {python} does not exist (make setup, or set REFERENCE_PYTHON)")
    return python


@pytest.fixture(scope="session")
def truth(reference_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with every recipe's files, inputs and outputs; parallel test workers share it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    out = base / "keras-truth"
    with FileLock(base / "keras-truth.lock"):
        if not (out / "complete").exists():
            out.mkdir(exist_ok=True)
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
            command = [str(reference_python), "-m", "tests.parity.keras.write_truth", str(out)]
            parts = [
                subprocess.Popen(
                    [*command, str(part), "2"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
                )
                for part in range(2)
            ]
            for part in parts:
                _, errors = part.communicate(timeout=900)
                assert part.returncode == 0, f"write_truth failed:\n{errors[-3000:]}"
            (out / "complete").touch()
    return out
