"""The process in which Keras 3 reads a file of its own and computes its logits, on its torch backend.

Run by its path with one argument, a JSON object: `path`, the file; `inputs` and `outputs`, `.npz` files; `keys`, the
names under which the model takes its inputs, if it does; `output`, the name of the output that is meant; `softmax`, the
layer whose softmax is left out, or null. Nothing of this package is imported.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_OF_KERAS = ("keras", "builtins")
_ROUNDING = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")
_CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer")
_LINEAR = {"module": "keras.layers", "class_name": "Activation", "registered_name": None}


def main(told: dict[str, Any]) -> None:
    """Compute the logits of each sample."""
    import keras

    with np.load(told["inputs"]) as stored:
        parts = [stored[name] for name in stored.files]
    with tempfile.TemporaryDirectory() as folder:
        path = rewritten(Path(told["path"]), Path(folder), told["softmax"])
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    chosen = 0
    if len(model.outputs) > 1:
        names = [tensor._keras_history.operation.name for tensor in model.outputs]
        keys = sorted(model._outputs_struct) if isinstance(model._outputs_struct, dict) else names
        chosen = (names if told["output"] in names else keys).index(told["output"])
    rows = []
    for number in range(len(parts[0])):
        sample = [part[number : number + 1] for part in parts]
        tensors: Any = dict(zip(told["keys"], sample, strict=True)) if told["keys"] else sample
        made = model(tensors if told["keys"] or len(sample) > 1 else sample[0], training=False)
        rows.append(keras.ops.convert_to_numpy(keras.tree.flatten(made)[chosen]).reshape(-1))
    np.savez(told["outputs"], logits=np.stack(rows), version=keras.__version__)


def rewritten(path: Path, folder: Path, softmax: str | None) -> Path:
    """Return a copy of a file, in float32 and without the last softmax.

    Raises
    ------
    ValueError
        If it would load a class that is not of Keras, or has no such softmax.
    """
    copy = folder / path.name
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as other:
            for name in archive.namelist():
                if name == "config.json":
                    other.writestr(name, json.dumps(for_logits(json.loads(archive.read(name)), softmax)))
                    continue
                with archive.open(name) as source, other.open(name, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        return copy
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+", locking=False) as file:
        config = for_logits(json.loads(file.attrs["model_config"]), softmax)
        file.attrs["model_config"] = json.dumps(config)
    return copy


def for_logits(config: dict[str, Any], softmax: str | None) -> dict[str, Any]:
    """Return a configuration of Keras' own classes, in float32 and without a softmax, or what only training needs."""
    for part in _mappings(config):
        for name in part:
            if name.endswith("_initializer"):
                part[name] = "zeros"  # weights follow at once
            elif name.endswith(("_regularizer", "_constraint")):
                part[name] = None
        if part.get("class_name") in _CODE:
            raise ValueError(f"it holds a {part['class_name']}, which may hold code")
        module = part.get("module")
        if isinstance(module, str) and module.split(".")[0] not in _OF_KERAS:
            raise ValueError(f"it names the module {module!r}, which is not of Keras")
        if part.get("class_name") == "DTypePolicy" and part["config"].get("name") in _ROUNDING:
            part["config"]["name"] = "float32"
        if part.get("dtype") in _ROUNDING:
            part["dtype"] = "float32"
    if softmax is not None:
        _end_without(config, softmax.split("/"))
    return config


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _mappings(item)


def _end_without(model: dict[str, Any], names: list[str]) -> None:
    """Let the layer of that name, inside of models of the others, end without its softmax."""
    layers = model["config"]["layers"]
    layer = next((entry for entry in layers if entry["config"].get("name") == names[0]), None)
    if layer is None:
        raise ValueError(f"it has no layer {names[0]!r}")
    if len(names) > 1:
        _end_without(layer, names[1:])
        return
    if layer["class_name"] == "TimeDistributed":
        layer = layer["config"]["layer"]
    if layer["class_name"] == "Softmax":
        layer |= _LINEAR
        layer["config"] = {"name": layer["config"]["name"]}
    layer["config"]["activation"] = "linear"


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
