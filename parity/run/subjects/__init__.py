"""What is under test: implementations of the methods, and the door through which they come in.

This package is the one place of the harness that knows `signxai_torch`; everything else sees a `Subject` and names.
"""

from __future__ import annotations

from parity.run.subjects.door import subject
from parity.run.subjects.function import FunctionSubject
from parity.run.subjects.protocol import Subject, SubjectAnswer
from parity.run.subjects.signxai_torch import SignxaiTorch
from signxai_torch.api import list_methods, plan
from signxai_torch.methods.grammar import Method, UnknownMethodError, parse, wrappers
from signxai_torch.sweep.parameters import DRAWN

__all__ = [
    "DRAWN",
    "FunctionSubject",
    "Method",
    "SignxaiTorch",
    "Subject",
    "SubjectAnswer",
    "UnknownMethodError",
    "list_methods",
    "parse",
    "plan",
    "subject",
    "wrappers",
]
