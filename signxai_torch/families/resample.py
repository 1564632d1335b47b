"""Resampling of class-activation maps, bit for bit as the reference's libraries do it.

`bicubic_8bit` is Pillow's ``Image.resize`` for 8-bit images (what SIGN-XAI's Grad-CAM calls): separable
convolution with the a = -0.5 cubic, widened when shrinking, coefficients in 22-bit fixed point, and rounding to
8 bits after each of the two passes. `linear` is SciPy's ``interp1d`` on a grid over the whole series.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
CUBIC = -0.5  # Pillow's cubic parameter
SUPPORT = 2.0  # half width of the cubic
PRECISION = 32 - 8 - 2  # Pillow's fixed-point bits for 8-bit channels


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1:
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    if x < SUPPORT:
        return (((x - 5) * x + 8) * x - 4) * CUBIC
    return 0.0


@lru_cache(maxsize=64)
def _coefficients(size: int, target: int) -> Array:
    """Return Pillow's weights for one axis: whole numbers, (target, size), in fixed point."""
    scale = size / target
    widened = max(scale, 1.0)
    support = SUPPORT * widened
    inverse = 1.0 / widened
    matrix = np.zeros((target, size))
    for row, index in zip(matrix, range(target), strict=True):
        centre = (index + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        weights = np.array([_cubic((k + first - centre + 0.5) * inverse) for k in range(last - first)])
        total = weights.sum()
        if total != 0:
            weights = weights * (1.0 / total)
        half = np.where(weights < 0, -0.5, 0.5)
        row[first:last] = (half + weights * (1 << PRECISION)).astype(np.int64)
    return matrix


def _resize_rows(images: Array, target: int) -> Array:
    # Whole numbers below 2 ** 53: the product is exact in float64, whatever the order of its sums.
    total = (_coefficients(images.shape[-2], target) @ images.astype(np.float64)).astype(np.int64)
    rows: Array = np.clip((total + (1 << (PRECISION - 1))) >> PRECISION, 0, 255).astype(np.uint8)
    return rows


def _resize_columns(images: Array, target: int) -> Array:
    return _resize_rows(images.swapaxes(-1, -2), target).swapaxes(-1, -2)


def bicubic_8bit(images: Array, height: int, width: int) -> Array:
    """Resize 8-bit images.

    Parameters
    ----------
    images : numpy.ndarray
        uint8, shape (..., H, W).
    height, width : int
        The new size.

    Returns
    -------
    numpy.ndarray
        uint8, shape (..., height, width), equal to what Pillow 13 makes of ``resize((width, height))``, bicubic, bit
        for bit where not both sizes shrink; where both do, Pillow may order its passes otherwise. Grad-CAM enlarges.
    """
    if images.dtype != np.uint8 or images.ndim < 2:
        raise ValueError(f"expected uint8 of shape (..., H, W), not {images.dtype} of shape {images.shape}")
    if images.shape[-2] > height and images.shape[-1] < width:  # Pillow 13: the pass that shrinks goes first
        images = _resize_rows(images, height)
    if images.shape[-1] != width:  # else the horizontal one, and none where the size stays
        images = _resize_columns(images, width)
    if images.shape[-2] != height:
        images = _resize_rows(images, height)
    return images


def linear(series: Array, length: int) -> Array:
    """Return `series` (T,) interpolated linearly at `length` points spread over it, both ends included."""
    return np.interp(np.linspace(0, len(series) - 1, num=length), np.arange(len(series)), series)
