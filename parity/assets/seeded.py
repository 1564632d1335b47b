"""VGG16 and VGG19 with weights from a fixed seed, for machines that do not have the official ones.

The architecture is that of Keras applications (`parity.keras.architectures`), with its 1000 classes. The
weights are drawn from He's normal distribution and then scaled layer by layer, on the three shared photos, so
that pre-activations have a root mean square near 1 all the way to the logits. Biases have both signs. Nothing
was trained: class numbers mean nothing.

The file is laid out like Keras' own weights-only `.h5` and is the same on every machine: draws are rounded to
a grid and scales to four significant bits, so that the last bit of a logarithm or of a sum does not show.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from parity.assets.inputs import PHOTOS, photo
from parity.assets.preprocessing import FloatArray, caffe
from parity.errors import ParityError
from parity.paths import cache_folder, expanded

if TYPE_CHECKING:
    import torch

SEED = 20230901
# Part of the file's name: raise it with any change that changes the weights.
RECIPE = 1
_GRID = 2.0**-12
_SCALE_BITS = 4
_BIAS_GRID = 2.0**-6
_BIAS_STD = 0.25

_log = logging.getLogger(__name__)


class SeededWeightsError(ParityError):
    """The seeded weights cannot be made or kept; the message says where and why."""


@dataclass(frozen=True)
class Layer:
    """A Keras layer as far as weights go; `kernel` is its shape in Keras layout, empty for a layer without."""

    name: str
    class_name: str
    kernel: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return math.prod(self.kernel) + self.kernel[-1] if self.kernel else 0


def layers_of(config: Mapping[str, Any]) -> list[Layer]:
    """Return the layers of a VGG from its Keras config, with the kernel shapes that follow from it.

    Parameters
    ----------
    config
        A Sequential config: 3x3 convolutions with `same` padding, 2x2 max-pools, Flatten, dense layers.

    Raises
    ------
    ValueError
        If there is another kind of layer in it.
    """
    found: list[Layer] = []
    size = channels = 0
    for entry in config["config"]["layers"]:
        class_name, settings = entry["class_name"], entry["config"]
        kernel: tuple[int, ...] = ()
        if class_name == "InputLayer":
            _, size, _, channels = settings["batch_input_shape"]
        elif class_name == "Conv2D":
            kernel = (3, 3, channels, settings["filters"])
        elif class_name == "MaxPooling2D":
            size //= 2
        elif class_name == "Flatten":
            channels *= size * size
        elif class_name == "Dense":
            kernel = (channels, settings["units"])
        else:
            raise ValueError(f"no VGG: a {class_name} layer, {settings['name']}")
        found.append(Layer(settings["name"], class_name, kernel))
        channels = kernel[-1] if kernel else channels
    return found


def cache_dir() -> Path:
    """Return the folder for files made on demand: `PARITY_CACHE`, else the user's cache folder.

    Raises
    ------
    SeededWeightsError
        If there is neither.
    """
    if given := os.environ.get("PARITY_CACHE"):
        return expanded(given)
    folder = cache_folder()
    if folder is None:
        raise SeededWeightsError("there is no home folder to keep made weights in; PARITY_CACHE can name a folder")
    return folder


def cached_path(architecture: str) -> Path:
    """Return where the weights of ``"vgg16"`` or ``"vgg19"`` lie, or will lie once made."""
    return cache_dir() / f"{architecture}-seeded-{RECIPE}.h5"


def ensure(architecture: str) -> Path:
    """Return the weights file of ``"vgg16"`` or ``"vgg19"``, and make it first if it is missing or cut short.

    Making VGG16 (528 MB) takes some ten seconds. Two processes that ask at once make it once.

    Raises
    ------
    SeededWeightsError
        If the file cannot be written.
    """
    from filelock import FileLock

    from parity.keras.architectures import known_architecture

    path = cached_path(architecture)
    if _whole(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not _whole(path):
                write(known_architecture(architecture), path)
    except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either, at length
        reason = "the disk is full" if "No space left" in str(error) else " ".join(str(error).split())
        raise SeededWeightsError(
            f"cannot make the seeded {architecture} weights in {path.parent}: {reason}; "
            "PARITY_CACHE can name another folder"
        ) from error
    return path


def write(config: Mapping[str, Any], path: Path) -> None:
    """Draw, scale and write the weights of a VGG to `path`; until all is written, nothing is there.

    Parameters
    ----------
    config
        What `layers_of` takes.
    path
        The `.h5` to write, in a folder that exists.

    Raises
    ------
    OSError, RuntimeError
        If the disk is full or may not be written to.
    """
    layers = layers_of(config)
    needed = 4 * sum(layer.parameters for layer in layers) + (1 << 20)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(f"{needed >> 20} MB needed, {free >> 20} MB free")
    _log.info("making %s (%d MB, once)", path, needed >> 20)
    temporary = path.with_suffix(".part")
    try:
        with h5py.File(temporary, "w") as file:
            _write_names(file, [layer.name for layer in layers])
            for name, kernel, bias in weights(config):
                group = file[name]
                inner = group.create_group(name)
                inner.create_dataset("kernel:0", data=kernel)
                inner.create_dataset("bias:0", data=bias)
                group.attrs["weight_names"] = np.array([f"{name}/kernel:0", f"{name}/bias:0"], dtype="S")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_names(file: h5py.File, names: list[str]) -> None:
    """Write what Keras 2 looks for in a weights-only file; layers without weights have a group too."""
    file.attrs["layer_names"] = np.array(names, dtype="S")
    file.attrs["backend"] = np.bytes_("tensorflow")
    file.attrs["keras_version"] = np.bytes_("2.12.0")
    file.attrs["made_by"] = np.bytes_(f"parity.assets.seeded, recipe {RECIPE}, seed {SEED}")
    for name in names:
        file.create_group(name).attrs["weight_names"] = np.array([], dtype="S1")


def _whole(path: Path) -> bool:
    """Whether the file is there and HDF5 does not find it cut short."""
    if not path.is_file():
        return False
    try:
        with h5py.File(path):
            return True
    except OSError:
        return False


def weights(config: Mapping[str, Any]) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Yield (layer name, kernel, bias) of a VGG from input to logits, float32 in Keras layout.

    Every layer is scaled on what the photos have become after the layers before it.
    """
    import torch

    layers = layers_of(config)
    depth = sum(bool(layer.kernel) for layer in layers)
    activations = torch.from_numpy(_photos(config["config"]["layers"][0]["config"]["batch_input_shape"][1]))
    number = 0
    for layer in layers:
        if layer.class_name == "MaxPooling2D":
            activations = torch.nn.functional.max_pool2d(activations.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        elif layer.class_name == "Flatten":
            activations = activations.flatten(1)
        elif layer.kernel:
            # The depth keeps VGG16 and VGG19 from sharing weights.
            generator = np.random.Generator(np.random.PCG64([SEED, depth, number]))
            kernel, bias = _draws(generator, layer.kernel), _biases(generator, layer.kernel[-1])
            kernel *= _rounded(1.0 / _rms(_linear(activations, kernel)))
            yield layer.name, kernel, bias
            number += 1
            activations = _linear(activations, kernel) + torch.from_numpy(bias)
            if number < depth:
                activations = activations.clamp_(min=0.0)


def _photos(size: int) -> FloatArray:
    """Return the shared photos, preprocessed; every nth pixel of them for a smaller architecture."""
    pictures = np.stack([photo(name) for name in PHOTOS])
    step = pictures.shape[1] // size
    return caffe(pictures[:, ::step, ::step][:, :size, :size])


def _draws(generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draw from the unit normal distribution, on a grid that hides how a machine rounds logarithms."""
    values = generator.standard_normal(shape, dtype=np.float32)
    values *= np.float32(1 / _GRID)
    np.rint(values, out=values)
    values *= np.float32(_GRID)
    return values


def _biases(generator: np.random.Generator, width: int) -> FloatArray:
    """Draw biases of both signs on a coarse grid; none is zero."""
    values = np.rint(generator.standard_normal(width) * (_BIAS_STD / _BIAS_GRID))
    values[values == 0] = 1
    return (values * _BIAS_GRID).astype(np.float32)


def _rounded(scale: float) -> np.float32:
    """Round to a few significant bits: draws on the grid times such a scale are exact in float32."""
    mantissa, exponent = np.frexp(scale)
    return np.float32(np.ldexp(np.rint(np.ldexp(mantissa, _SCALE_BITS)), exponent - _SCALE_BITS))


def _linear(activations: torch.Tensor, kernel: FloatArray) -> torch.Tensor:
    """Apply a convolution (activations N, H, W, C) or dense layer (N, F) without its bias."""
    import torch

    weight = torch.from_numpy(kernel)
    if weight.ndim == 2:
        return activations @ weight
    pictures = activations.permute(0, 3, 1, 2).contiguous()
    moved = torch.nn.functional.conv2d(pictures, weight.permute(3, 2, 0, 1).contiguous(), padding=1)
    return moved.permute(0, 2, 3, 1)


def _rms(values: torch.Tensor) -> float:
    array: npt.NDArray[np.float64] = values.numpy().astype(np.float64)
    return float(np.sqrt(np.mean(np.square(array))))
