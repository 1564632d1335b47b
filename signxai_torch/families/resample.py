"""Resampling of class-activation maps, bit for bit as the reference's libraries do it.

`bicubic_8bit` is Pillow's ``Image.resize`` for 8-bit images (what SIGN-XAI's Grad-CAM calls): separable
convolution with the a = -0.5 cubic, widened when shrinking, coefficients in 22-bit fixed point, and rounding to
8 bits after each of the two passes. `linear` is SciPy's ``interp1d`` on a grid over the whole series.
"""

from __future__ import annotations

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


def _coefficients(size: int, target: int) -> list[tuple[int, Array]]:
    scale = size / target
    widened = max(scale, 1.0)
    support = SUPPORT * widened
    rows: list[tuple[int, Array]] = []
    for index in range(target):
        centre = (index + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), size)
        inverse = 1.0 / widened
        weights = np.array([_cubic((k + first - centre + 0.5) * inverse) for k in range(last - first)])
        total = weights.sum()
        if total != 0:
            weights = weights * (1.0 / total)
        half = np.where(weights < 0, -0.5, 0.5)
        rows.append((first, (half + weights * (1 << PRECISION)).astype(np.int64)))
    return rows


def _resize_rows(image: Array, target: int) -> Array:
    result = np.empty((target, *image.shape[1:]), np.uint8)
    for index, (first, weights) in enumerate(_coefficients(image.shape[0], target)):
        window = image[first : first + len(weights)].astype(np.int64)
        total = np.tensordot(weights, window, axes=1) + (1 << (PRECISION - 1))
        result[index] = np.clip(total >> PRECISION, 0, 255)
    return result


def bicubic_8bit(image: Array, height: int, width: int) -> Array:
    """Resize an 8-bit image.

    Parameters
    ----------
    image : numpy.ndarray
        uint8, shape (H, W).
    height, width : int
        The new size.

    Returns
    -------
    numpy.ndarray
        uint8, shape (height, width), equal to what Pillow 13 makes of ``resize((width, height))``, bicubic, bit for
        bit where not both sizes shrink; where both do, Pillow may order its passes otherwise. Grad-CAM enlarges.
    """
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"expected uint8 of shape (H, W), not {image.dtype} of shape {image.shape}")
    if image.shape[0] > height and image.shape[1] < width:  # Pillow 13: the pass that shrinks goes first
        image = _resize_rows(image, height)
    if image.shape[1] != width:  # else the horizontal one, and none where the size stays
        image = _resize_rows(image.T, width).T
    if image.shape[0] != height:
        image = _resize_rows(image, height)
    return image


def linear(series: Array, length: int) -> Array:
    """Return `series` (T,) interpolated linearly at `length` points spread over it, both ends included."""
    return np.interp(np.linspace(0, len(series) - 1, num=length), np.arange(len(series)), series)
