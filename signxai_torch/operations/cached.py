"""A property that is computed once, without the lock that `functools.cached_property` takes up to Python 3.11."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # noqa: N801 - used as a decorator, beside `property`
    """A property that is computed at its first use and kept in the instance.

    `functools.cached_property` of Python 3.11 and before holds one lock per property for all instances of the
    class. Ctrl-C between the lock's release and the end of its `with` leaves it locked, and every other thread that
    explains then waits for ever. Here two threads may both compute the value, which is the same.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached_property[T]: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> T | cached_property[T]:
        # Python asks here only as long as the instance has no such attribute.
        if instance is None:
            return self
        value = self._compute(instance)
        instance.__dict__[self._name] = value
        return value
