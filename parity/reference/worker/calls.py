"""From a call and a model's file to what answers it for an input and a target."""

from __future__ import annotations

import contextlib
import json
import math
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.reference.request import ReferenceCall, rules_call
from parity.reference.worker import missing_kernels
from parity.reference.worker.methods import Analyze, InnvestigateMethods, SignxaiMethods
from parity.reference.worker.models import Models
from parity.reference.worker.rules import NoRulesError

KEPT_TABLES = 1000
"""Tables of rules that are kept; one takes a few kilobytes."""
Ready = tuple[Analyze, list[str]]
"""What answers a call, and notes on what was done to make it run."""


class Calls:
    """Makes calls ready on models.

    Which rules the layers got is asked after a map as a rule. In graph mode they were seen then, while the graph was
    made, and it is not made once more for the question.

    Parameters
    ----------
    models
        The models of this process.
    methods
        The methods of its package.
    """

    def __init__(self, models: Models, methods: SignxaiMethods | InnvestigateMethods) -> None:
        self._models, self._methods = models, methods
        self._tables: OrderedDict[str, Ready] = OrderedDict()

    def prepare(self, call: ReferenceCall, source: dict[str, Any], dtype: str) -> Ready:
        """Return what answers the call, and notes on what was done to make it run.

        Raises
        ------
        Exception
            Whatever the package raises of this call, or `Models.get` of the model.
        """
        seen_before = self._tables.get(_question(call, source, dtype))
        if seen_before is not None:
            return seen_before
        model = self._models.get(
            Path(source["path"]), source["architecture"], source["sha256"], dtype, operations=call.kind == "file-logits"
        )
        prepared = self._methods.prepare(call, model, dtype)
        notes = [*prepared.notes, *missing_kernels.notes(model, dtype)]
        fits = Fits.of(model)
        if prepared.seen is not None:
            with contextlib.suppress(NoRulesError):  # told to who asks for them
                table = prepared.seen.table()
                self._tables[_question(rules_call(call), source, dtype)] = (
                    fits.checked(lambda _x, _target: table),
                    notes,
                )
            while len(self._tables) > KEPT_TABLES:
                self._tables.popitem(last=False)
        return fits.checked(prepared.analyze), notes


def _question(call: ReferenceCall, source: dict[str, Any], dtype: str) -> str:
    return json.dumps([source["sha256"], source["architecture"], dtype, call.to_json()], sort_keys=True)


@dataclass(frozen=True)
class Fits:
    """What a model takes and gives.

    Attributes
    ----------
    shape
        Of one input, None where a length is open; several inputs come joined into one vector.
    classes
        The number of outputs.
    """

    shape: tuple[int | None, ...]
    classes: int

    @classmethod
    def of(cls, model: Any) -> Fits:
        """Return what a Keras model takes and gives."""
        several = isinstance(model.input_shape, list)
        shape = (sum(sizes_of(model)),) if several else tuple(model.input_shape[1:])
        return cls(shape, model.output_shape[-1])

    def checked(self, analyze: Analyze) -> Analyze:
        """Return a function that raises ValueError if the input or target is not one of this model.

        The references would answer a wrong target with a crash, or with a map of another output.
        """

        def answered(x: Any, target: int) -> Any:
            if len(self.shape) != x.ndim or any(n not in (None, m) for n, m in zip(self.shape, x.shape, strict=True)):
                raise ValueError(f"input of shape {x.shape}: the model takes {self.shape}")
            if not 0 <= target < self.classes:
                raise ValueError(f"target {target}: the model has the outputs 0 to {self.classes - 1}")
            return analyze(x, target)

        return answered


def sizes_of(model: Any) -> list[int]:
    """Return how many numbers each input of a model of several takes."""
    return [math.prod(shape[1:]) for shape in model.input_shape]
