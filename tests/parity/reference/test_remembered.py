"""A worker that remembers answers as one that does not, and computes less."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.reference

ROOT = Path(__file__).resolve().parents[3]
LESS = {
    "signxai": {"the same again", "with a modifier", "a wrapper of it", "gradient times sign"},
    "innvestigate": {"rules", "rules of a class that is not there", "rules of the gradient"},
}
"""What is answered without a map, or a graph, of its own."""
FAULTS = {
    "signxai": {
        "noise that it does not draw", "the same noise again", "noise where none was asked for", "none again",
    },
    "innvestigate": {"rules of a class that is not there"},
}  # fmt: skip


@pytest.mark.parametrize("mode", LESS)
def test_what_is_remembered_is_what_would_be_computed(mode: str, reference_python: Path) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(reference_python), "-m", "tests.parity.reference.remembered_answers", mode]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, dict[str, Any]] = json.loads(done.stdout)
    together, alone = ({name: text.rsplit(" ", 1) for name, text in told[how].items()} for how in ("together", "alone"))
    assert {name: answer for name, (answer, _) in together.items()} == {
        name: answer for name, (answer, _) in alone.items()
    }
    assert {name for name, (_, times) in together.items() if times == "0"} == LESS[mode]
    assert all(times == "1" for _, times in alone.values())
    if mode == "signxai":  # the other worker keeps no maps
        assert told["forgotten"] == told["alone"], "a worker that is to forget remembers"
    assert {name for name, (answer, _) in together.items() if answer.endswith("Error")} == FAULTS[mode]
    kinds = {answer for answer, _ in together.values()}
    assert len(kinds) == len(together) - (4 if mode == "signxai" else 1)  # what is asked differently differs
