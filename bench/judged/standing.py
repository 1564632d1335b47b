"""What became of a model that was run through the harness, kept beside its report."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from parity import keras
from parity.errors import ParityError
from parity.run.results import dumps, write_atomically
from parity.run.session import Session

STANDING = "standing.json"
"""What became of a model, beside its report."""


@dataclass(frozen=True)
class Standing:
    """What became of one model.

    Attributes
    ----------
    layers : mapping
        How many layers of each Keras class it has, nested ones included.
    refused : str
        The converter's sentence, or why it could not be made whole; empty if it was run.
    document : mapping or None
        The results of its run, as `parity run` writes them.
    """

    layers: Mapping[str, int]
    refused: str = ""
    document: Mapping[str, Any] | None = None


def stand(
    path: Path,
    inputs: Callable[[], Sequence[Path]],
    methods: Sequence[str],
    folder: Path,
    options: Mapping[str, Any],
) -> Standing:
    """Run a Keras file through the harness and keep what became of it.

    Parameters
    ----------
    path : pathlib.Path
        A file that Keras reads whole.
    inputs : callable
        Makes the files of its inputs; called only if the file converts.
    methods : sequence of str
        Names or globs.
    folder : pathlib.Path
        Where its report and its standing go.
    options : mapping
        Further fields of `parity.run.session.Session`.

    Raises
    ------
    ParityError
        If nothing of it could be compared.
    """
    layers = layer_classes(path)
    try:
        keras.load(path)
    except ParityError as error:
        standing = Standing(layers, str(error).replace(str(path), path.name))
    else:
        files = [str(file) for file in inputs()]
        session = Session([str(path)], methods, files, directory=folder, **options)
        standing = Standing(layers, document=session.run())
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"layers": dict(layers), "refused": standing.refused, "document": standing.document}
    write_atomically(folder / STANDING, dumps(kept))
    return standing


def standing_of(directory: Path, name: str) -> Standing | None:
    """Return what an earlier run said of a model, None if there was none."""
    path = directory / name / STANDING
    return Standing(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def layer_classes(path: Path) -> dict[str, int]:
    """Return how many layers of each class a Keras file describes, the commonest first; {} for weights alone."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            text: Any = archive.read("config.json")
    else:
        with h5py.File(path) as file:
            text = file.attrs.get("model_config", "{}")
    return dict(Counter(_classes(json.loads(text))).most_common())


def _classes(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the classes of the layers of a model's configuration; a wrapped layer stands in brackets."""
    inner = config.get("config", {})
    for layer in inner if isinstance(inner, list) else inner.get("layers", []):
        if layer["class_name"] in ("Model", "Functional", "Sequential"):
            yield from _classes(layer)
        elif layer["class_name"] != "InputLayer":
            wrapped = layer["config"].get("layer", {}).get("class_name")
            yield f"{layer['class_name']}({wrapped})" if wrapped else layer["class_name"]
