"""What can be explained: the shipped networks, VGG16 and VGG19, and any Keras file of the user's."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from parity.assets import seeded
from parity.assets.source import SEEDED_SUFFIX, InputShapes, ModelSource
from parity.errors import ParityError
from parity.hashing import file_hash
from parity.keras.errors import ConversionError
from parity.keras.hdf5 import stored_config
from parity.paths import expanded, home, printable

# The shipped weights lie beside the package in the repository, and in a wheel among its data (`setup.py`).
_IN_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "weights"
_FETCH = (
    "`make weights`"
    if (_IN_THE_REPOSITORY / "fetch.py").is_file()
    else "`keras.applications` (weights='imagenet') in the reference environment"
)
WEIGHTS = _IN_THE_REPOSITORY if (_IN_THE_REPOSITORY / "fetch.py").is_file() else Path(__file__).with_name("data")


class ModelNotFoundError(ParityError):
    """No such model, or its weights are not on this machine."""


@dataclass(frozen=True)
class _Shipped:
    """A row of the table of shipped networks."""

    preprocessing: str
    input_set: str
    description: str


@dataclass(frozen=True)
class _Official:
    """Weights that Keras publishes: the file name and MD5 that `keras.applications` downloads and checks."""

    file_name: str
    md5: str


_SHIPPED: Mapping[str, _Shipped] = MappingProxyType(
    {
        "vgg_mnist": _Shipped(
            "signed", "digits", "VGG-style, three blocks, trained on 4,500 MNIST digits (weights/README.md)"
        ),
        "dense_mnist": _Shipped(
            "negative",
            "digits_28",
            "dense layers only, MNIST digits in [-1, 0] as in the SIGN paper's example (weights/README.md)",
        ),
        "resnet_mnist": _Shipped(
            "signed", "digits", "residual blocks with batch normalization on MNIST digits (weights/README.md)"
        ),
        "cnn_timeseries": _Shipped(
            "none", "gunpoint", "Conv1D network on the GunPoint time series (weights/README.md)"
        ),
    }
)

_OFFICIAL: Mapping[str, _Official] = MappingProxyType(
    {
        "vgg16": _Official("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"),
        "vgg19": _Official("vgg19_weights_tf_dim_ordering_tf_kernels.h5", "cbe5617147190e668d6c5d5026f83318"),
    }
)


def shipped_names() -> tuple[str, ...]:
    """Return the networks whose weights lie in the repository."""
    return tuple(_SHIPPED)


def model_names() -> list[str]:
    """Return every name that `resolve` knows, besides paths."""
    return [*_SHIPPED, *_OFFICIAL, *(name + SEEDED_SUFFIX for name in _OFFICIAL)]


def resolve(
    name_or_path: str, config: Path | None = None, output: str | None = None, input_shape: InputShapes = ()
) -> ModelSource:
    """Find a model by its name or by the path of its `.h5` file.

    Parameters
    ----------
    name_or_path
        A shipped name (``"vgg_mnist"``), ``"vgg16"`` or ``"vgg19"`` (the official ImageNet weights, where this
        machine has them), ``"vgg16-seeded"`` or ``"vgg19-seeded"`` (made now if need be, in some ten seconds),
        or a path. ``"path.h5:vgg16"`` names the architecture of a file that holds weights alone; without it,
        such a file is taken for VGG16 or VGG19 if its name says so.
    config
        The JSON file that describes the layers of a file of weights, where it does not lie beside it under its name.
    output
        The Keras name of the output that is explained, for a model of several.
    input_shape
        Sizes that the model leaves open, see `ModelSource`.

    Returns
    -------
    ModelSource
        With the file's hash taken now.

    Raises
    ------
    ModelNotFoundError
        If there is no such name or file, or the official weights are not on this machine.
    parity.assets.seeded.SeededWeightsError
        If the seeded weights cannot be made (no room, no permission).
    """
    if config is not None or output is not None or input_shape:
        return _described(name_or_path, config, output, input_shape)
    if name_or_path in _SHIPPED:
        return _shipped(name_or_path)
    if name_or_path in _OFFICIAL:
        return _official(name_or_path)
    if _architecture(name_or_path) in _OFFICIAL:
        return _seeded(name_or_path, seeded.ensure(_architecture(name_or_path)))
    return _user_file(name_or_path)


def _described(name_or_path: str, config: Path | None, output: str | None, input_shape: InputShapes) -> ModelSource:
    source = resolve(name_or_path)
    if not source.own:
        raise ModelNotFoundError(
            f"{name_or_path} is no file of yours, so it takes none of --config, --output and --input-shape"
        )
    names = [name for name, _ in input_shape]
    if len(set(names)) < len(names) or ("" in names and len(names) > 1):
        raise ModelNotFoundError(
            "--input-shape is told more than once: give one shape, or each of several inputs once, as name:64,64,3"
        )
    if config is not None and not config.is_file():
        raise ModelNotFoundError(f"--config {config}: there is no such file")
    if config is not None and _model_config(source.path):
        raise ModelNotFoundError(
            f"{source.path} holds its own layers, and --config {config} describes others; leave out --config"
        )
    architecture = None if config is not None else source.architecture
    absolute = None if config is None else config.resolve()
    return replace(source, architecture=architecture, config=absolute, output=output, input_shape=tuple(input_shape))


def list_models() -> list[ModelSource]:
    """Return every named model; `description` says how to get those that are not on this machine."""
    sources = []
    for name in model_names():
        try:
            path = _expected_path(name)
        except (ModelNotFoundError, seeded.SeededWeightsError) as error:  # no home folder
            about = f"absent: {error}"
            sources.append(ModelSource(name, Path(), _architecture(name), "", "caffe", "photos", about))
            continue
        if name in _SHIPPED and path.is_file():
            sources.append(_shipped(name))
        elif name in _SHIPPED:
            row = _SHIPPED[name]
            about = f"absent: {_no_shipped(name)}"
            sources.append(ModelSource(name, path, None, "", row.preprocessing, row.input_set, about))
        elif name in _OFFICIAL:
            try:
                sources.append(_official(name))
            except ModelNotFoundError as error:
                sources.append(ModelSource(name, path, name, "", "caffe", "photos", f"absent: {error}"))
        elif path.is_file():
            sources.append(_seeded(name, path))
        else:
            about = f"{_about_seeded(name)}; takes some ten seconds"
            sources.append(ModelSource(name, path, _architecture(name), "", "caffe", "photos", about))
    return sources


def _architecture(name: str) -> str:
    return name.removesuffix(SEEDED_SUFFIX)


def _expected_path(name: str) -> Path:
    if name in _SHIPPED:
        return WEIGHTS / f"{name}.h5"
    if name in _OFFICIAL:
        return _in_keras_cache(_OFFICIAL[name].file_name)
    return seeded.cached_path(_architecture(name))


def _shipped(name: str) -> ModelSource:
    row, path = _SHIPPED[name], _expected_path(name)
    if not path.is_file():
        raise ModelNotFoundError(_no_shipped(name))
    return ModelSource(name, path, None, _hash(path), row.preprocessing, row.input_set, row.description)


def _no_shipped(name: str) -> str:
    return (
        f"the weights of {name} are not at {_expected_path(name)}; they come with a clone of the repository: "
        "run from there, or give the path of an .h5 file"
    )


def _seeded(name: str, path: Path) -> ModelSource:
    return ModelSource(name, path, _architecture(name), _hash(path), "caffe", "photos", _about_seeded(name))


def _about_seeded(name: str) -> str:
    title = _architecture(name).upper()
    return f"{title} architecture, random weights from a fixed seed, scaled layer by layer; not trained"


# --- the official weights --------------------------------------------------------------------------------


def _official(name: str) -> ModelSource:
    """Find the official weights: where PARITY_VGG16 or PARITY_VGG19 says, else in the cache of Keras."""
    variable = f"PARITY_{name.upper()}"
    if given := os.environ.get(variable):
        path = expanded(given).resolve()
        if not path.is_file():
            raise ModelNotFoundError(f"{variable} says {given}, where there is no file")
    else:
        path = _expected_path(name)
        if not path.is_file():
            raise ModelNotFoundError(
                f"no ImageNet weights of {name} at {path}; {_FETCH} fetches them, {variable} or --model can "
                f"say where an .h5 lies, and {name}{SEEDED_SUFFIX} needs no download"
            )
    published = _hash(path, "md5") == _OFFICIAL[name].md5
    if not published and not given:
        raise ModelNotFoundError(
            f"{path} does not have the hash that Keras publishes for {name} (a download cut short?); "
            f"delete it, {_FETCH} fetches it anew; or name another file with {variable}"
        )
    origin = "ImageNet weights, published hash" if published else f"weights that {variable} names, hash not published"
    architecture = _guessed_architecture(path, name)
    return ModelSource(name, path, architecture, _hash(path), "caffe", "photos", f"{name.upper()}, {origin}")


def _in_keras_cache(file_name: str) -> Path:
    """Return where `keras.applications` keeps a file: ~/.keras, or with Keras 3 the folder that KERAS_HOME names."""
    folder = home()
    usual = None if folder is None else folder / ".keras" / "models" / file_name
    if named := os.environ.get("KERAS_HOME"):
        other = expanded(named) / "models" / file_name
        return other if usual is None or other.is_file() else usual
    if usual is None:
        raise ModelNotFoundError(
            "there is no home folder, in which Keras keeps weights; PARITY_VGG16, PARITY_VGG19 or --model can say "
            "where an .h5 lies"
        )
    return usual


# --- files of the user -----------------------------------------------------------------------------------


def _user_file(text: str) -> ModelSource:
    path, architecture = expanded(text), None
    head, colon, tail = text.rpartition(":")
    if colon and not path.exists() and expanded(head).is_file():
        if tail not in _OFFICIAL:
            raise ModelNotFoundError(f"{text}: {tail!r} is no known architecture; known: {', '.join(_OFFICIAL)}")
        path, architecture = expanded(head), tail
        if _model_config(path):
            raise ModelNotFoundError(f"{text}: the file holds its own layers, so no architecture is taken; give {head}")
    if path.is_dir():
        raise ModelNotFoundError(f"{text} is a folder; give the path of a Keras .h5 file")
    if not path.is_file():
        raise ModelNotFoundError(_nothing_there(text))
    if not os.access(path, os.R_OK):
        raise ModelNotFoundError(f"{text} cannot be read: permission denied")
    of_keras = architecture or _keras_application(path)
    taken_for = f", taken for the {of_keras.upper()} of Keras" if of_keras else ""
    return ModelSource(
        name=printable(path.name.removesuffix(path.suffix)),
        path=path.resolve(),
        architecture=architecture or _guessed_architecture(path, of_keras),
        sha256=_hash(path),
        preprocessing="caffe" if of_keras else "none",
        input_set="photos" if of_keras else "",
        description=f"file of the user: {printable(str(path))}{taken_for}",
        own=True,
    )


def _nothing_there(text: str) -> str:
    if len(Path(text).parts) > 1 or Path(text).suffix:
        return f"there is no file {text}"
    near = difflib.get_close_matches(text, model_names(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"no model is called {text!r}; {hint}known: {', '.join(model_names())}, or the path of an .h5 file"


def _keras_application(path: Path) -> str | None:
    """Return "vgg16" or "vgg19" if the file is one by its own word, else None.

    A whole model of `keras.applications` is called so in its config and takes 224 x 224 pictures; a file that
    holds weights alone has only its file name to say so.
    """
    config = _model_config(path)
    if config is None:
        return next((name for name in _OFFICIAL if name in path.name.lower()), None)
    try:
        inner = config["config"]
        name, shape = inner["name"], inner["layers"][0]["config"]["batch_input_shape"]
    except (KeyError, IndexError, TypeError):
        return None
    return next((known for known in _OFFICIAL if name == known and shape == [None, 224, 224, 3]), None)


def _guessed_architecture(path: Path, candidate: str | None) -> str | None:
    """Return `candidate` for a file that holds weights alone, None for one that describes itself."""
    return candidate if _model_config(path) is None else None


def _model_config(path: Path) -> dict[str, Any] | None:
    """Return the model config in a file, None for weights alone, {} for anything the converter will refuse.

    Only to choose names and preprocessing: `parity.keras.load` reads the file in earnest and says what is wrong with
    it.
    """
    try:
        return stored_config(path)
    except ConversionError:
        return {}


def _hash(path: Path, kind: str = "sha256") -> str:
    """Return a file's hash; taken once per content as far as size and time of change can tell."""
    state = path.stat()
    return _hash_once(path, kind, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_once(path: Path, kind: str, size: int, changed: int) -> str:
    return file_hash(path, kind)
