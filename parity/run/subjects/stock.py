"""What the subjects of other libraries have in common: that they are installed, and which models none is set up for."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from parity.errors import ParityError
from parity.extras import sentence
from parity.keras import KerasModule
from parity.run.subjects.function import Function, FunctionSubject
from signxai_torch.methods.grammar import Method


def stock(function: Function, name: str, module: str, package: str, file: str) -> FunctionSubject:
    """Return the subject of an installed library.

    Parameters
    ----------
    function : callable
        Calls the library, see `FunctionSubject`.
    name : str
        Of the subject.
    module, package : str
        What is imported, and what it is installed from.
    file : str
        The file of the function.

    Raises
    ------
    ParityError
        If it is not installed.
    """
    if find_spec(module) is None:
        what = f"the subject {name}"
        raise ParityError(sentence(module, what) or f"{what} needs {package}, which is not installed")
    return FunctionSubject(function, name, versions={package: metadata.version(package)}, file=file)


def refuse_several(model: KerasModule, subject: str) -> None:
    """Refuse models of several inputs, or of an output per position, which these subjects are not set up for.

    Raises
    ------
    NotImplementedError
        If the model is one.
    """
    description = model.description
    if len(description.inputs) > 1 or len(description.output_layer.output_shape) > 1:
        raise NotImplementedError(f"{subject} is asked about models of one input and one row of classes only")


def refuse_sign(parsed: Method, library: str) -> None:
    """Refuse what SIGN added to the literature, which no stock library has.

    Raises
    ------
    NotImplementedError
        If the method has it.
    """
    if parsed.input_rule == "SIGN" or any(name.startswith("x_sign") for name, _ in parsed.modifiers):
        raise NotImplementedError(f"{library} has nothing like SIGN")
