"""One toy reference map and wrong variants of it, shared by the tests of metrics, verdict and meta."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from parity.judge import controls

Map = npt.NDArray[np.float64]


def toy_map(side: int = 48, channels: int = 3, seed: int = 0x5EED) -> Map:
    """Return a signed map like an attribution: smooth blobs times noise, one third exact zeros."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-2, 2, side)
    envelope = np.exp(-(grid[:, None] ** 2) - (grid[None, :] - 0.5) ** 2)[..., None]
    values = rng.normal(0.2, 1.0, (side, side, channels)) * envelope
    values[rng.random(values.shape) < 0.36] = 0.0
    return values


def sparse_map() -> Map:
    """Return a mostly black map: SSIM alone accepts even its negative."""
    values = np.zeros((224, 224, 1))
    values[100:120, 100:120] = np.random.default_rng(7).normal(0, 1, (20, 20, 1))
    return values


#: name -> wrong variant of the reference, as a run makes them of its own maps
MUTANTS: dict[str, Callable[[Map], Map]] = {name: mutant.change for name, mutant in controls.MUTANTS.items()}
