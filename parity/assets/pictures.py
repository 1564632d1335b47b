"""Pictures of the user: image files, as 8-bit pixels of the size that a model takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from parity.assets.errors import InputError
from parity.assets.preprocessing import Picture
from parity.errors import brief
from parity.looks import look

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
"""What is read; what Pillow has for others starts programs (PostScript), or is hardly ever used and tested."""
MOST_PIXELS = 50_000_000
"""Larger pictures take a gigabyte on their way to the small ones that models take."""


def read_picture(path: Path, size: tuple[int, int], gray: bool) -> Picture:
    """Return the pixels of an image file, upright as its EXIF data says and resized: (H, W, 3), or (H, W) for gray.

    Raises
    ------
    InputError
        If it is no image of `FORMATS`, damaged, has more than `MOST_PIXELS`, or would lose something by the
        conversion: bits, transparency, further frames.
    """
    look(_picture, path, list(size), gray, error=InputError)
    return _picture(path, size, gray)


def _picture(path: Path, size: tuple[int, int], gray: bool) -> Picture:
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.verify()  # the checksums of a PNG's pixels, which reading them passes over
        with Image.open(path, formats=FORMATS) as image:
            _refuse_many_pixels(path, image)
            _refuse_odd_images(path, image)
            image.load()
            _refuse_transparency(path, image)
            upright = ImageOps.exif_transpose(image)
            return resized(upright.convert("L" if gray else "RGB"), size)
    except UnidentifiedImageError:
        kinds = ", ".join(FORMATS)
        raise InputError(f"{path} is neither an image that is read here ({kinds}) nor an .npy or .npz file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is a damaged image: {brief(error)}") from error


def _refuse_many_pixels(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise InputError(
            f"{path} has {image.width} x {image.height} pixels, more than {MOST_PIXELS / 1e6:.0f} million; make it "
            "smaller first"
        )


def _refuse_odd_images(path: Path, image: Image.Image) -> None:
    """Refuse pictures whose conversion to one of 8-bit RGB would lose something without a word."""
    if image.mode.startswith(("I", "F")):
        raise InputError(f"{path} has {image.mode} pixels, not 8 bits per channel; convert it, or give an array")
    if (bits := _bits(path, image)) > 8:
        raise InputError(f"{path} has {bits} bits per channel, not 8; convert it, or give an array")
    # MPO is what cameras make of a JPEG: the picture, then its preview or its depth.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise InputError(f"{path} has more than one frame or page; save the one that is meant as a file of its own")


def _bits(path: Path, image: Image.Image) -> int:
    """Return the bits per channel in a file; Pillow keeps 8 of 16 in colour pictures."""
    if image.format == "PNG":
        with path.open("rb") as stream:
            return stream.read(25)[24]  # signature, then the header chunk: length, name, width, height, depth
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(int(bits) for bits in image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (8,)))
    return 8


def _refuse_transparency(path: Path, image: Image.Image) -> None:
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise InputError(f"{path} has transparent pixels; put it on a background first")


def resized(image: Image.Image, size: tuple[int, int]) -> Picture:
    """Return the pixels of an image, resized to (height, width)."""
    height, width = size
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.uint8)
