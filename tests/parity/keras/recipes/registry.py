"""Where recipes are kept: each builds a Keras model, given Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

RECIPES: dict[str, Callable[[Any], Any]] = {}
ALL_FORMATS = ("nested_frozen", "three_convolutions", "residual", "conv1d_causal")


def recipe(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Keep a function from Keras to a model under its name."""
    RECIPES[build.__name__] = build
    return build
