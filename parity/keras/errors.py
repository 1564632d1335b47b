"""The one exception of the converter, and how its messages list names."""

from __future__ import annotations

from collections.abc import Iterable

from parity.errors import ParityError

_NAMED = 6


class ConversionError(ParityError):
    """A Keras file, or one layer in it, that cannot be converted; the message names it and says what to do."""


def few(names: Iterable[str]) -> str:
    """Return the first of some names for a message, "none" where there are none."""
    listed = list(names)
    return (", ".join(listed[:_NAMED]) or "none") + (", ..." if len(listed) > _NAMED else "")
