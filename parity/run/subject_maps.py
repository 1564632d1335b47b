"""The maps of the implementation under test: computed together where it can, kept until their turn comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from parity import keras
from parity.assets.models import ModelSource
from parity.judge.known.defects import arrival_order
from parity.judge.known.imitations import imitate
from parity.run.outcome import in_another_memory_order
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
    """

    arrays: list[Array] | None
    seconds: float
    error: str | None = None
    together: int = 1


class SubjectMaps:
    """Makes the subject's maps of one model.

    Parameters
    ----------
    subject : Subject
        The implementation under test.
    source : ModelSource
        Where the model came from; the networks that a reference makes of it by a defect are made from it too.
    modules : mapping of str to KerasModule
        The model by dtype.
    inputs : numpy.ndarray
        `(N, ...)`, Keras layout.
    targets : sequence of int
        The explained class of each.
    imitations : dict, optional
        The networks that a reference makes of the model by a defect, by dtype and defect; filled, to be shared.
    """

    def __init__(
        self,
        subject: Subject,
        source: ModelSource,
        modules: Mapping[str, keras.KerasModule],
        inputs: Array,
        targets: Sequence[int],
        imitations: dict[tuple[str, str], keras.KerasModule] | None = None,
    ) -> None:
        self._subject, self._source, self._modules = subject, source, modules
        self._inputs, self._targets = inputs, targets
        self._imitations = {} if imitations is None else imitations
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

    def sized(self, name: str, parameters: Mapping[str, Any], dtype: str, size: Sequence[int]) -> Maps:
        """Return the maps in a size (height, width) of their own."""
        return self._attribute({name: {**parameters, "size": tuple(size)}}, dtype, self._modules[dtype])[name]

    def imitation(self, name: str, parameters: Mapping[str, Any], dtype: str, defect: str) -> Maps:
        """Return the maps of the network that the reference makes of this one by a named defect."""
        key = dtype, defect
        if key not in self._imitations:
            module = keras.load(
                self._source.path,
                architecture=self._source.architecture,
                dtype=getattr(torch, dtype),
                inbound=arrival_order(self._modules[dtype].description),
            )
            imitate(module, defect)
            self._imitations[key] = module
        return self._attribute({name: parameters}, dtype, self._imitations[key])[name]

    def in_another_memory_order(self, name: str, parameters: Mapping[str, Any], index: int) -> Array:
        """Return the float64 map of one input whose values lie in another order in memory."""
        x = in_another_memory_order(self._inputs[index][None].astype("float64"))
        found = self._subject.attribute(self._modules["float64"], x, [self._targets[index]], name, parameters)
        return np.asarray(found[0])

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
    failed = next((one.error for one in answers if one.array is None), None)
    arrays = [one.array[0] for one in answers if one.array is not None]
    if failed is not None or len(arrays) < len(answers):
        return Maps(None, 0.0, failed or "no map and no error")
    seconds = sum(one.seconds for one in answers) / len(answers)
    return Maps(arrays, seconds, together=max(one.together for one in answers))
