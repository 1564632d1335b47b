"""The one exception of the converter."""

from __future__ import annotations

from parity.errors import ParityError


class ConversionError(ParityError):
    """A Keras file, or one layer in it, that cannot be converted; the message names it and says what to do."""
