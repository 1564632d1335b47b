"""What mutants are tried on: shipped models and small built-in networks, each with its first inputs."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from parity.assets.inputs import Input, default_inputs
from parity.assets.models import resolve
from parity.assets.source import ModelSource
from parity.run.mutants import networks


def material(model: str, folder: Path, inputs: int) -> tuple[ModelSource, tuple[Input, ...]]:
    """Return a shipped model or a small network of `parity.run.mutants.networks`, with its first inputs."""
    if model in networks.NAMES:
        return networks.written(model, folder, inputs)
    source = resolve(model)
    return source, tuple(islice(default_inputs(source), inputs))
