"""A converted model as a file that torch alone can read, and the check that it computes what Keras computes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from parity.assets.inputs import default_inputs
from parity.assets.source import ModelSource
from parity.errors import ParityError, first_line
from parity.keras import KerasModule, ModelDescription, torchvision_vgg_state_dict
from parity.reference import ReferenceClient
from parity.run.file_logits import FLOAT64_LIMIT, File, Held, NoFileLogitsError, relative_distance
from parity.run.reference_side import ReferenceSide

Array = npt.NDArray[Any]
# For an axis that the model leaves open.
_OPEN_SIZE = 32


@dataclass(frozen=True)
class LogitsCheck:
    """How far the converted model's logits are from Keras'.

    Attributes
    ----------
    input
        What both sides were given.
    rel_l2
        Relative L2 distance, or None if there was no reference.
    limit
        The largest distance that is rounding.
    why_not
        Why there is no number, or "".
    """

    input: str
    rel_l2: float | None
    limit: float = FLOAT64_LIMIT
    why_not: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is a number and it is too large."""
        return self.rel_l2 is not None and not self.rel_l2 <= self.limit


def check_logits(module: KerasModule, source: ModelSource, client: ReferenceClient) -> LogitsCheck:
    """Compare the logits for one input, shipped or random from a fixed seed, in float64, which tells networks apart.

    They are those of the network that the reference reads. Where that was written for it, those of the file itself come
    first, if something here reads it: Keras 3, and some operations of TensorFlow, are compared in float32.

    Parameters
    ----------
    module
        The converted model; it is converted again in float64.
    source
        Where it came from.
    client
        Asked for Keras' own logits.

    Raises
    ------
    ParityError
        If the reference works but cannot compute this model's logits.
    """
    name, array = _an_input(module.description, source)
    exact = source.load("float64")
    side = ReferenceSide(client, source, exact.description)
    held = _held_to_the_file(side, source, exact, array) if exact.description.spelled else None
    if held is not None and not held.same:
        return LogitsCheck(name, held.distance, held.limit)
    (answer,) = side.logits([array], "float64")
    if answer.error_kind == "environment":
        if held is not None:
            return LogitsCheck(name, held.distance, held.limit)
        return LogitsCheck(name, None, why_not=answer.error or "")
    if answer.array is None:
        raise ParityError(
            f"the reference cannot compute the logits of {source.path}: {first_line(answer.error)}\n"
            "--no-check converts without the check",
            detail=f"{answer.error}\n{answer.stderr_tail}".strip(),
        )
    mine = exact.logits(array[None]).reshape(-1)
    theirs = answer.array.reshape(-1).astype(np.float64)
    if mine.shape != theirs.shape:
        raise ParityError(f"{source.path}: Keras returns {theirs.size} logits, the converted model {mine.size}")
    return LogitsCheck(name, relative_distance(mine, theirs))


def _held_to_the_file(side: ReferenceSide, source: ModelSource, exact: KerasModule, array: Array) -> Held | None:
    """Hold the converted model to the file itself, None where nothing here reads that."""
    models = {"float64": exact, "float32": source.load("float32")}
    logits = {dtype: model.logits(array[None]).astype(np.float64).reshape(1, -1) for dtype, model in models.items()}
    try:
        return File(side, exact.description, source).hold(array[None], logits)
    except NoFileLogitsError:
        return None


def _an_input(description: ModelDescription, source: ModelSource) -> tuple[str, Any]:
    if source.input_set:
        one = default_inputs(source)[0]
        return one.name, one.array
    shape = tuple(_OPEN_SIZE if size is None else size for size in description.input_shape)
    return "a random input (seed 0)", np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def save(module: KerasModule, path: Path, torchvision: bool = False) -> None:
    """Write a model so that `torch.load(path, weights_only=True)` reads it.

    Parameters
    ----------
    module
        The converted model.
    path
        The file; replaced if it exists, and never half written.
    torchvision
        Write a bare state dict with the names of torchvision's VGG instead of
        ``{"state_dict": ..., "config": description as plain data}``.

    Raises
    ------
    parity.keras.ConversionError
        If the names of torchvision are asked for and the model is no VGG16 or VGG19.
    ParityError
        If the file cannot be written.
    """
    state = torchvision_vgg_state_dict(module) if torchvision else module.state_dict()
    state = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    content = state if torchvision else {"state_dict": state, "config": plain(module.description)}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            torch.save(content, stream)
        part.replace(path)
    except OSError as error:
        raise ParityError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def plain(description: ModelDescription) -> dict[str, Any]:
    """Return a description as dicts, lists, texts and numbers."""
    return {
        "name": description.name,
        "input_shape": list(description.input_shape),
        "removed_softmax": description.removed_softmax,
        "source_sha256": description.source_sha256,
        "layers": [
            {
                "name": layer.name,
                "class_name": layer.class_name,
                "config": _plain(layer.config),
                "inbound": list(layer.inbound),
                "output_shape": list(layer.output_shape),
                "parameters": layer.parameters,
                "module": layer.module,
            }
            for layer in description.layers
        ],
    }


def _plain(config: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(config, default=lambda value: dict(value)))
