"""What models are explained on: the shipped digits, photos and time series, and the user's arrays and images."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from parity.assets.arrays import read_arrays, samples_of
from parity.assets.errors import InputError
from parity.assets.pictures import read_picture, resized
from parity.assets.preprocessing import PREPROCESSING, FloatArray, Picture, pad_digits
from parity.hashing import array_sha256
from parity.paths import printable

if TYPE_CHECKING:
    from parity.assets.source import ModelSource

DATA = Path(__file__).resolve().parent / "data"
PHOTOS = ("astronaut", "chelsea", "coffee")
PHOTO_SIZE = (224, 224)


@dataclass(frozen=True, eq=False)
class Input:
    """One sample to explain.

    Attributes
    ----------
    name
        Unique among the inputs of one run.
    array
        What the network reads: float32, Keras layout (channels last), no batch axis, preprocessed.
    sha256
        `parity.hashing.array_sha256` of `array`.
    label
        The true class, where it is known.
    display
        The picture for people, uint8 RGB (H, W, 3); None for anything that is no picture.
    file
        Where it was read from; None for shipped inputs.
    name_in_file
        What it is called when that file is read alone.
    """

    name: str
    array: FloatArray
    sha256: str
    label: int | None
    display: Picture | None
    file: Path | None = None
    name_in_file: str = ""


def _sample(name: str, array: FloatArray, label: int | None = None, display: Picture | None = None) -> Input:
    return Input(name, array, array_sha256(array), label, display)


# --- shipped inputs --------------------------------------------------------------------------------------


def photo(name: str) -> Picture:
    """Return a photo that ships with scikit-image, resized to 224 x 224: uint8 RGB (224, 224, 3).

    Resized as `keras.utils.load_img` would, without cropping, with Pillow's bilinear filter: its 8-bit path
    is integer arithmetic, so the bytes are the same on every machine.

    Parameters
    ----------
    name
        One of `PHOTOS`.
    """
    from skimage import data

    return resized(Image.fromarray(getattr(data, name)()), PHOTO_SIZE)


def _photos(preprocessing: str) -> Iterator[Input]:
    for name in PHOTOS:
        picture = photo(name)
        yield _sample(name, PREPROCESSING[preprocessing](picture), display=picture)


def _digits(preprocessing: str, pad: bool) -> Iterator[Input]:
    with np.load(DATA / "digits.npz") as file:
        pictures, labels = file["pictures"], file["labels"]
    for picture, label in zip(pad_digits(pictures) if pad else pictures[..., np.newaxis], labels, strict=True):
        display = np.repeat(picture, 3, axis=-1)
        yield _sample(f"digit_{label}", PREPROCESSING[preprocessing](picture), int(label), display)


def _gunpoint(preprocessing: str) -> Iterator[Input]:
    with np.load(DATA / "gunpoint.npz") as file:
        series, labels, positions = file["series"], file["labels"], file["positions"]
    for values, label, position in zip(series, labels, positions, strict=True):
        kind = ("gun", "point")[label]
        yield _sample(f"{kind}_{position}", PREPROCESSING[preprocessing](values), int(label))


_SETS: Mapping[str, Callable[[str], Iterator[Input]]] = MappingProxyType(
    {
        "digits": lambda preprocessing: _digits(preprocessing, pad=True),
        "digits_28": lambda preprocessing: _digits(preprocessing, pad=False),
        "photos": _photos,
        "gunpoint": _gunpoint,
    }
)


def default_inputs(source: ModelSource) -> list[Input]:
    """Return the shipped inputs that go with a model, preprocessed for it.

    Ten held-out digits, one of each class, for the MNIST networks; three photos for VGG16 and VGG19; eight
    held-out series for the time-series network.

    Raises
    ------
    InputError
        If no shipped inputs go with this model: a file of the user.
    """
    if source.input_set not in _SETS:
        raise InputError(f"no shipped inputs go with {source.name}: name arrays (.npy, .npz) or images with --inputs")
    return list(_SETS[source.input_set](source.preprocessing))


# --- inputs of the user ----------------------------------------------------------------------------------


def load_inputs(paths: Sequence[str | Path], input_shape: Sequence[int | None], preprocessing: str) -> list[Input]:
    """Read arrays and images from files, all at once; see `stream_inputs`."""
    return list(stream_inputs(paths, input_shape, preprocessing))


def expand(patterns: Sequence[str | Path]) -> list[Path]:
    """Return the files that names and globs stand for, those of each glob sorted.

    What exists under its literal name is no glob, whatever signs the name holds. ``**`` goes through folders.

    Raises
    ------
    InputError
        If a glob matches no file.
    """
    files: list[Path] = []
    for pattern in map(str, patterns):
        if Path(pattern).exists() or not glob.has_magic(pattern):
            files.append(Path(pattern))
            continue
        # Not Path.glob, which takes no absolute patterns.
        found = [path for name in sorted(glob.glob(pattern, recursive=True)) if (path := Path(name)).is_file()]  # noqa: PTH207
        if not found:
            raise InputError(f"no file matches {pattern!r}")
        files += found
    return files


def stream_inputs(
    paths: Sequence[str | Path],
    input_shape: Sequence[int | None],
    preprocessing: str,
    parts: Sequence[tuple[str, Sequence[int | None]]] = (),
    passed_over: list[str] | None = None,
) -> Iterator[Input]:
    """Read arrays and images from files, each when it is asked for.

    Images are converted to RGB (or gray, for one channel), resized to the model's size and preprocessed.
    Arrays are never resized. A float or wider integer array is taken as network input, as it is; a uint8
    array holds pixels and is preprocessed like an image. An array with a batch axis gives one input per
    sample, named ``stem[0]``, ``stem[1]`` and so on; each array of an `.npz` is named ``stem.key``. Files of one name
    are told apart by as much of their paths as it takes; a file that is named twice is read once.

    Parameters
    ----------
    paths
        `.npy`, `.npz` or image files, or globs (see `expand`).
    input_shape
        What the model takes, Keras layout without the batch axis, such as ``(224, 224, 3)``; None for an axis
        of any length.
    preprocessing
        A key of `parity.assets.preprocessing.PREPROCESSING`.
    parts
        Name and shape of each input of a model that takes several. Its samples are read from `.npz` files that hold an
        array per input under the input's name, and joined into one vector: the values of each, one after another.
    passed_over
        Where it is given, a file that cannot be read is passed over, and what is wrong with it added here.

    Yields
    ------
    Input
        In the order of `paths`, with unique names.

    Raises
    ------
    InputError
        If `paths` is empty, or at the first file that is not what it should be.
    """
    if not paths:
        raise InputError("no inputs given: name at least one .npy, .npz or image file")
    seen: set[str] = set()
    for path, label in _labelled(expand(paths)):
        here: set[str] = set()
        samples = _read(path, tuple(input_shape), preprocessing) if len(parts) < 2 else _read_together(path, parts)
        try:
            for sample in samples:
                name = _unique(printable(label + sample.name.removeprefix(path.stem)), seen)
                in_file = _unique(printable(sample.name), here)
                yield replace(sample, name=name, file=path, name_in_file=in_file)
        except Exception as error:  # whatever it is, it is of this file
            if passed_over is None:
                raise
            passed_over.append(str(error) or f"{path}: {type(error).__name__}")


def _labelled(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file once, with what its inputs are called after.

    That is its name without the ending, and where another file has the same one as much of its path as tells them
    apart: ``a/x`` and ``b/x``, or ``x.png`` and ``x.npy``.
    """
    alike: dict[str, list[Path]] = {}
    for path in dict.fromkeys(path.absolute() for path in files):
        alike.setdefault(path.stem, []).append(path)
    labels: dict[Path, str] = {}
    for group in alike.values():
        deepest = max(len(path.parts) for path in group)
        ends = ([end(path, depth) for path in group] for depth in range(1, deepest + 1) for end in (_bare_end, _end))
        labels |= zip(group, next(found for found in ends if len(set(found)) == len(group)), strict=True)
    for path in files:
        if (label := labels.pop(path.absolute(), None)) is not None:
            yield path, label


def _end(path: Path, depth: int) -> str:
    return "/".join(path.parts[-depth:])


def _bare_end(path: Path, depth: int) -> str:
    return _end(path, depth).removesuffix(path.suffix)


def _unique(name: str, seen: set[str]) -> str:
    """Return a name, numbered if it was there before (two arrays of an archive can be called alike), and note it."""
    free = next(free for n in itertools.count(1) if (free := name if n == 1 else f"{name}~{n}") not in seen)
    seen.add(free)
    return free


def _read(path: Path, shape: tuple[int | None, ...], preprocessing: str) -> Iterator[Input]:
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the files in it")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if path.suffix.lower() in (".npy", ".npz"):
        for name, array in read_arrays(path):
            yield from _samples(path, name, array, shape, preprocessing)
    else:
        yield _read_image(path, shape, preprocessing)


def _read_together(path: Path, parts: Sequence[tuple[str, Sequence[int | None]]]) -> Iterator[Input]:
    """Read the samples of a model of several inputs from an `.npz` that has an array for each."""
    names = ", ".join(f"{name} {_spell(tuple(shape))}" for name, shape in parts)
    if path.suffix.lower() != ".npz" or not path.is_file():
        raise InputError(f"{path}: the model takes {len(parts)} inputs; give an .npz with the arrays {names}")
    arrays = {name.removeprefix(f"{path.stem}."): array for name, array in read_arrays(path)}
    missing = [name for name, _ in parts if name.replace("/", "_") not in arrays]
    if missing:
        there = ", ".join(arrays)
        raise InputError(f"{path} has no array {missing[0]!r} (it has {there}); the model takes {names}")
    read = [
        list(_samples(path, f"{path.stem}.{key}", arrays[key], tuple(shape), "none"))
        for name, shape in parts
        for key in [name.replace("/", "_")]
    ]
    if len({len(samples) for samples in read}) != 1:
        counts = ", ".join(f"{name} {len(samples)}" for (name, _), samples in zip(parts, read, strict=True))
        raise InputError(f"{path} has different numbers of samples: {counts}")
    for number, together in enumerate(zip(*read, strict=True)):
        values = np.concatenate([part.array.reshape(-1) for part in together])
        yield _sample(path.stem if len(read[0]) == 1 else f"{path.stem}[{number}]", values)


def _read_image(path: Path, shape: tuple[int | None, ...], preprocessing: str) -> Input:
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise InputError(f"{path}: the model takes {_spell(shape)}, which no image has; give an .npy or .npz array")
    if shape[0] is None or shape[1] is None:
        raise InputError(f"{path}: the model takes any size {_spell(shape)}; give an array of the size you mean")
    picture = read_picture(path, (shape[0], shape[1]), gray=shape[2] == 1)
    pixels = picture.reshape(shape[0], shape[1], shape[2])
    display = np.repeat(pixels, 3, axis=-1) if shape[2] == 1 else pixels
    return _sample(path.stem, PREPROCESSING[preprocessing](pixels), display=display)


def _samples(
    path: Path, name: str, array: npt.NDArray[Any], shape: tuple[int | None, ...], preprocessing: str
) -> Iterator[Input]:
    where = f"{path}" if name == path.stem else f"{path}, array {name.removeprefix(path.stem + '.')!r}"
    if not isinstance(array, np.ndarray):
        raise InputError(f"{where} is no array")  # an entry of a zip archive that NumPy did not write
    if array.dtype.kind not in "iuf":
        raise InputError(f"{where} holds {array.dtype} values; real numbers (float or integer) are needed")
    batched = array.ndim == len(shape) + 1
    if not batched and array.ndim != len(shape):
        raise InputError(f"{where} has {array.ndim} axes {array.shape}; the model takes {_spell(shape)}, or (N, ...)")
    if batched and len(array) == 0:
        raise InputError(f"{where} is an empty batch {array.shape}")
    _refuse_other_shape(where, array.shape[1:] if batched else array.shape, shape)
    if batched:
        for index, sample in enumerate(samples_of(array)):
            yield _network_input(f"{where}[{index}]", f"{name}[{index}]", sample, preprocessing)
    else:
        yield _network_input(where, name, array, preprocessing)


def _network_input(where: str, name: str, values: npt.NDArray[Any], preprocessing: str) -> Input:
    if values.dtype == np.uint8:
        pixels = np.array(values)
        display = None
        if pixels.ndim == 3 and pixels.shape[2] in (1, 3):
            display = np.repeat(pixels, 3, axis=-1) if pixels.shape[2] == 1 else pixels
        return _sample(name, PREPROCESSING[preprocessing](pixels), display=display)
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.array(values, dtype=np.float32, order="C")
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        kind = "NaN" if np.isnan(array[first]) else "infinite (or too large for float32)"
        raise InputError(f"{where} has {int(bad.sum())} values that are not finite, the first {kind} at {first}")
    return _sample(name, array)


def _refuse_other_shape(where: str, given: tuple[int, ...], wanted: tuple[int | None, ...]) -> None:
    """Raise unless `given` fits `wanted`, with the likeliest reason."""

    def fits(shape: tuple[int, ...]) -> bool:
        return all(want is None or have == want for have, want in zip(shape, wanted, strict=True))

    if fits(given):
        return
    problem = f"{where} has shape {given}, the model takes {_spell(wanted)}"
    if len(given) > 1 and fits((*given[1:], given[0])):
        raise InputError(f"{problem}: the channels come first; move them last (np.moveaxis(x, {-len(given)}, -1))")
    if wanted[-1] is not None and given[-1] != wanted[-1] and len(given) > 1:
        raise InputError(f"{problem}: {given[-1]} channels instead of {wanted[-1]}")
    raise InputError(f"{problem}; arrays are not resized (images are)")


def _spell(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
