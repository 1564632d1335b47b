"""What the commands' options have in common."""

from __future__ import annotations


def split(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of an option that is given several times, or once with commas or blanks between the names."""
    return tuple(dict.fromkeys(name for value in values for name in value.replace(",", " ").split()))
