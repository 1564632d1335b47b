"""Who is measured: the port, stock zennit, captum and the TensorFlow reference, each asked as a user would ask it."""

from bench.contenders.common import Job, NoCounterpartError, Task, UnavailableError, gradient_unit
from bench.contenders.everyone import CONTENDERS, Everyone

__all__ = [
    "CONTENDERS",
    "Everyone",
    "Job",
    "NoCounterpartError",
    "Task",
    "UnavailableError",
    "gradient_unit",
]
