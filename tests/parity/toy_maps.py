"""One toy reference map and wrong variants of it, shared by the tests of metrics, verdict and meta."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

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


def _noise(reference: Map, share: float) -> Map:
    noise = np.random.default_rng(1).normal(size=reference.shape)
    return reference + share * noise * np.linalg.norm(reference) / np.linalg.norm(noise)


def _one_pixel(reference: Map) -> Map:
    out = reference.copy()
    out[3, 4, 1] += 0.5 * np.abs(reference).max()
    return out


def _one_nan(reference: Map) -> Map:
    out = reference.copy()
    out[2, 5, 0] = np.nan
    return out


#: name -> wrong variant of the reference
MUTANTS: dict[str, Callable[[Map], Map]] = {
    "scale_20_86": lambda r: r * 20.86,
    "scale_logit": lambda r: r * 0.5515,
    "scale_1_02": lambda r: r * 1.02,
    "scale_1_0014": lambda r: r * 1.0014,
    "offset_half_sd": lambda r: r + 0.5 * r.std(),
    "abs": np.abs,
    "negative": lambda r: -r,
    "flip_rgb": lambda r: r[..., ::-1],
    "flip_lr": lambda r: r[:, ::-1],
    "transposed": lambda r: r.transpose(1, 0, 2),
    "shift_one_pixel": lambda r: np.roll(r, 1, axis=1),
    "nan": _one_nan,
    "inf": lambda r: np.where(r == r.max(), np.inf, r),
    "all_nan": lambda r: np.full_like(r, np.nan),
    "shape_batch_axis": lambda r: r[None],
    "shape_cropped": lambda r: r[:-1],
    "channels_first": lambda r: r.transpose(2, 0, 1),
    "zero": np.zeros_like,
    "constant": lambda r: np.full_like(r, r.max()),
    "noise_2_percent": lambda r: _noise(r, 0.02),
    "one_pixel": _one_pixel,
    "sign_zero_lost": lambda r: np.where(r == 0, 0.05 * r.max(), r),
}
