"""Explanation methods for PyTorch, equal to the TensorFlow originals (SIGN-XAI, iNNvestigate).

The names in ``dir(signxai_torch)`` are the interface. The published port's vocabulary (analyzers, hooks, composite
factories, functions) is here too, and comes from `signxai_torch.published` when it is first asked for.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from signxai_torch.api import explain, explain_many, list_methods, plan
from signxai_torch.explainer import Explainer
from signxai_torch.families.cam import grad_cam_layer
from signxai_torch.lrp.passes import SoftmaxWarning, UnusedInputRuleWarning
from signxai_torch.methods.grammar import Method, UnknownMethodError, parse
from signxai_torch.operations.refusal import BeyondReferenceWarning, UnhookedOperationError
from signxai_torch.pictures.show import show
from signxai_torch.published import MODULES, SUBMODULES

__all__ = [
    "BeyondReferenceWarning",
    "Explainer",
    "Method",
    "SoftmaxWarning",
    "UnhookedOperationError",
    "UnknownMethodError",
    "UnusedInputRuleWarning",
    "explain",
    "explain_many",
    "grad_cam_layer",
    "list_methods",
    "parse",
    "plan",
    "show",
]
try:
    __version__ = version("signxai-torch-parity")
except PackageNotFoundError:  # a clone on the path that nobody installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """Return a name of the published port, see `signxai_torch.published`."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if f"{__name__}.{name}" in SUBMODULES:
        return import_module(f"{__name__}.{name}")
    for module in map(import_module, (f"{__name__}.published.{one}" for one in MODULES)):
        if name in module.__all__:
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
