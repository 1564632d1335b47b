"""What the harness asks of an implementation under test, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from parity.keras import KerasModule

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
        Type and text of what was raised, or what is wrong with what was returned.
    together : int
        How many methods were computed together, of whose time `seconds` is an equal share.
    unsupported : bool
        Whether the subject says that it has no such method (`NotImplementedError`); `error` holds its words.
    """

    array: Array | None
    seconds: float = 0.0
    error: str | None = None
    together: int = 1
    unsupported: bool = False


class Subject(Protocol):
    """An implementation under test.

    Attributes
    ----------
    name : str
        What reports call it.
    spec : str
        The text from which `parity.run.subjects.subject` makes it again, from any folder of this machine.
    """

    name: str
    spec: str

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
