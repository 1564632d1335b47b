"""What a model's code can read: everything that can be got to from the model, its classes and its functions."""

from __future__ import annotations

import dis
import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import chain, repeat
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules import module as torch_module

_CALLED = {"forward", "__call__", "_call_impl", "_wrapped_call_impl", "__getattr__"}
"""What is watched of torch's own classes, where somebody may put something of his own."""
MOST = 20_000
"""Of more objects nobody keeps track: an object that leads to a trainer leads to everything."""
_HOLDS_DATA = {"types", "collections", "argparse", "dataclasses"}
_LIBRARIES = (sys.stdlib_module_names - _HOLDS_DATA - {"__main__"}) | {"torch", "numpy", "builtins"}
_ATOMS = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size, CodeType, ModuleType)


def _is_of_a_library(thing: Any) -> bool:
    return str(getattr(thing, "__module__", None)).partition(".")[0] in _LIBRARIES


def global_hooks() -> list[Any]:
    """Return what holds the hooks of all modules."""
    return [held for name, held in vars(torch_module).items() if name.startswith("_global_") and "hook" in name]


class Reach:
    """What can be reached from some objects, and what it holds at any moment.

    It follows dicts, lists, sets and tuples, the attributes of objects and of their classes, and of functions the
    variables of the scopes around them and the global names in their code. Code of torch and of Python's own library
    is not followed.

    Parameters
    ----------
    roots : iterable of object
        Where to begin.

    Attributes
    ----------
    tensors, arrays : list
        The tensors and NumPy arrays on the way.
    complete : bool
        Whether all of it was followed; of more than `MOST` objects it is not, nor where an attribute raises.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.tensors: list[Tensor] = []
        self.arrays: list[np.ndarray[Any, Any]] = []
        self._dicts: list[Any] = []
        self._collections: list[Any] = []
        self._cells: list[CellType] = []
        self._unreadable = False
        self._owners: list[Any] = []
        self._names: list[str] = []
        self._entries: list[tuple[Mapping[str, Any], str]] = []
        waiting = list(roots)
        seen: dict[int, Any] = {}
        while waiting and len(seen) <= MOST:
            reached = waiting.pop()
            if isinstance(reached, _ATOMS) or id(reached) in seen:
                continue
            seen[id(reached)] = reached
            waiting += self._follow(reached)
        # Most dicts are those of a module's hooks, with nothing in them.
        self._empty = [one for one in self._dicts if len(one) == 0]
        self._dicts = [one for one in self._dicts if len(one) > 0]
        self.complete = not waiting and not self._unreadable

    def holding(self) -> Iterator[Any]:
        """Yield what everything holds now, in order."""
        # Thousands of things are looked at in every call; loops of Python would take as long as a small model.
        return chain(
            chain.from_iterable(self._dicts),
            chain.from_iterable([one.values() for one in self._dicts]),
            chain.from_iterable(self._collections),
            map(_contents, self._cells),
            map(getattr, self._owners, self._names, repeat(None)),
            [names.get(name) for names, name in self._entries],
            (any(map(len, self._empty)),),
        )

    def _follow(self, reached: Any) -> Iterable[Any]:
        if isinstance(reached, Tensor):
            self.tensors.append(reached)
            return ()
        if isinstance(reached, np.ndarray):
            self.arrays.append(reached)
            return ()
        if isinstance(reached, dict):
            self._dicts.append(reached)
            return (*reached.values(), *_attributes(reached))
        if isinstance(reached, (list, set, deque)):
            self._collections.append(reached)
            return (*reached, *_attributes(reached))
        if isinstance(reached, (tuple, frozenset)):
            return (*reached, *_attributes(reached))
        if isinstance(reached, FunctionType):
            return () if _is_of_a_library(reached) else self._of_function(reached)
        if isinstance(reached, CellType):
            self._cells.append(reached)
            return (_contents(reached),)
        if isinstance(reached, MethodType):
            return (reached.__self__, reached.__func__)
        if isinstance(reached, partial):
            return (reached.func, reached.args, reached.keywords)
        if isinstance(reached, (staticmethod, classmethod)):
            return (reached.__func__,)
        if isinstance(reached, property):
            return (reached.fget,)
        if isinstance(reached, type):
            return self._of_class(reached)
        return self._of_object(reached)

    def _named(self, owner: Any, names: Iterable[str]) -> list[Any]:
        """Watch attributes of an object; return what they are now."""
        held = []
        for name in names:
            try:
                held.append(getattr(owner, name, None))
            except Exception:  # of the user's own code, in a property
                self._unreadable = True
            else:
                self._owners.append(owner)
                self._names.append(name)
        return held

    def _of_function(self, function: FunctionType) -> Iterator[Any]:
        yield from self._named(function, ("__code__", "__defaults__", "__kwdefaults__"))
        yield from function.__closure__ or ()
        yield from _attributes(function)
        everywhere = function.__globals__
        read, names = _names_in(function.__code__)
        for name in read & everywhere.keys():
            self._entries.append((everywhere, name))
            value = everywhere[name]
            if isinstance(value, ModuleType) and value.__name__.partition(".")[0] not in _LIBRARIES:
                inside = names & vars(value).keys()
                self._entries += [(vars(value), one) for one in inside]
                yield from (vars(value)[one] for one in inside)
            yield value

    def _of_class(self, reached: type) -> Iterator[Any]:
        for one in reached.__mro__[:-1]:
            if not _is_of_a_library(one):
                self._dicts.append(vars(one))
                yield from vars(one).values()
            else:
                self._entries += [(vars(one), name) for name in _CALLED]

    def _of_object(self, reached: Any) -> Iterator[Any]:
        if _is_of_a_library(type(reached)) and not type(reached).__module__.startswith("torch."):
            return
        yield from self._named(reached, ("__class__",))
        yield type(reached)
        yield from _attributes(reached)
        slots = chain.from_iterable(getattr(one, "__slots__", ()) for one in type(reached).__mro__)
        yield from self._named(reached, (one for one in slots if one not in ("__dict__", "__weakref__")))


def _attributes(reached: Any) -> tuple[Any, ...]:
    if type(reached) in (dict, OrderedDict, list, tuple, set, frozenset):
        return ()
    held = getattr(reached, "__dict__", None)
    return (held,) if isinstance(held, dict) else ()


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell
        return None


@lru_cache(maxsize=4096)
def _names_in(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Return the global names that code reads, and all names in it."""
    instructions = list(dis.get_instructions(code))
    read = {one.argval for one in instructions if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    names = set(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            read_inside, names_inside = _names_in(inner)
            read |= read_inside
            names |= names_inside
    return frozenset(read), frozenset(names)
