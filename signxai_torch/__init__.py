"""Explanation methods for PyTorch, equal to the TensorFlow originals (SIGN-XAI, iNNvestigate)."""

from signxai_torch.explain import explain, explain_many, list_methods
from signxai_torch.grammar import Method, UnknownMethodError, parse

__all__ = ["Method", "UnknownMethodError", "explain", "explain_many", "list_methods", "parse"]
__version__ = "0.1.0"
