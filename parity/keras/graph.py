"""A Keras architecture as a flat list of layers in the order of computation.

Models inside models are un-nested, and a layer that is called several times stands once per call. Nothing is
instantiated by name: an architecture is data, and a class that the handler table does not know is refused later, by
name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from parity.keras.calls import Call
from parity.keras.description import Shape

Name = TypeVar("Name")


def scope_of(name: str) -> str:
    """Return the name of the model that a node lies in."""
    return name.rpartition("/")[0]


@dataclass(frozen=True)
class Node:
    """One call of one layer of the flattened model.

    Attributes
    ----------
    name
        Unique: the Keras name, prefixed with the names of the enclosing models (`outer/inner`); further calls of a
        layer end in `_call_2` and so on.
    keras_name
        The layer's own Keras name.
    class_name, config
        As in the file, but for old names of classes.
    inbound
        Names of the nodes that it reads, in order.
    call
        How it is called.
    weights_of
        The node of the layer's first call, where that is another one: it has the weights.
    result
        Which result it is, of a bare operation of several such as `tf.split`: each is a node of its own.
    ends_masks
        Whether it reads tensors without their masks, although its kind of layer hands masks on.
    """

    name: str
    keras_name: str
    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str, ...]
    call: Call = field(default_factory=lambda: Call(()))
    weights_of: str = ""
    result: int = 0
    ends_masks: bool = False

    @property
    def scope(self) -> str:
        """The name of the model that it lies in, as part of its own; empty outside of nested models."""
        return scope_of(self.name)

    @property
    def keywords(self) -> tuple[str | None, ...]:
        """The name of the argument that each inbound tensor is passed as, None where it stands by place."""
        return self.call.names or (None,) * len(self.inbound)


@dataclass(frozen=True)
class Model:
    """A model or nested model with its members in Keras order; this is how weights are stored.

    Attributes
    ----------
    keras_name, class_name
        As in the file; `"Model"` reads `"Functional"`.
    members
        The first call of each layer, and nested models; input layers included.
    """

    keras_name: str
    class_name: str
    members: tuple[Node | Model, ...]

    def nodes(self) -> Iterator[Node]:
        """Yield every layer inside, nested ones included, in Keras order."""
        for member in self.members:
            if isinstance(member, Model):
                yield from member.nodes()
            else:
                yield member


@dataclass(frozen=True)
class Graph:
    """A flattened model.

    Attributes
    ----------
    name
        The model's Keras name.
    nodes
        In the order of computation; those that read nothing are the inputs.
    output
        Name of the node whose result is the model's result.
    inputs
        Name and shape of each input, in the order in which the model takes them; Keras layout without the batch axis,
        None for open sizes.
    model
        The same layers as they are nested.
    outputs
        Keras names of all outputs that the model has.
    chosen
        The node that the file names as the output, where it is another one; empty where it is not.
    keys
        The names that the model takes its inputs under where it takes a dict; empty where those are its layers'.
    sized
        Whether an input has sizes that the file leaves open.
    """

    name: str
    nodes: tuple[Node, ...]
    output: str
    inputs: tuple[tuple[str, Shape], ...]
    model: Model
    outputs: tuple[str, ...] = ()
    chosen: str = ""
    keys: tuple[str, ...] = ()
    sized: bool = False


def in_order(names: Mapping[Name, Sequence[Name]]) -> tuple[list[Name], list[Name]]:
    """Return names such that each comes after those that it reads, otherwise as they stand, and those in a circle.

    They come by the longest way from a beginning, those of one length as they stand.
    """
    readers: dict[Name, list[Name]] = {name: [] for name in names}
    missing = {name: len(producers) for name, producers in names.items()}
    for name, producers in names.items():
        for producer in producers:
            if producer in readers:  # what is not there is waited for, as if it were a circle
                readers[producer].append(name)
    place = {name: number for number, name in enumerate(names)}
    order: list[Name] = []
    ready = [name for name, count in missing.items() if count == 0]
    while ready:
        order += ready
        freed = []
        for reader in (reader for name in ready for reader in readers[name]):
            missing[reader] -= 1
            if missing[reader] == 0:
                freed.append(reader)
        ready = sorted(freed, key=place.__getitem__)
    return order, [name for name, count in missing.items() if count > 0]


def needed_for(outputs: Iterable[str], nodes: Mapping[str, Node]) -> set[str]:
    """Return the names of the nodes that outputs are made of."""
    needed: set[str] = set()
    stack = list(outputs)
    while stack:
        name = stack.pop()
        if name not in needed:
            needed.add(name)
            stack += nodes[name].inbound
    return needed
