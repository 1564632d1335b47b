"""Handlers: layers that prepare images and numbers, as they are at inference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity.keras.augmentations import RANDOM_IN_KERAS_2
from parity.keras.handlers.layer import Built, FloatArray, Layer, Value, Variable
from parity.keras.modules.moving import Crop, TrainingOnly
from parity.keras.modules.normalization import Affine, Standardize
from parity.keras.modules.resizing import NearestResize, Resize, centre_of_shape

_SMALLEST_DEVIATION = 1e-7  # keras.backend.epsilon()
_IMAGE_AXES = 3
_RESIZES = {"bilinear": Resize, "nearest": NearestResize}
_OPENS = {"RandomHeight": 0, "RandomWidth": 1}


def rescaling(layer: Layer) -> Built:
    """`Rescaling`: times a constant, plus another; numbers, or lists that broadcast from the last axis."""
    parts = [_constant(layer, key, default) for key, default in (("scale", None), ("offset", 0.0))]
    if layer.keras_major < 3 or not _computes_in_float64(layer):
        # TensorFlow makes a float32 tensor of a Python number before it casts it to the dtype of the layer. Keras 3
        # casts it to the layer's dtype at once, which is float32 but in rare models.
        parts = [part.astype(np.float32) for part in parts]
    scale, offset = parts
    module = Affine(
        layer.tensor(_in_torch(layer, scale, "scale")),
        layer.tensor(_in_torch(layer, offset, "offset")) if offset.any() else None,
    )
    return Built(Value(layer.input.shape), (("", module),))


def _computes_in_float64(layer: Layer) -> bool:
    dtype = layer.node.config.get("dtype")
    inner = dtype.get("config") if isinstance(dtype, Mapping) else None
    return (inner.get("name") if isinstance(inner, Mapping) else dtype) == "float64"


def layer_scale(layer: Layer) -> Built:
    """`LayerScale` of ConvNeXt: times one learned number per channel."""
    channels = layer.known(layer.input.shape[-1], "number of channels")
    if layer.config.integer("projection_dim") != channels:
        raise layer.fail(f"'projection_dim' is {layer.node.config['projection_dim']!r}, the input has {channels}")
    gamma = layer.weight("gamma", (channels,))
    return Built(Value(layer.input.shape), (("", Affine(layer.tensor(_in_torch(layer, gamma, "gamma")), None)),))


def normalization_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Mean, variance and the number of samples they are of; none where the configuration holds constants."""
    if config.get("mean") is not None:
        return ()
    return tuple(Variable(name, trainable=False) for name in ("mean", "variance", "count"))


def normalization(layer: Layer) -> Built:
    """Subtract the mean and divide by the deviation, both learned or constant, or go back: `Normalization`."""
    rank = len(layer.input.shape)
    axes = layer.node.config.get("axis", -1)
    axes = [] if axes is None else axes if isinstance(axes, list) else [axes]
    kept = sorted(axis + rank + 1 if type(axis) is int and axis < 0 else axis for axis in axes if type(axis) is int)
    if len(kept) != len(axes) or len(set(kept)) != len(axes) or not all(1 <= axis <= rank for axis in kept):
        raise layer.fail(f"'axis' is {axes!r}, expected different axes from 1 to {rank}")
    sizes = tuple(layer.known(layer.input.shape[axis - 1], "size along 'axis'") for axis in kept)
    if layer.node.config.get("mean") is None:
        mean, variance = layer.weight("mean", sizes), layer.weight("variance", sizes)
        layer.weight("count", ())
    else:
        mean, variance = (_broadcast(layer, _constant(layer, key, None), sizes, key) for key in ("mean", "variance"))
    if variance.min(initial=0) < 0:
        raise layer.fail("'variance' is negative: the file is damaged, save the model again")
    deviation = np.maximum(np.sqrt(variance), np.asarray(_SMALLEST_DEVIATION, variance.dtype))
    along = dict(zip(kept, sizes, strict=True))
    broadcast = [along.get(axis, 1) for axis in range(1, rank + 1)]
    mean, deviation = (np.moveaxis(part.reshape(broadcast), -1, 0) for part in (mean, deviation))
    module = Standardize(layer.tensor(mean), layer.tensor(deviation), layer.config.flag("invert", False))
    return Built(Value(layer.input.shape), (("", module),))


def random(layer: Layer) -> Built:
    """`RandomFlip` and the other augmentations, which do nothing at inference."""
    if layer.keras_major < 3 and layer.node.class_name not in RANDOM_IN_KERAS_2:
        raise layer.fail(
            "its class is none of Keras 2's own: a class of yours is never run. Leave the augmentation out of the model"
        )
    shape = list(layer.input.shape)
    opens = _OPENS.get(layer.node.class_name)
    if opens is not None:
        layer.rank(_IMAGE_AXES)
        shape[opens] = None  # as Keras says, though the size is what it was
    return Built(Value(tuple(shape), layer.input.order), (("", TrainingOnly()),))


def stochastic_depth(layer: Layer) -> Built:
    """`StochasticDepth` of ConvNeXt, which drops nothing at inference."""
    rate = layer.config.number("drop_path_rate")
    if not 0 <= rate <= 1:
        raise layer.fail(f"'drop_path_rate' is {rate}, expected 0 to 1")
    return Built(layer.input, (("", TrainingOnly()),))


def centre_crop(layer: Layer) -> Built:
    """`CenterCrop`: the middle of an image that is large enough; else resized, as `RandomCrop` of Keras 2 does."""
    height, width, channels = _image(layer)
    target = _target(layer)
    if height < target[0] or width < target[1]:
        return _middle_resized(layer)
    starts = ((height - target[0]) // 2, (width - target[1]) // 2)
    margins = tuple(
        (start, size - start - kept) for start, size, kept in zip(starts, (height, width), target, strict=True)
    )
    return Built(Value((*target, channels)), (("", Crop(margins)),))


def random_crop(layer: Layer) -> Built:
    """`RandomCrop` at inference: the largest middle part of the target's shape, resized."""
    height, width, _ = _image(layer)
    target = _target(layer)
    if layer.keras_major >= 3 and target != (height, width):
        raise layer.fail(
            f"Keras 3 crops to {target[0]} x {target[1]} in training alone, and says that the image has this size also "
            "where it leaves it alone. Leave the layer out of the model"
        )
    return _middle_resized(layer)


def _middle_resized(layer: Layer) -> Built:
    """Return the largest middle part of the target's shape, resized to the target."""
    height, width, channels = _image(layer)
    target = _target(layer)
    module = Resize(centre_of_shape((height, width), target), target)
    return Built(Value((*target, channels)), (("", module),))


def resizing(layer: Layer) -> Built:
    """`Resizing`, bilinear or nearest."""
    height, width, channels = _image(layer)
    target = _target(layer)
    how = str(layer.node.config.get("interpolation", "bilinear")).lower()
    if how not in _RESIZES:
        raise layer.fail(
            f"'interpolation' is {how!r}; only {' and '.join(_RESIZES)} are supported. "
            "Use one of these, or resize before the model"
        )
    for key in ("pad_to_aspect_ratio", "antialias"):
        if layer.node.config.get(key):
            raise layer.fail(f"{key!r} is not supported. Rebuild the layer without it")
    whole = ((0, 0), (0, 0))
    crops = layer.config.flag("crop_to_aspect_ratio", False)
    margins = centre_of_shape((height, width), target) if crops else whole
    return Built(Value((*target, channels)), (("", _RESIZES[how](margins, target)),))


def _image(layer: Layer) -> tuple[int, int, int]:
    layer.require_channels_last()
    layer.rank(_IMAGE_AXES)
    height, width, channels = (layer.known(size, "image size") for size in layer.input.shape)
    return height, width, channels


def _target(layer: Layer) -> tuple[int, int]:
    target = layer.config.integer("height"), layer.config.integer("width")
    if min(target) < 1:
        raise layer.fail(f"its target is {target[0]} x {target[1]}, expected positive sizes")
    return target


def _constant(layer: Layer, key: str, default: float | None) -> FloatArray:
    """Read a number, or a list of numbers however nested, from the configuration."""
    value = layer.node.config.get(key, default)
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        value = value["config"].get("value")  # an array, as Keras wraps it
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.asarray(np.nan)
    if value is None or not np.isfinite(array).all() or array.size == 0:
        raise layer.fail(f"{key!r} is {value!r}, expected a number or a list of numbers")
    return array


def _broadcast(layer: Layer, array: FloatArray, sizes: tuple[int, ...], key: str) -> FloatArray:
    try:
        return np.asarray(array * np.ones(sizes)).reshape(sizes)
    except ValueError as error:
        raise layer.fail(f"{key!r} has the shape {array.shape}, which does not fit {sizes}") from error


def _in_torch(layer: Layer, array: FloatArray, key: str) -> FloatArray:
    """Bring constants that broadcast over a Keras tensor, batch left out, into an array for `(N, C, ...)`."""
    shape = layer.input.shape
    padded = array.reshape((1,) * (len(shape) - array.ndim) + array.shape) if array.ndim <= len(shape) else None
    if padded is None or any(size not in (1, there) for size, there in zip(padded.shape, shape, strict=True)):
        raise layer.fail(f"{key!r} has the shape {array.shape}, which does not fit the input {shape}")
    return np.moveaxis(padded, -1, 0)
