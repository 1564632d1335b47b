from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parity.assets.source import ModelSource
from parity.hashing import file_sha256
from parity.reference import ReferenceCall, ReferenceClient, ReferenceEnvironmentError, ReferenceRequest
from parity.reference.environment import find_python

HERE = Path(__file__).parent
FAKE = HERE / "fake_worker.py"


def source(path: Path, architecture: str | None = None) -> ModelSource:
    return ModelSource(path.stem, path, architecture, file_sha256(path), "none", "", "a test's model")


@pytest.fixture
def model(tmp_path: Path) -> ModelSource:
    path = tmp_path / "model.h5"
    path.write_bytes(b"the fake worker never opens this")
    return source(path)


@pytest.fixture
def ask(model: ModelSource):
    """A request of a fake worker: `ask("kill", inputs=2)`."""

    def make(name: str, inputs: int = 1, backend: str = "signxai", **options) -> ReferenceRequest:
        arrays = tuple(np.full((2, 3, 1), 1.0 + i, np.float32) for i in range(inputs))
        call = ReferenceCall(backend, "analyzer", name, options)
        return ReferenceRequest(model, arrays, (0,) * inputs, call)

    return make


@pytest.fixture
def client(tmp_path: Path):
    """Makes clients of the fake worker with one store; ends their workers after the test."""
    made: list[ReferenceClient] = []

    def make(**options) -> ReferenceClient:
        defaults = {"python": sys.executable, "store": tmp_path / "store", "worker": FAKE, "timeout": 20.0}
        made.append(ReferenceClient(**(defaults | options)))
        return made[-1]

    yield make
    for one in made:
        one.close(grace=0.0)


@pytest.fixture(scope="session")
def reference_python() -> Path:
    try:
        return find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def models(reference_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small random models, made by Keras itself, and gradients taken by TensorFlow itself."""
    folder = tmp_path_factory.mktemp("models")
    command = [str(reference_python), "-s", str(HERE / "make_models.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder
