"""A model, an input and a question, for the tests of subjects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from parity import keras
from parity.run.subjects import SubjectAnswer
from tests.parity.keras.keras_files import tiny

SHAPE = (5, 4, 2)
GOOD = "def f(model, x, method, target, **parameters):\n    return x\n"
"""A function that fits the contract, as the text of a file."""

Modules = dict[str, keras.KerasModule]


def load(folder: Path) -> Modules:
    """Return a small model by dtype."""
    path = tiny().write(folder / "tiny.h5")
    return {name: keras.load(path, dtype=getattr(torch, name)) for name in ("float64", "float32")}


def sample() -> np.ndarray:
    """Return a batch of one input in Keras layout, float64."""
    return np.random.default_rng(2).normal(size=(1, *SHAPE))


def ask(asked: Any, modules: Modules, inputs: np.ndarray, dtype: str = "float64") -> SubjectAnswer:
    """Return a subject's answer to one method."""
    return asked.attribute_many(modules[dtype], inputs.astype(dtype), [1], {"gradient": {}})["gradient"]
