"""The error of inputs."""

from __future__ import annotations

from parity.errors import ParityError


class InputError(ParityError):
    """An input that no model can take; the message says which file, what is wrong and what would be right."""
