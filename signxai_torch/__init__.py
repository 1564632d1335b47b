"""Explanation methods for PyTorch, equal to the TensorFlow originals (SIGN-XAI, iNNvestigate)."""

from signxai_torch.api import explain, explain_many, list_methods, plan
from signxai_torch.lrp.rules import SIGNmuRule, SIGNRule, StdxEpsilon
from signxai_torch.methods.grammar import Method, UnknownMethodError, parse
from signxai_torch.operations.unhooked import UnhookedOperationError
from signxai_torch.published import analyzers, compat, factories, hooks
from signxai_torch.published.analyzers import *  # noqa: F403
from signxai_torch.published.compat import *  # noqa: F403
from signxai_torch.published.factories import *  # noqa: F403
from signxai_torch.published.hooks import *  # noqa: F403
from signxai_torch.sweep.walk import SoftmaxWarning, UnusedInputRuleWarning

__all__ = [
    "Method",
    "SIGNRule",
    "SIGNmuRule",
    "SoftmaxWarning",
    "StdxEpsilon",
    "UnhookedOperationError",
    "UnknownMethodError",
    "UnusedInputRuleWarning",
    "explain",
    "explain_many",
    "list_methods",
    "parse",
    "plan",
]
__all__ += analyzers.__all__  # the published API, see those modules
__all__ += compat.__all__
__all__ += factories.__all__
__all__ += hooks.__all__
__version__ = "0.1.0"
