"""Functions of `tf.image`, spelled as layers."""

from __future__ import annotations

import numpy as np

from parity.keras.functions.arithmetic import multiply
from parity.keras.functions.reducing import reduced
from parity.keras.functions.spelling import Arguments, Composition, NotSpelledError, Spelled, first_tensor

_COLOURS = 3
_OF_COLOURS = [float(np.float32(weight)) for weight in (0.2989, 0.5870, 0.1140)]
"""What TensorFlow adds up to grey."""


def resize(arguments: Arguments) -> tuple[Spelled, ...]:
    """`tf.image.resize`: an image in another size."""
    x, size = first_tensor(arguments), arguments.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int for side in size):
        raise NotSpelledError(f"resizes to {size!r}, and only constants are supported")
    for name in ("preserve_aspect_ratio", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if arguments.get(name):
            raise NotSpelledError(f"is called with {name}=True")
    if arguments.get("data_format") not in (None, "channels_last"):
        raise NotSpelledError("resizes images with their channels first")
    how = str(arguments.get("method", arguments.get("interpolation", "bilinear")))
    return (Spelled("Resizing", {"height": size[0], "width": size[1], "interpolation": how}, (x.name,)),)


def grey_to_colours(arguments: Arguments) -> tuple[Spelled, ...]:
    """`tf.image.grayscale_to_rgb`: the one channel three times."""
    x = first_tensor(arguments)
    if x.shape[-1] != 1:
        raise NotSpelledError(f"makes colours of {x.shape[-1]} channels")
    return (Spelled("Concatenate", {"axis": -1}, (x.name,) * _COLOURS),)


def colours_to_grey(arguments: Arguments) -> tuple[Spelled, ...]:
    """`rgb_to_grayscale`: a sum of the colours, by weights that TensorFlow keeps as float32."""
    x = first_tensor(arguments)
    if x.shape[-1] != _COLOURS or arguments.get("data_format") not in (None, "channels_last"):
        raise NotSpelledError(f"makes grey of {x.shape[-1]} channels, or of channels first")
    composition = Composition()
    weighted = composition.add(multiply, {"x": x, "y": _OF_COLOURS}, x.shape)
    composition.add(reduced("Sum"), {"x": weighted, "axis": -1, "keepdims": True})
    return composition.layers
