"""The maps of the implementation under test: computed together where it can, kept until their turn comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from parity import keras
from parity.assets.source import ModelSource
from parity.run.subjects import Subject, SubjectAnswer

Array = npt.NDArray[Any]
SHARED_BYTES = 2**29
"""Maps of methods that the subject computes together are kept until their turn comes, at most so many bytes."""


@dataclass
class Maps:
    """The subject's maps of one method in one dtype, or why there are none.

    Attributes
    ----------
    arrays : list of numpy.ndarray or None
        One per input, without batch axis.
    seconds : float
        Mean of one input.
    error : str or None
        Why there are none.
    together : int
        How many methods' time `seconds` is an equal share of.
    unsupported : bool
        Whether the subject says that it does not offer the method.
    """

    arrays: list[Array] | None
    seconds: float
    error: str | None = None
    together: int = 1
    unsupported: bool = False


class SubjectMaps:
    """Makes the subject's maps of one model.

    Parameters
    ----------
    subject : Subject
        The implementation under test.
    modules : mapping of str to KerasModule
        The model by dtype.
    inputs : numpy.ndarray
        `(N, ...)`, Keras layout.
    targets : sequence of int
        The explained class of each.
    others : dict, optional
        Other networks by dtype and file; filled, to be shared.
    """

    def __init__(
        self,
        subject: Subject,
        modules: Mapping[str, keras.KerasModule],
        inputs: Array,
        targets: Sequence[int],
        others: dict[tuple[str, str], keras.KerasModule] | None = None,
    ) -> None:
        self._subject, self._modules = subject, modules
        self._inputs, self._targets = inputs, targets
        self._others = {} if others is None else others
        self._together: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._ready: dict[tuple[str, str], Maps] = {}  # computed together with a method that came before

    def share(self, given: Mapping[str, Mapping[str, Any]]) -> None:
        """Say which methods with which parameters will be taken: as many as `SHARED_BYTES` allow go together."""
        most = max(1, SHARED_BYTES // (self._inputs.astype("float64").nbytes + 1))
        groups = [group[first : first + most] for group in self._subject.together(given)
                  for first in range(0, len(group), most)]  # fmt: skip
        self._together = {name: {one: given[one] for one in group} for group in groups for name in group}

    def take(self, name: str, parameters: Mapping[str, Any], dtype: str) -> Maps:
        """Return the maps of one method; they are not kept."""
        if (name, dtype) not in self._ready:
            together = self._together.get(name, {name: parameters})
            maps = self._attribute(together, dtype, self._modules[dtype])
            self._ready |= {(one, dtype): found for one, found in maps.items()}
        return self._ready.pop((name, dtype))

    def elsewhere(self, source: ModelSource, name: str, parameters: Mapping[str, Any], dtype: str) -> Maps:
        """Return the maps of one method on another network, which is read from its file and kept."""
        key = dtype, source.sha256
        if key not in self._others:
            self._others[key] = source.load(dtype)
        return self._attribute({name: parameters}, dtype, self._others[key])[name]

    def of(self, inputs: Sequence[Array], target: int, name: str, parameters: Mapping[str, Any], dtype: str) -> Maps:
        """Return the maps of one method on other inputs, all of one target."""
        answers = [
            self._subject.attribute_many(self._modules[dtype], x[None].astype(dtype), [target], {name: parameters})
            for x in inputs
        ]
        return _maps([answer[name] for answer in answers])

    def rules(self, name: str) -> list[tuple[str, str, str]]:
        """Return which rule ran on which layer; nothing if the method fails, whose maps will say what is wrong."""
        try:
            return self._subject.rules(self._modules["float32"], self._inputs[:1], name)
        except Exception:
            return []

    def _attribute(
        self, methods: Mapping[str, Mapping[str, Any]], dtype: str, module: keras.KerasModule
    ) -> dict[str, Maps]:
        """Return the maps of methods that share work, input by input as if each were alone."""
        answers = [
            self._subject.attribute_many(module, x[None].astype(dtype), [target], methods)
            for x, target in zip(self._inputs, self._targets, strict=True)
        ]
        return {name: _maps([one[name] for one in answers]) for name in methods}


def _maps(answers: Sequence[SubjectAnswer]) -> Maps:
    """Return one method's maps, an answer per input; a method that fails on one input costs its own rows."""
    failed = [answer for answer in answers if answer.array is None]
    if failed:
        # One input that breaks is a broken method, whatever the subject says of another input.
        worst = next((answer for answer in failed if not answer.unsupported), failed[0])
        return Maps(None, 0.0, worst.error or "no map and no error", unsupported=worst.unsupported)
    arrays = [answer.array[0] for answer in answers if answer.array is not None]
    seconds = sum(answer.seconds for answer in answers) / len(answers)
    return Maps(arrays, seconds, together=max(answer.together for answer in answers))
