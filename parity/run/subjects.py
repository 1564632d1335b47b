"""What is under test: implementations of the methods by name, and the port's method table.

This is the one file of the harness that knows `signxai_torch`; everything else sees a `Subject` and names.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol

import numpy.typing as npt
import torch

from parity.errors import ParityError
from parity.keras import KerasModule
from signxai_torch.explain import explain, list_methods, plan
from signxai_torch.grammar import Method, UnknownMethodError, parse, wrappers
from signxai_torch.parameters import parameters_of
from signxai_torch.plan import Plan, Wanted
from signxai_torch.relevance import rules_of
from signxai_torch.state import undisturbed

__all__ = [
    "Method",
    "Subject",
    "SubjectAnswer",
    "UnknownMethodError",
    "list_methods",
    "parse",
    "plan",
    "subject",
    "wrappers",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SubjectAnswer:
    """What a subject said to one method for a batch.

    Attributes
    ----------
    array : numpy.ndarray or None
        The maps, Keras layout, in the shape of the inputs; None if it failed.
    seconds : float
        Its time, or its share of the time of what was computed together.
    error : str or None
        Type and text of what was raised.
    together : int
        How many methods were computed together, of whose time `seconds` is an equal share.
    """

    array: Array | None
    seconds: float = 0.0
    error: str | None = None
    together: int = 1


class Subject(Protocol):
    """An implementation under test."""

    name: str

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that take part."""

    def attribute(
        self, module: KerasModule, inputs: Array, targets: list[int], method: str, parameters: Mapping[str, Any]
    ) -> Array:
        """Return the maps of a batch.

        Parameters
        ----------
        module : KerasModule
            The converted model, in the dtype of the lane.
        inputs : numpy.ndarray
            Keras layout, batch first.
        targets : list of int
            One class per sample.
        method : str
            The method's name.
        parameters : mapping
            What the case sets, such as the noise's seed.

        Returns
        -------
        numpy.ndarray
            Keras layout, in the shape of `inputs`.
        """

    def attribute_many(
        self, module: KerasModule, inputs: Array, targets: list[int], methods: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, SubjectAnswer]:
        """Return an answer per method (name -> what the case sets); a method that fails costs no other's answer."""

    def together(self, methods: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
        """Return the methods in groups that are worth asking for at once, each in the order given."""

    def rules(self, module: KerasModule, inputs: Array, method: str) -> list[tuple[str, str, str]]:
        """Return (layer, module type, rule) of every layer a method gives a rule; empty if there are none."""


def _plan(methods: Mapping[str, Mapping[str, Any]]) -> Plan:
    return Plan([Wanted(parse(name), parameters_of(parse(name), given)) for name, given in methods.items()])


class SignxaiTorch:
    """The port of this repository."""

    name = "signxai_torch"

    def versions(self) -> dict[str, str]:
        """See `Subject.versions`."""
        import signxai_torch

        packages = ("torch", "zennit", "numpy")
        return {"signxai_torch": signxai_torch.__version__} | {name: metadata.version(name) for name in packages}

    def attribute(
        self, module: KerasModule, inputs: Array, targets: list[int], method: str, parameters: Mapping[str, Any]
    ) -> Array:
        """See `Subject.attribute`."""
        x = module.to_torch(inputs)
        return module.to_keras(explain(module, x, method, target=targets, **parameters))

    def attribute_many(
        self, module: KerasModule, inputs: Array, targets: list[int], methods: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, SubjectAnswer]:
        """See `Subject.attribute_many`; methods share what `signxai_torch.explain_many` lets them share."""
        x = module.to_torch(inputs)
        answers: dict[str, SubjectAnswer] = {}
        for job in _plan(methods).jobs:
            begun = time.perf_counter()
            try:
                with undisturbed(module):
                    maps = Plan(job.wanted).run(module, x, targets)
            except Exception:  # of whom it was, each of them alone will tell
                answers |= {one.method.name: self._alone(module, inputs, targets, one) for one in job.wanted}
                continue
            seconds = (time.perf_counter() - begun) / len(maps)
            answers |= {
                name: SubjectAnswer(module.to_keras(array), seconds, together=len(maps)) for name, array in maps.items()
            }
        return {name: answers[name] for name in methods}

    def together(self, methods: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
        """See `Subject.together`: the jobs of a plan."""
        return [[one.method.name for one in job.wanted] for job in _plan(methods).jobs]

    def _alone(self, module: KerasModule, inputs: Array, targets: list[int], one: Wanted) -> SubjectAnswer:
        begun = time.perf_counter()
        try:
            array = self.attribute(module, inputs, targets, one.method.name, one.parameters)
        except Exception as error:
            return SubjectAnswer(None, 0.0, f"{type(error).__name__}: {error}")
        return SubjectAnswer(array, time.perf_counter() - begun)

    def rules(self, module: KerasModule, inputs: Array, method: str) -> list[tuple[str, str, str]]:
        """See `Subject.rules`."""
        parsed = parse(method)
        if not parsed.row.layers:
            return []
        with torch.no_grad():
            return rules_of(module, module.to_torch(inputs), parsed, parameters_of(parsed, {}))


SUBJECTS: dict[str, type[SignxaiTorch]] = {SignxaiTorch.name: SignxaiTorch}
"""The implementations by name."""


def subject(name: str) -> Subject:
    """Return an implementation by name.

    Raises
    ------
    ParityError
        If there is none of that name.
    """
    if name not in SUBJECTS:
        near = difflib.get_close_matches(name, SUBJECTS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ParityError(f"unknown subject {name!r}{hint} There are: {', '.join(SUBJECTS)}.")
    return SUBJECTS[name]()
