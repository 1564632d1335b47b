"""A stranger's class that follows the `Subject` protocol, held to it: what it breaks is an error of its own case."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import metadata
from typing import Any

import numpy as np

from parity.errors import ParityError
from parity.keras import KerasModule
from parity.run.subjects.function import SubjectExitError
from parity.run.subjects.isolation import PrivateModels, settings_kept
from parity.run.subjects.protocol import Array, Subject, SubjectAnswer
from parity.run.subjects.returned import ReturnedError, as_array, for_each_sample, told

METHODS = ("versions", "attribute", "attribute_many", "together", "rules")
"""What a subject must have besides a name."""


class GuardedSubject:
    """A subject around a stranger's subject: it works on copies of models, inputs and targets.

    Parameters
    ----------
    inner : Subject
        The stranger's object.
    name, spec : str
        See `Subject`; the object's own name does not count.
    versions : mapping
        Of what it came from; the object adds its own, also in the place of this process's torch and numpy.
    home : callable
        Returns a context in which it runs, such as one where its folder can be imported from.
    """

    def __init__(
        self,
        inner: Subject,
        name: str,
        spec: str,
        versions: Mapping[str, str],
        home: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    ) -> None:
        self.name, self.spec = name, spec
        self._inner, self._versions, self._home = inner, dict(versions), home
        self._models = PrivateModels()

    def versions(self) -> dict[str, str]:
        """See `Subject.versions`."""
        with self._inside("versions"):
            said = {str(package): str(version) for package, version in self._inner.versions().items()}
        return {package: metadata.version(package) for package in ("torch", "numpy")} | said | self._versions

    def attribute(
        self, module: KerasModule, inputs: Array, targets: list[int], method: str, parameters: Mapping[str, Any]
    ) -> Array:
        """See `Subject.attribute`.

        Raises
        ------
        ReturnedError
            If it returned no array of real numbers.
        SubjectExitError
            If it tried to end the process.
        """
        with self._outside(), self._models.borrowed(module) as private:
            values = self._inner.attribute(private, np.array(inputs), list(targets), method, dict(parameters))
        return for_each_sample(as_array(values), inputs)

    def attribute_many(
        self, module: KerasModule, inputs: Array, targets: list[int], methods: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, SubjectAnswer]:
        """See `Subject.attribute_many`; if that raises, each method is computed alone."""
        asked = {name: dict(parameters) for name, parameters in methods.items()}
        try:
            with self._outside(), self._models.borrowed(module) as private:
                answers = dict(self._inner.attribute_many(private, np.array(inputs), list(targets), asked))
        except Exception as error:
            if len(methods) == 1:
                return {name: _failed(error) for name in methods}
            return {
                name: self.attribute_many(module, inputs, targets, {name: parameters})[name]
                for name, parameters in methods.items()
            }
        return {name: _checked(answers.get(name), inputs) for name in methods}

    def together(self, methods: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
        """See `Subject.together`.

        Raises
        ------
        ParityError
            If the groups are not the methods, each once.
        """
        with self._inside("together"):
            groups = [list(group) for group in self._inner.together({name: dict(methods[name]) for name in methods})]
        if sorted(name for group in groups for name in group) != sorted(methods):
            raise ParityError(f"subject {self.spec}: together() must return every method that it is asked for once")
        return groups

    def rules(self, module: KerasModule, inputs: Array, method: str) -> list[tuple[str, str, str]]:
        """See `Subject.rules`."""
        with self._outside(), self._models.borrowed(module) as private:
            entries = self._inner.rules(private, np.array(inputs), method)
            return [(str(layer), str(kind), str(rule)) for layer, kind, rule in entries]

    @contextlib.contextmanager
    def _outside(self) -> Iterator[None]:
        """Run the stranger's code at its home; an attempt to end the process is an error like others."""
        try:
            with self._home(), settings_kept():
                yield
        except SystemExit as error:
            raise SubjectExitError(told(error)) from error

    @contextlib.contextmanager
    def _inside(self, what: str) -> Iterator[None]:
        """Run a part of the protocol that concerns no single case: what it raises stops the run, and is named."""
        try:
            with self._outside():
                yield
        except Exception as error:
            raise ParityError(f"subject {self.spec}: {what}() raised {told(error)}") from error


def _failed(error: Exception) -> SubjectAnswer:
    if isinstance(error, NotImplementedError):
        return SubjectAnswer(None, error=str(error) or "it has no such method", unsupported=True)
    return SubjectAnswer(None, error=str(error) if isinstance(error, SubjectExitError) else told(error))


def _checked(answer: object, inputs: Array) -> SubjectAnswer:
    """Return an answer as it is if the judge can work with it, else what is wrong with it."""
    if not isinstance(answer, SubjectAnswer):
        return SubjectAnswer(None, error=f"attribute_many gave {type(answer).__name__} instead of a SubjectAnswer")
    if answer.array is None or answer.error is not None or answer.unsupported:
        return replace(answer, array=None, error=answer.error or "no map and no error")
    try:
        return replace(answer, array=for_each_sample(as_array(answer.array), inputs))
    except ReturnedError as error:
        return SubjectAnswer(None, error=str(error))
