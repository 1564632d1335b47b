"""Typed access to a layer's configuration, which comes from a file and may hold anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from parity.keras.errors import ConversionError

T = TypeVar("T")
_REQUIRED: Any = object()
# The range of float32; it also keeps NaN and infinity out.
_LARGEST_NUMBER = 3.4e38


class Config:
    """A layer's configuration with checked reads.

    Parameters
    ----------
    values
        The configuration as parsed from JSON.
    fail
        Makes the exception for a problem; it adds the file and the layer to the message.
    """

    def __init__(self, values: Mapping[str, Any], fail: Callable[[str], ConversionError]) -> None:
        self.values = values
        self._fail = fail

    def integer(self, key: str, default: int = _REQUIRED) -> int:
        """Return an integer."""
        return self._read(key, default, _is_integer, "an integer")

    def number(self, key: str, default: float = _REQUIRED) -> float:
        """Return a number; it may be wrapped as Keras 3 wraps NumPy scalars."""
        value = self.values.get(key)
        if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
            value = value["config"].get("value")
            if _is_number(value):
                return float(value)
        return float(self._read(key, default, _is_number, "a number"))

    def flag(self, key: str, default: bool = _REQUIRED) -> bool:
        """Return true or false."""
        return self._read(key, default, lambda value: isinstance(value, bool), "true or false")

    def text(self, key: str, default: str = _REQUIRED) -> str:
        """Return a string."""
        return self._read(key, default, lambda value: isinstance(value, str), "a string")

    def sizes(self, key: str, count: int, default: int = _REQUIRED) -> tuple[int, ...]:
        """Return `count` positive integers; a single one stands for all."""
        value = self._read(key, default, _is_integer_or_list, f"an integer or a list of {count} integers")
        sizes = (value,) * count if isinstance(value, int) else tuple(value)
        if len(sizes) == 1:
            sizes *= count
        if len(sizes) != count or min(sizes) < 1:
            raise self._fail(f"{key!r} is {self.values.get(key)!r}, expected {count} positive integers")
        return sizes

    def margins(self, key: str, axes: int) -> tuple[tuple[int, int], ...]:
        """Return (before, after) per spatial axis, from any of the forms that Keras accepts."""
        value = self.values.get(key)
        sides: Any = value
        if _is_integer(value):
            sides = [[value, value]] * axes
        elif axes == 1 and isinstance(value, list) and all(_is_integer(item) for item in value):
            sides = [value * 2] if len(value) == 1 else [value]
        elif isinstance(value, list) and value and all(_is_integer(item) for item in value):
            sides = [[item, item] for item in value]
        well_formed = (
            isinstance(sides, list)
            and len(sides) == axes
            and all(isinstance(pair, list) and len(pair) == 2 for pair in sides)
            and all(_is_integer(item) and item >= 0 for pair in sides for item in pair)
        )
        if not well_formed:
            raise self._fail(f"{key!r} is {value!r}, expected {axes} pairs of integers that are not negative")
        return tuple((pair[0], pair[1]) for pair in sides)

    def _read(self, key: str, default: T, accept: Callable[[Any], bool], expected: str) -> T:
        value = self.values.get(key)
        if value is None:
            if default is _REQUIRED:
                raise self._fail(f"its configuration lacks {key!r} ({expected})")
            return default
        if not accept(value):
            raise self._fail(f"{key!r} is {value!r}, expected {expected}")
        return value  # type: ignore[no-any-return]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 31


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER


def _is_integer_or_list(value: Any) -> bool:
    return _is_integer(value) or (
        isinstance(value, list) and len(value) > 0 and all(_is_integer(item) for item in value)
    )
