"""The pages of the Python interface: every public name of every public module, documented by its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module

MODULES: Mapping[str, str] = {
    "signxai_torch": "Explaining models",
    "parity": "Comparing maps",
    "parity.keras": "Keras models as torch modules",
    "parity.testing": "Parity in your own tests",
    "signxai_torch.signxai": "SIGN-XAI's functions",
    "signxai_torch.signxai2": "signxai2's functions",
    "signxai_torch.captum": "captum's form",
    "signxai_torch.quantus": "Quantus' form",
    "signxai_torch.compat": "The published functions",
    "signxai_torch.analyzers": "The published analyzers",
    "signxai_torch.hooks": "The published hooks",
    "signxai_torch.composites": "The published composite factories",
    "signxai_torch.rules": "The published rules",
}
"""The public modules, and what each is for."""


def public_names(module: str) -> list[str]:
    """Return a module's public names."""
    return sorted(name for name in import_module(module).__all__ if not name.startswith("_"))


def page(module: str) -> str:
    """Return the Markdown of a module's page."""
    entries = "\n".join(_entry(module, name) for name in public_names(module))
    return f"# {MODULES[module]}: `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n\n{entries}\n```\n"


def _entry(module: str, name: str) -> str:
    thing = getattr(import_module(module), name)
    if inspect.isclass(thing):
        options = "" if issubclass(thing, Exception) else "   :members:\n"
        return f".. autoclass:: {module}.{name}\n{options}"
    if callable(thing):
        return f".. autofunction:: {module}.{name}\n"
    return f".. autodata:: {module}.{name}\n   :no-value:\n"
