"""The harness that holds PyTorch explanations to their TensorFlow originals.

Importing this package costs nothing: the reference process imports it too, where torch does not exist.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.judge.metrics import compare as compare

__all__ = ["compare"]


def __getattr__(name: str) -> Any:
    if name == "compare":
        from parity.extras import named

        with named("parity.compare"):
            from parity.judge.metrics import compare

            import_module("parity.judge.notebook")  # gives comparisons their table in notebooks

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
