"""Turns 8-bit pictures into network input, once, in NumPy, so that every framework reads the same bytes.

Only NumPy is imported here: the training scripts use the same functions in the TensorFlow environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

# Mean blue, green and red of the ImageNet training pictures, as Keras applications subtract them.
CAFFE_MEANS_BGR = (103.939, 116.779, 123.68)


def none(pixels: npt.NDArray[Any]) -> FloatArray:
    """Return the values as they are, as float32 (pictures stay in 0..255)."""
    return np.ascontiguousarray(pixels, dtype=np.float32)


def caffe(pixels: npt.NDArray[Any]) -> FloatArray:
    """Return RGB pixels (..., 3) in 0..255 as BGR minus the ImageNet means (Keras calls it mode "caffe").

    The subtraction is done in float32: the same bits as from `keras.applications.vgg16.preprocess_input`.

    Raises
    ------
    ValueError
        If the last axis does not have three channels.
    """
    if pixels.shape[-1:] != (3,):
        raise ValueError(f"caffe preprocessing needs RGB pixels, channels last; got shape {pixels.shape}")
    bgr = pixels[..., ::-1].astype(np.float32)
    return np.ascontiguousarray(bgr - np.asarray(CAFFE_MEANS_BGR, dtype=np.float32))


def signed(pixels: npt.NDArray[Any]) -> FloatArray:
    """Return pixels in 0..255 scaled to [-1, 1]: black is -1, white is 1."""
    return np.ascontiguousarray(pixels.astype(np.float32) / np.float32(127.5) - np.float32(1.0))


def negative(pixels: npt.NDArray[Any]) -> FloatArray:
    """Return pixels in 0..255 scaled to [-1, 0]: black is -1, white is 0.

    This is the scaling of the MNIST example of the SIGN paper (Gumpfer et al. 2023): the ink of a digit is
    near zero, so that gradient x input cannot mark it and gradient x sign can.
    """
    return np.ascontiguousarray(pixels.astype(np.float32) / np.float32(255.0) - np.float32(1.0))


PREPROCESSING: Mapping[str, Callable[[npt.NDArray[Any]], FloatArray]] = MappingProxyType(
    {"none": none, "caffe": caffe, "signed": signed, "negative": negative}
)


def pad_digits(digits: Picture) -> Picture:
    """Return digits (N, 28, 28) with two black pixels on every side and a channel axis: (N, 32, 32, 1)."""
    return np.pad(digits, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis]
