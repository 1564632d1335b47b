"""What each Keras layer made, and what relevance it handed on, watched while a reference explains an input.

The watching is that of `parity.reference.worker.rules`; nothing of the packages changes. The eager fork shows numbers;
innvestigate, in graph mode, shows the tensors of its graph, which are then evaluated for the input all at once. (Its
own `reverse_keep_tensors` cannot be used: what it does with the values, `_handle_debug_output`, compares arrays and
fails.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from parity.reference.trace import Array, TracedLayer, packed
from parity.reference.worker.rules import NoRulesError, Seen


class NoTraceError(Exception):
    """What the layers handed on cannot be told apart."""


class EagerTrace(Seen):
    """What was seen of one explanation by the eager fork."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._model = model
        self._made: dict[str, Array] = {}
        self._steps: dict[str, tuple[list[str], Array | None, list[Array]]] = {}

    def saw_eager(self, replacement: Any, inputs: Any, arrived: Any, made: Any, handed: Any) -> None:
        """See `Seen.saw_eager`."""
        # The fork takes the inputs of a layer as they arrive, not as the layer reads them; who waits for the answer
        # says whose they are.
        producers = [callback.__self__.name for callback in replacement.callbacks or ()]
        layer = replacement.layer_func
        if not producers and type(layer).__name__ != "InputLayer":
            # A Sequential model does not count its input among its layers.
            producers = [layer.input._keras_history.layer.name]
        for name, value in zip(producers, _listed(inputs), strict=False):
            self._made[name] = _one(value)
        if not producers:  # an input of the model
            self._made[replacement.name] = _one(_listed(inputs)[0])
        came = None if arrived is None else _sum([_one(part) for part in _listed(arrived)])
        shares = [_one(part) for part in _listed(handed)] if producers else []
        if len(shares) != len(producers):
            raise NoTraceError(f"{replacement.name} reads {len(producers)} tensors and hands on {len(shares)}")
        if replacement.name in self._steps:
            raise NoTraceError(f"{replacement.name} handed relevance on twice, so this is no explanation of one input")
        self._steps[replacement.name] = producers, came, shares

    def layers(self, x: Array) -> Array:
        """Return the trace of the input that was explained, packed."""
        last = self._model.output._keras_history.layer.name
        self._made.setdefault(last, np.asarray(self._model.predict(x[np.newaxis], verbose=0))[0])
        return _packed(self._model, self, self._steps, self._made)


class GraphTrace(Seen):
    """The tensors of one analyzer of innvestigate."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._model = model
        self._steps: list[tuple[str, list[Any], list[Any], list[Any], list[Any]]] = []

    def saw_graph(self, layer: Any, inputs: Any, outputs: Any, arrived: Any, handed: Any) -> None:
        """See `Seen.saw_graph`."""
        if layer.name in self._classes:
            parts = (_listed(one) for one in (inputs, outputs, arrived, handed))
            self._steps.append((layer.name, *parts))

    def layers(self, analyzer: Any, batch: Any, target: int | None) -> Array:
        """Return the trace of one input, packed.

        Parameters
        ----------
        analyzer
            The analyzer, made into a graph while it was watched.
        batch
            The input, or inputs, as a batch of one.
        target
            The explained output; None where the analyzer takes none.
        """
        owner: dict[int, str] = {}
        for name, _, outputs, _, _ in self._steps:
            for tensor in outputs:
                owner.setdefault(id(tensor), name)
        for tensor in self._model.inputs:
            owner.setdefault(id(tensor), tensor._keras_history.layer.name)
        if len({name for name, *_ in self._steps}) != len(self._steps):
            raise NoTraceError("a layer is called more than once")
        values = self._evaluated(analyzer, batch, target)
        made = {owner[key]: values[key] for key in owner if key in values}
        steps: dict[str, tuple[list[str], Array | None, list[Array]]] = {}
        for name, inputs, _, arrived, handed in self._steps:
            producers = [owner.get(id(tensor), "") for tensor in inputs]
            if not all(producers) or len(handed) != len(inputs):
                raise NoTraceError(f"what {name} reads was not seen being made")
            steps[name] = producers, _sum([values[id(part)] for part in arrived]), [values[id(part)] for part in handed]
        return _packed(self._model, self, steps, made)

    def _evaluated(self, analyzer: Any, batch: Any, target: int | None) -> dict[int, Array]:
        fed = list(batch) if isinstance(batch, list) else [batch]
        values = {id(tensor): _one(part) for tensor, part in zip(self._model.inputs, fed, strict=True)}
        if target is not None:
            fed.append(analyzer._get_neuron_selection_array(target, 1))
        # A session does not return what it is fed.
        tensors = [tensor for _, *groups in self._steps for group in groups for tensor in group]
        fetched = {id(tensor): tensor for tensor in tensors if id(tensor) not in values}
        compute = tf.keras.backend.function(analyzer._analyzer_model.inputs, list(fetched.values()))
        return values | {key: _one(value) for key, value in zip(fetched, compute(fed), strict=True)}


def _packed(
    model: Any, seen: Seen, steps: dict[str, tuple[list[str], Array | None, list[Array]]], made: dict[str, Array]
) -> Array:
    """Return the layers of a model, input to output, as one array."""
    if not any(seen.rule_of(name) for name in steps):
        raise NoRulesError("no rule of the reference was seen at work")
    layers = []
    for tensor in model.inputs:
        name = tensor._keras_history.layer.name
        arrived = steps[name][1] if name in steps else None
        layers.append(TracedLayer(name, "InputLayer", "", (), made.get(name), arrived, ()))
    for layer in model.layers:
        kind = type(layer).__name__
        if layer.name not in steps or kind == "InputLayer":
            continue
        producers, arrived, handed = steps[layer.name]
        # A layer that reads one tensor twice hands it the sum.
        inbound = tuple(dict.fromkeys(producers))
        shares = tuple(
            _sum([part for name, part in zip(producers, handed, strict=True) if name == one]) for one in inbound
        )
        layers.append(
            TracedLayer(layer.name, kind, seen.rule_of(layer.name), inbound, made.get(layer.name), arrived, shares)
        )
    return packed(layers)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _one(tensor: Any) -> Array:
    """Return what a tensor of a batch of one holds."""
    array: Array = np.asarray(tensor)[0]
    return array


def _sum(arrays: Sequence[Array]) -> Array:
    """Return the sum of what several layers hand to one, in the order in which they did."""
    total = arrays[0]
    for array in arrays[1:]:
        total = total + array
    return total
