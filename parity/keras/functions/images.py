"""Functions of images, spelled as layers."""

from __future__ import annotations

import numpy as np

from parity.keras.functions.arithmetic import multiply
from parity.keras.functions.parts import ALL_PLACES, part
from parity.keras.functions.reducing import reduced
from parity.keras.functions.shapes import space_to_depth
from parity.keras.functions.spelling import (
    Arguments,
    Composition,
    NotSpelledError,
    OpenSizeError,
    Spelled,
    first_tensor,
)

_COLOURS = 3
_NO_DILATION = (None, 1, [1], [1, 1], [1, 1, 1, 1])
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


def patches(arguments: Arguments) -> tuple[Spelled, ...]:
    """``extract_patches``: square blocks beside each other, the values of each one after another as channels."""
    x = first_tensor(arguments)
    sizes = arguments.get("sizes", arguments.get("size"))
    strides = arguments.get("strides") or sizes
    rates, padding = arguments.get("rates", arguments.get("dilation_rate")), str(arguments.get("padding")).lower()
    sides = [size for size in sizes if size != 1] if isinstance(sizes, list) else []
    beside = strides == sizes and rates in _NO_DILATION and len(sides) == 2 and sides[0] == sides[1]
    if len(x.shape) != 3 or not beside or arguments.get("data_format") not in (None, "channels_last"):
        raise NotSpelledError(f"takes patches of {sizes!r} every {strides!r}; squares beside each other are supported")
    if None in x.shape:
        raise OpenSizeError("takes patches of an open size")
    height, width = ((size or 0) % sides[0] for size in x.shape[:2])
    if (height or width) and padding != "valid":
        raise NotSpelledError(f"takes patches with padding={padding!r} of sides that they do not divide")
    composition, shape = Composition(), (*((size or 0) // sides[0] * sides[0] for size in x.shape[:2]), x.shape[2])
    key = [ALL_PLACES, *({**ALL_PLACES, "stop": size} for size in shape[:2])]
    inside = composition.add(part, {"x": x, "key": key}, shape) if height or width else x
    composition.add(space_to_depth, {"x": inside, "block_size": sides[0]})
    return composition.layers


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
