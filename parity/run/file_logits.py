"""The logits of the user's own file, as the Keras that wrote it computes them, and what is held to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.assets.source import ModelSource
from parity.judge.known.conditions import takes_tokens
from parity.judge.limits import TIMES_NOISE
from parity.keras import ModelDescription
from parity.keras.network import softmax_of
from parity.keras.whole import OF_KERAS_3
from parity.reference.keras_3 import Keras3Error, logits_of_keras_3
from parity.run.noise import LAST_DIGITS, nudged
from parity.run.reference_side import ReferenceSide

Array = npt.NDArray[Any]
FLOAT64_LIMIT = 1e-12
FLOAT32_LEAST = 1e-5


class NoFileLogitsError(Exception):
    """Nothing here reads the file; the text says why."""


@dataclass(frozen=True)
class FileLogits:
    """What the file says.

    Attributes
    ----------
    values
        `(N, classes)`, in float64.
    by
        What computed them, such as "Keras 3.15.1".
    """

    values: Array
    by: str


@dataclass(frozen=True)
class Held:
    """How far logits are from those of the file.

    Attributes
    ----------
    distance
        Relative L2.
    limit
        The largest that is rounding.
    dtype
        In which they were compared.
    by
        What computed those of the file.
    """

    distance: float
    limit: float
    dtype: str
    by: str

    @property
    def same(self) -> bool:
        """Whether they are the same; a distance that is no number is too large."""
        return self.distance <= self.limit


class File:
    """The user's file, which is asked for its logits.

    Parameters
    ----------
    side
        The reference whose TensorFlow reads what is not of Keras 3.
    description, source
        The converted model, and where it came from.
    """

    def __init__(self, side: ReferenceSide, description: ModelDescription, source: ModelSource) -> None:
        self._side, self._description, self._source = side, description, source
        self.of_keras_3 = OF_KERAS_3 in description.spelled

    def logits(self, inputs: Array, dtype: str, onednn: bool = True) -> FileLogits:
        """Return the logits of a file: of Keras 3 by Keras 3, which computes in float32, others by TensorFlow.

        Parameters
        ----------
        inputs
            `(N, ...)` in Keras layout; several inputs joined into one vector.
        dtype
            In which TensorFlow computes. There are operations that it computes in float32 and nothing else.
        onednn
            Whether TensorFlow may use oneDNN, which takes some operations of float32 together for others.

        Raises
        ------
        NoFileLogitsError
            If nothing here reads the file, or not in that dtype.
        """
        if self.of_keras_3:
            if dtype != "float32":
                raise NoFileLogitsError("Keras 3 is asked in float32")
            return self._by_keras_3(inputs)
        answers = self._side.file_logits(list(inputs), dtype, onednn)
        rows = [np.asarray(answer.array).reshape(-1) for answer in answers if answer.array is not None]
        if len(rows) < len(answers):
            error = next(answer.error for answer in answers if answer.array is None)
            raise NoFileLogitsError(f"the reference cannot read the file itself ({error})")
        return FileLogits(np.stack(rows).astype(np.float64), "TensorFlow" if onednn else "TensorFlow without oneDNN")

    def hold(self, inputs: Array, logits: Mapping[str, Array], first: FileLogits | None = None) -> Held:
        """Hold logits to those of the file, in float64 if it is computed in that, else in float32.

        The limit in float32 is that of the file alone: 1e-5, or, where that is passed, three times what its own logits
        move by when the input is scaled by a few last digits.

        Parameters
        ----------
        inputs
            As `logits` takes them.
        logits
            `(N, classes)` by dtype.
        first
            Those of the file in float32, where they are there already.

        Raises
        ------
        NoFileLogitsError
            If nothing here reads the file.
        """
        if "float64" in logits and not self.of_keras_3:
            try:
                exact = self.logits(inputs, "float64")
            except NoFileLogitsError:
                pass  # float32 decides
            else:
                return Held(relative_distance(logits["float64"], exact.values), FLOAT64_LIMIT, "float64", exact.by)
        answer = first or self.logits(inputs, "float32")
        held = self._in_float32(inputs, logits["float32"], answer, onednn=True)
        if held.same or self.of_keras_3:
            return held
        try:
            answer = self.logits(inputs, "float32", onednn=False)
        except NoFileLogitsError:
            return held
        return self._in_float32(inputs, logits["float32"], answer, onednn=False)

    def _in_float32(self, inputs: Array, logits: Array, answer: FileLogits, onednn: bool) -> Held:
        distance, limit = relative_distance(logits, answer.values), FLOAT32_LEAST
        tokens = takes_tokens(self._description)  # tokens that are scaled are other ones
        for digits in LAST_DIGITS if not distance <= limit and not tokens else ():
            moved = np.stack([nudged(x.astype("float32"), digits) for x in inputs])
            try:
                there = self.logits(moved, "float32", onednn).values
            except NoFileLogitsError:
                break
            limit = widened(limit, relative_distance(there, answer.values))
        return Held(distance, limit, "float32", answer.by)

    def _by_keras_3(self, inputs: Array) -> FileLogits:
        description, source = self._description, self._source
        if source.config is not None:
            raise NoFileLogitsError("its weights and its architecture are two files, which Keras 3 is not asked about")
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
        return FileLogits(made.values.astype(np.float64), f"Keras {made.version}")


def widened(limit: float, noise: float) -> float:
    """Return a limit that noise may widen; noise that is no finite number widens none."""
    return max(limit, TIMES_NOISE * noise) if math.isfinite(noise) else limit


def relative_distance(logits: Array, expected: Array) -> float:
    """Return the relative L2 distance; logits behind a ReLU may all be zero, and on one side only they differ."""
    if logits.shape != expected.shape:
        return float("inf")
    distance, norm = float(np.linalg.norm(logits - expected)), float(np.linalg.norm(expected))
    if distance == 0:
        return 0.0
    return distance / norm if norm else float("inf")
