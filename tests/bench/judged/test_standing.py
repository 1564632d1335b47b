"""What is kept of a model that was run."""

from __future__ import annotations

import json
from pathlib import Path

from bench.judged.standing import layer_classes
from tests.bench.real import made_up


def test_layers_are_counted_with_what_they_wrap(tmp_path: Path):
    inner = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"name": "a"}}]}}
    twice = {"class_name": "Bidirectional", "config": {"layer": {"class_name": "LSTM", "config": {}}}}
    config = {"class_name": "Functional", "config": {"layers": [inner, inner, twice]}}
    (tmp_path / "model.keras").write_bytes(made_up.zipped({"config.json": json.dumps(config).encode()}))
    assert layer_classes(tmp_path / "model.keras") == {"Dense": 2, "Bidirectional(LSTM)": 1}
