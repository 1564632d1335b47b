"""A converted model cut at one layer: the same module from one of the tensors that the layer reads up to the output.

What a subject says of the cut model is the relevance that the layer hands to that tensor, whatever the subject is: it
gets a model and an input as ever. Everything that does not depend on the tensor (other branches, and what other layers
make of the same tensor) is held at given values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from parity.keras.description import LayerDescription
from parity.keras.errors import ConversionError
from parity.keras.module import KerasModule, Step
from parity.keras.modules.moving import FeatureOrder


class NoCutError(ConversionError):
    """There is no such cut of this model; the message says why."""


def cut(module: KerasModule, layer: str, producer: str, tensors: Sequence[Tensor]) -> KerasModule:
    """Return the part of a model that starts where a layer reads the output of another.

    Parameters
    ----------
    module
        The model. Its sub-modules are shared with the part, under the same names.
    layer
        Name of the Keras layer that reads.
    producer
        Name of the one whose output it reads: the part's input, in Keras layout and order.
    tensors
        Every tensor of a forward pass of one sample, see `KerasModule.tensors`; what the part does not compute is held
        at these.

    Raises
    ------
    NoCutError
        If nothing is computed behind the cut, or the tensor cannot be told from another that the layer reads.
    """
    position = module.places[producer].position
    readers = _readers(module, layer, producer)
    part = _Part(module, tensors)
    start = part.start(producer)
    for index, step in enumerate(module.steps):
        part.take(index, step, {position: start} if index in readers else {})
    if module.output_position not in part.made:
        raise NoCutError(f"nothing is computed behind {producer!r} as {layer!r} reads it")
    return part.finished(layer, producer)


def _readers(module: KerasModule, layer: str, producer: str) -> set[int]:
    """Return the steps that read a layer's output as another layer does."""
    described = {one.name: one for one in module.description.layers}
    position = module.places[producer].position
    same = {one for one in described[layer].inbound if module.places[one].position == position}
    if same != {producer}:
        raise NoCutError(f"{layer!r} reads {' and '.join(sorted(same)) or 'nothing'} as one tensor")
    if module.places[layer].steps:
        return {index for index in module.places[layer].steps if position in module.steps[index].inputs}
    # The layer does nothing here, so what reads its output reads this tensor.
    found: set[int] = set()
    for one in described.values():
        if layer in one.inbound:
            found |= _readers(module, one.name, layer)
    return found


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the part: its input, one that is held (by its position in the whole), or the result of a step."""

    kind: Literal["input", "held", "made"]
    number: int = 0


class _Part:
    """The part of a model behind a cut, while it is put together."""

    def __init__(self, module: KerasModule, tensors: Sequence[Tensor]) -> None:
        self.module, self.tensors = module, tensors
        self.made: dict[int, _Tensor] = {}  # by position in the whole: what depends on the part's input
        self.modules: dict[str, nn.Module] = {}
        self.steps: list[tuple[str, tuple[_Tensor, ...]]] = []

    def start(self, producer: str) -> _Tensor:
        """Return the part's input in the order in which the model has it."""
        order, begin = self.module.places[producer].order, _Tensor("input")
        return begin if order is None else self._add("cut_order", FeatureOrder(torch.from_numpy(order)), (begin,))

    def take(self, index: int, step: Step, instead: dict[int, _Tensor]) -> None:
        """Take a step over if it depends on the part's input."""
        here = self.made | instead
        if not any(p in here for p in step.inputs):
            return
        inputs = tuple(here.get(p, _Tensor("held", p)) for p in step.inputs)
        position = len(self.module.description.inputs) + index
        self.made[position] = self._add(step.module, self.module.get_submodule(step.module), inputs)

    def finished(self, layer: str, producer: str) -> KerasModule:
        """Return the part."""
        whole = self.module.description
        described = {one.name: one for one in whole.layers}
        place, shape = self.module.places[producer], described[producer].output_shape
        begin = LayerDescription(producer, "InputLayer", {"name": producer}, (), shape, 0, None)
        behind = [one for one in whole.layers if self._is_behind(one.name) and one.name != producer]
        description = replace(
            whole,
            name=f"{whole.name} from {layer}",
            layers=(begin, *behind),
            inputs=((producer, shape),),
            channels_first=place.channels_first,
        )
        read = [one for _, inputs in self.steps for one in inputs]
        held = list(dict.fromkeys(one.number for one in read if one.kind == "held"))

        def position(one: _Tensor) -> int:
            if one.kind == "input":
                return 0
            return 1 + (held.index(one.number) if one.kind == "held" else len(held) + one.number)

        steps = [Step(name, tuple(position(one) for one in inputs)) for name, inputs in self.steps]
        ends = {name: end for name, end in self.module.layer_outputs.items() if end in self.modules}
        output = position(self.made[self.module.output_position])
        part = KerasModule(
            description, list(self.modules.items()), steps, output, ends, held=[self.tensors[p] for p in held]
        )
        return part.to(self.module.dtype).eval().requires_grad_(False)

    def _is_behind(self, name: str) -> bool:
        return self.module.places[name].position in self.made

    def _add(self, name: str, module: nn.Module, inputs: tuple[_Tensor, ...]) -> _Tensor:
        while name in self.modules:
            name += "_"
        self.modules[name] = module
        self.steps.append((name, inputs))
        return _Tensor("made", len(self.steps) - 1)
