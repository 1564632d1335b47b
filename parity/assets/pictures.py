"""Pictures of the user: image files, as 8-bit pixels of the size that a model takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from parity.assets.errors import InputError
from parity.assets.preprocessing import Picture


def read_picture(path: Path, size: tuple[int, int], gray: bool) -> Picture:
    """Return the pixels of an image file, resized: (H, W, 3), or (H, W) for a gray one.

    Raises
    ------
    InputError
        If it is no image, damaged, or would lose something by the conversion.
    """
    try:
        with Image.open(path) as image:
            image.load()
            _refuse_odd_images(path, image)
            return resized(image.convert("L" if gray else "RGB"), size)
    except UnidentifiedImageError:
        raise InputError(f"{path} is neither an image that Pillow can read nor an .npy or .npz file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is a damaged image: {error}") from error


def _refuse_odd_images(path: Path, image: Image.Image) -> None:
    """Refuse pictures whose conversion to 8-bit RGB would lose something without a word."""
    if image.mode.startswith(("I", "F")):
        raise InputError(f"{path} has {image.mode} pixels, not 8 bits per channel; convert it, or give an array")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise InputError(f"{path} has transparent pixels; put it on a background first")


def resized(image: Image.Image, size: tuple[int, int]) -> Picture:
    """Return the pixels of an image, resized to (height, width)."""
    height, width = size
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)
