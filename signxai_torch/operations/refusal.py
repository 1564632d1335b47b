"""What a method cannot explain, told all at once: each with its module, the user's own line, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

_TORCH = str(Path(torch.__file__).parent)
_PACKAGE = str(Path(__file__).parent.parent)


class UnhookedOperationError(TypeError):
    """The model computes something that no rule reaches, or in a way that nobody can follow."""


class BeyondReferenceWarning(UserWarning):
    """The model computes something that neither reference has a rule for; one of the literature is used."""


@dataclass(frozen=True)
class Obstacle:
    """One thing that keeps a method from explaining a model.

    Attributes
    ----------
    what : str
        What the model does, and where.
    advice : str
        What to do about it.
    """

    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.advice}" if self.advice else self.what


def refuse(method: str, obstacles: Iterable[Obstacle]) -> None:
    """Raise if there is an obstacle; the message tells all of them, each once.

    Raises
    ------
    UnhookedOperationError
        If there is one.
    """
    told = list(dict.fromkeys(str(one) for one in obstacles))
    if not told:
        return
    if len(told) == 1:
        raise UnhookedOperationError(f"{method} cannot explain this model: {told[0]}")
    listed = "".join(f"\n  - {one}" for one in told)
    raise UnhookedOperationError(f"{method} cannot explain this model, for {len(told)} reasons:{listed}")


def users_line() -> str:
    """Return file and line of the innermost frame that is neither torch's nor ours; empty if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_TORCH, _PACKAGE, "<")):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
