"""What it takes to spell a bare operation as layers: what it reads, what it becomes, and why it cannot be spelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from parity.keras.description import Shape
from parity.keras.stored_tensor import StoredTensor

Tensors = Mapping[str, StoredTensor]
"""The variables of a layer by name."""


@dataclass(frozen=True)
class Tensor:
    """What an operation reads: the node that makes it, and its shape in Keras layout without the batch axis."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Spelled:
    """One of the layers that an operation, or another layer, is spelled as.

    Attributes
    ----------
    class_name, config
        Its class and settings.
    inbound
        What it reads: nodes by name, layers of the same spelling by number.
    tensors
        Its variables; an operation has none.
    constants
        What a bare operation is told by place behind what it reads.
    """

    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str | int, ...]
    tensors: Tensors = field(default_factory=dict)
    constants: tuple[Any, ...] = ()


_LONGEST_SHOWN = 80
PREVIOUS = -1
"""The layer spelled before, as what a layer reads."""
COPY, COPY_SETTINGS = "Dropout", {"rate": 0.5}
"""The layer that copies a tensor, and its settings. A linear activation returns the tensor itself in TensorFlow, and
SIGN-XAI, which takes derivatives by tensors, counts it twice still; a dropout at inference returns another one."""
RESULT = "number of the result"
"""Under this name the arguments say which result of an operation of several is spelled."""


class NotSpelledError(Exception):
    """No layers compute the same as an operation, or as a layer; the text says why, as the end of a sentence."""


class OpenSizeError(NotSpelledError):
    """The layers depend on a size that the model leaves open."""


Arguments = Mapping[str, Any]
Spelling = Callable[[Arguments], tuple[Spelled, ...]]


_RESULTS = count()


class Composition:
    """Layers of several operations, of which the later ones read what the earlier ones give.

    Examples
    --------
    >>> from parity.keras.functions.arithmetic import square
    >>> x, composition = Tensor("x", (5,)), Composition()
    >>> second = composition.add(square, {"x": x}, x.shape)
    >>> fourth = composition.add(square, {"x": second}, x.shape)
    >>> [layer.inbound for layer in composition.layers]
    [('x', 'x'), (0, 0)]
    """

    def __init__(self) -> None:
        self._layers: list[Spelled] = []
        self._results: dict[str, int] = {}

    @property
    def layers(self) -> tuple[Spelled, ...]:
        """All of them; the last gives the result."""
        return tuple(self._layers)

    def add(self, spelling: Spelling, arguments: Arguments, shape: Shape = ()) -> Tensor:
        """Append the layers of an operation, and return what it gives, of the shape told, for others to read."""
        before = len(self._layers)
        for layer in spelling(arguments):
            inbound = tuple(self._number(read, before) for read in layer.inbound)
            self._layers.append(replace(layer, inbound=inbound))
        # A name that no layer has, nor any other result: an operation may be composed of others that are composed too.
        name = f"\0{next(_RESULTS)}"
        self._results[name] = len(self._layers) - 1
        return Tensor(name, shape)

    def _number(self, read: str | int, before: int) -> str | int:
        if isinstance(read, str):
            return self._results.get(read, read)
        return read if read == PREVIOUS else read + before


def first_tensor(arguments: Arguments) -> Tensor:
    """Return the first tensor of the arguments."""
    for value in arguments.values():
        if isinstance(value, Tensor):
            return value
    raise NotSpelledError("reads no tensor")


def shown(value: Any) -> str:
    """Return a value as text, a long one by its beginning."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def refuse_settings(arguments: Arguments, *known: str) -> None:
    """Refuse settings besides those known, unless they are not set."""
    for name, value in arguments.items():
        if name not in known and value is not None and not isinstance(value, Tensor):
            raise NotSpelledError(f"is called with {name}={shown(value)}")


def refuse_shape(shape: Sequence[int | None]) -> None:
    """Refuse a shape that `Reshape` does not take: open sizes, or none besides the batch."""
    if None in shape:
        raise OpenSizeError("changes the shape of a tensor of an open size")
    if not shape:
        raise NotSpelledError("leaves no axis besides the batch")


def numbers_in(value: Any) -> Iterator[Any]:
    """Yield the numbers of a constant, however it is nested."""
    if isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    else:
        yield value


def axis_of(axis: Any, rank: int) -> int:
    """Return an axis counted from the batch axis 0."""
    if type(axis) is not int or not -rank - 1 <= axis <= rank:
        raise NotSpelledError(f"is called with axis={axis!r}")
    place: int = axis % (rank + 1)
    if place == 0:
        raise NotSpelledError("works along the batch axis")
    return place
