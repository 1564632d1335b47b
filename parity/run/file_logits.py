"""The logits of the user's own file, as the Keras that wrote it computes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.assets.source import ModelSource
from parity.keras import ModelDescription
from parity.keras.network import softmax_of
from parity.keras.whole import OF_KERAS_3
from parity.reference.keras_3 import Keras3Error, logits_of_keras_3
from parity.run.reference_side import ReferenceSide

Array = npt.NDArray[Any]


class NoFileLogitsError(Exception):
    """Nothing here reads the file; the text says why."""


@dataclass(frozen=True)
class FileLogits:
    """What the file says.

    Attributes
    ----------
    values
        `(N, classes)`, in float64.
    dtype
        In which they were computed.
    by
        By what, such as "Keras 3.15.1".
    """

    values: Array
    dtype: str
    by: str


def file_logits(
    side: ReferenceSide,
    description: ModelDescription,
    source: ModelSource,
    inputs: Array,
    dtypes: Sequence[str],
    onednn: bool = True,
) -> FileLogits:
    """Return the logits of a file: of Keras 3 by Keras 3, in float32, all others by the reference's TensorFlow.

    Parameters
    ----------
    side
        The reference that is asked.
    description, source
        The converted model, and where it came from.
    inputs
        `(N, ...)` in Keras layout; several inputs joined into one vector.
    dtypes
        In which TensorFlow is asked until it answers: there are files that it computes in float32 and nothing else.
    onednn
        Whether TensorFlow may use oneDNN, which takes some operations of float32 together for others.

    Raises
    ------
    NoFileLogitsError
        If neither answers.
    """
    if OF_KERAS_3 in description.spelled:
        return _by_keras_3(description, source, inputs)
    error: str | None = ""
    for dtype in dtypes:
        answers = side.file_logits(list(inputs), dtype, onednn)
        rows = [np.asarray(answer.array).reshape(-1) for answer in answers if answer.array is not None]
        if len(rows) == len(answers):
            by = "TensorFlow" if onednn else "TensorFlow without oneDNN"
            return FileLogits(np.stack(rows).astype(np.float64), dtype, by)
        error = next(answer.error for answer in answers if answer.array is None)
    raise NoFileLogitsError(f"the reference cannot read the file itself ({error})")


def _by_keras_3(description: ModelDescription, source: ModelSource, inputs: Array) -> FileLogits:
    if source.config is not None:
        raise NoFileLogitsError("its weights and its architecture are two files, which are not read by Keras 3 here")
    parts, count = [inputs], len(inputs)
    if len(description.inputs) > 1:
        shapes = [tuple(n or 0 for n in shape) for _, shape in description.inputs]
        ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        joined = np.split(inputs.reshape(count, -1), ends, axis=1)
        parts = [part.reshape(count, *shape) for part, shape in zip(joined, shapes, strict=True)]
    output = description.chosen or description.output
    try:
        made = logits_of_keras_3(source.path, parts, description.keys, output, softmax_of(description))
    except Keras3Error as error:
        raise NoFileLogitsError(str(error)) from None
    return FileLogits(made.values.astype(np.float64), "float32", f"Keras {made.version}")
