"""A function as a subject: `f(model, x, method, target, **parameters)` returns a map in the shape of `x`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any

from parity.keras import KerasModule
from parity.run.subjects.isolation import PrivateModels, settings_kept
from parity.run.subjects.protocol import Array, SubjectAnswer
from parity.run.subjects.returned import ReturnedError, map_of, told

Function = Callable[..., Any]


class SubjectExitError(RuntimeError):
    """A subject tried to end the process (`SystemExit`): that is an error of its case."""


class FunctionSubject:
    """A subject that is one function.

    Parameters
    ----------
    function : callable
        Called as ``function(model, x, method, target, **parameters)``. `model` is a copy of the converted module,
        `x` a fresh contiguous tensor in torch layout, batch first, in the dtype of the lane (a tuple of them for a
        model of several inputs), `target` a list with one int per sample (one tuple for an output of several axes),
        `parameters` what the case sets. It returns an array or tensor (any device) in the shape of `x`;
        ``NotImplementedError`` says that it has no such method.
    name : str
        What reports call it.
    spec : str, optional
        The text from which it is made again; by default its name.
    versions : mapping, optional
        Of what takes part besides the torch and numpy of this process, or in their place.
    home : callable, optional
        Returns a context in which the function runs, such as one where its folder can be imported from.
    file : str, optional
        The file of the function, as tracebacks name it; errors then say the line.
    """

    def __init__(
        self,
        function: Function,
        name: str,
        spec: str | None = None,
        versions: Mapping[str, str] | None = None,
        home: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        file: str | None = None,
    ) -> None:
        self.name, self.spec = name, spec if spec is not None else name
        self._function, self._versions, self._home, self._file = function, dict(versions or {}), home, file
        self._models = PrivateModels()

    def versions(self) -> dict[str, str]:
        """See `Subject.versions`."""
        return {package: metadata.version(package) for package in ("torch", "numpy")} | self._versions

    def attribute(
        self, module: KerasModule, inputs: Array, targets: list[int], method: str, parameters: Mapping[str, Any]
    ) -> Array:
        """See `Subject.attribute`.

        Raises
        ------
        ReturnedError
            If the function returned no array of real numbers.
        SubjectExitError
            If it tried to end the process.
        Exception
            Whatever else it raised.
        """
        values, _ = self._called(module, inputs, targets, method, parameters)
        return map_of(values, module, inputs)

    def attribute_many(
        self, module: KerasModule, inputs: Array, targets: list[int], methods: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, SubjectAnswer]:
        """See `Subject.attribute_many`; the methods are computed one by one."""
        return {
            method: self._answer(module, inputs, targets, method, parameters) for method, parameters in methods.items()
        }

    def together(self, methods: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
        """See `Subject.together`: nothing is shared."""
        return [[method] for method in methods]

    def rules(self, module: KerasModule, inputs: Array, method: str) -> list[tuple[str, str, str]]:
        """See `Subject.rules`: nothing is known of them."""
        del module, inputs, method
        return []

    def _answer(
        self, module: KerasModule, inputs: Array, targets: list[int], method: str, parameters: Mapping[str, Any]
    ) -> SubjectAnswer:
        try:
            values, seconds = self._called(module, inputs, targets, method, parameters)
        except NotImplementedError as error:
            return SubjectAnswer(None, error=str(error) or "it has no such method", unsupported=True)
        except SubjectExitError as error:
            return SubjectAnswer(None, error=str(error))
        except Exception as error:
            return SubjectAnswer(None, error=told(error, self._file))
        try:  # apart from the call: an error in here is never "no such method"
            return SubjectAnswer(map_of(values, module, inputs), seconds)
        except ReturnedError as error:
            return SubjectAnswer(None, error=str(error))

    def _called(
        self, module: KerasModule, inputs: Array, targets: list[int], method: str, parameters: Mapping[str, Any]
    ) -> tuple[Any, float]:
        """Return what the function returns, and the seconds it took."""
        x = module.to_torch(inputs)  # a copy already; many a function calls x.view
        x = tuple(part.contiguous() for part in x) if isinstance(x, tuple) else x.contiguous()
        target = module.targets(targets)
        with self._home(), settings_kept(), self._models.borrowed(module) as private:
            begun = time.perf_counter()
            try:
                values = self._function(private, x, method, target, **parameters)
            except SystemExit as error:
                raise SubjectExitError(told(error, self._file)) from error
            return values, time.perf_counter() - begun
