"""What is under test: implementations of the methods by name, and the port's method table.

This is the one file of the harness that knows `signxai_torch`; everything else sees a `Subject` and names.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Protocol

import numpy.typing as npt
import torch

from parity.errors import ParityError
from parity.keras import KerasModule
from signxai_torch.explain import explain, list_methods, parameters_of, plan
from signxai_torch.grammar import Method, UnknownMethodError, parse, wrappers
from signxai_torch.relevance import rules_of

__all__ = ["Method", "Subject", "UnknownMethodError", "list_methods", "parse", "plan", "subject", "wrappers"]

Array = npt.NDArray[Any]


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

    def rules(self, module: KerasModule, inputs: Array, method: str) -> list[tuple[str, str, str]]:
        """Return (layer, module type, rule) of every layer a method gives a rule; empty if there are none."""


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
