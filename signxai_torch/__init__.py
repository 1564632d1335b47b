"""Explanation methods for PyTorch, equal to the TensorFlow originals (SIGN-XAI, iNNvestigate)."""

from signxai_torch import analyzers, compat, factories, hooks
from signxai_torch.analyzers import *  # noqa: F403
from signxai_torch.compat import *  # noqa: F403
from signxai_torch.explain import explain, explain_many, list_methods, plan
from signxai_torch.factories import *  # noqa: F403
from signxai_torch.grammar import Method, UnknownMethodError, parse
from signxai_torch.hooks import *  # noqa: F403
from signxai_torch.rules import SIGNmuRule, SIGNRule, StdxEpsilon
from signxai_torch.unhooked import UnhookedOperationError
from signxai_torch.walk import SoftmaxWarning, UnusedInputRuleWarning

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
