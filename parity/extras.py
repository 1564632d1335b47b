"""Packages that not every installation has, and the extra of this distribution that brings each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from parity.errors import ParityError

DISTRIBUTION = "signxai-torch-parity"
EXTRAS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "parity": {
            "click": "click",
            "filelock": "filelock",
            "h5py": "h5py",
            "jinja2": "jinja2",
            "jsonschema-rs": "jsonschema_rs",
            "pillow": "PIL",
            "platformdirs": "platformdirs",
            "rich": "rich",
            "scikit-image": "skimage",
            "scipy": "scipy",
        },
        "cluster": {"distributed": "distributed"},
        "subjects": {"captum": "captum", "grad-cam": "pytorch_grad_cam"},
        "show": {"matplotlib": "matplotlib"},
    }
)
"""Per extra of `pyproject.toml` its packages: the distribution, and the module that it brings."""


class MissingPackageError(ParityError, ModuleNotFoundError):
    """A package of an extra is not installed: the message says which extra brings it."""


def install(extra: str) -> str:
    """Return the command that installs an extra.

    Examples
    --------
    >>> install("parity")
    "pip install 'signxai-torch-parity[parity]'"
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def sentence(module: str | None, what: str = "this") -> str | None:
    """Say which extra brings a module that is missing; None if none does.

    Parameters
    ----------
    module : str or None
        As `ModuleNotFoundError.name` has it.
    what : str
        What needs it.

    Examples
    --------
    >>> sentence("h5py", "parity.keras")
    "parity.keras needs h5py, which is not installed: pip install 'signxai-torch-parity[parity]'"
    """
    top = (module or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        for distribution, name in packages.items():
            if name == top:
                return f"{what} needs {distribution}, which is not installed: {install(extra)}"
    return None


@contextmanager
def named(what: str) -> Iterator[None]:
    """Have an import of `what` that fails for want of a package say which extra brings it.

    Raises
    ------
    MissingPackageError
        If it fails so.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        told = sentence(error.name, what)
        if told is None or isinstance(error, MissingPackageError):
            raise
        raise MissingPackageError(told) from error
