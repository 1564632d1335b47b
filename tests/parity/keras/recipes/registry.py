"""Where recipes are kept: each builds a Keras model, given Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

ALL_FORMATS = ("nested_frozen", "three_convolutions", "residual", "conv1d_causal", "text_mask_through_everything",
               "recurrent_both_cells_masked", "multi_head_attention", "time_distributed", "frames_through_a_model",
               "frames_through_branches", "names_with_slashes")  # fmt: skip
ROUNDED = ("prepared_as_caffe", "prepared_as_torch")
"""Those with constants that a file of float32 rounds; what Keras computes in float64 goes with their float64 file."""
Sample = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """How Keras builds a model, and what its inputs look like.

    Attributes
    ----------
    build
        From Keras to a model.
    sample
        Makes inputs of normal random numbers, `(N, ...)`; None takes them as they are.
    """

    build: Callable[[Any], Any]
    sample: Sample | None = None

    def __call__(self, keras: Any) -> Any:
        """Build the model."""
        return self.build(keras)


RECIPES: dict[str, Callable[[Any], Any]] = {}


def recipe(build: Callable[[Any], Any] | None = None, *, sample: Sample | None = None) -> Any:
    """Keep a function from Keras to a model under its name."""

    def keep(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        RECIPES[function.__name__] = Recipe(function, sample)
        return function

    return keep if build is None else keep(build)


def tokens(count: int) -> Sample:
    """Return what makes tokens from 0 to `count` - 1 of normal random numbers."""
    return lambda array: np.floor(np.abs(array) * count).astype(int).astype(array.dtype) % count
