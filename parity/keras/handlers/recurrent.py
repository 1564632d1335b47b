"""Handlers: recurrent layers, one way and both ways, on features and on maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from parity.keras.description import Shape
from parity.keras.handlers.activations import activation_module
from parity.keras.handlers.layer import Built, Layer, Value, Variable
from parity.keras.handlers.windows import window
from parity.keras.modules import recurrent as modules
from parity.keras.modules.recurrent import BothWays, Cell, Recurrence, StackedCells
from parity.keras.results import STATE

_GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
# What Keras calls a cell's group in a file.
_GROUPS = {"LSTMCell": "lstm_cell", "GRUCell": "gru_cell", "SimpleRNNCell": "simple_rnn_cell"}
_CELLS = ("LSTM", "GRU", "SimpleRNN")
_CONVOLUTIONS = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
RECURRENT = frozenset({*_CELLS, "RNN", *_CONVOLUTIONS, "Bidirectional"})
"""Layers that run over a sequence step by step."""
_MERGES = ("concat", "sum", "ave", "mul")
_DEFAULT_GATE = {"LSTM": "sigmoid", "GRU": "sigmoid"}


@dataclass(frozen=True)
class CellPart:
    """A cell as it stands in a configuration.

    Attributes
    ----------
    kind
        Its class without "Cell".
    config
        Its settings.
    prefix
        What the names of its variables begin with.
    place
        Where it lies in the layer, as `Variable` has it.
    """

    kind: str
    config: Mapping[str, Any]
    prefix: str
    place: str


def _cells(class_name: str, config: Mapping[str, Any], prefix: str = "") -> list[CellPart]:
    """Return the cells of a recurrent layer, the first first; empty where it is of no known form."""
    place = f"{prefix}layer/cell" if prefix else "cell"
    if class_name in _CELLS or class_name in _CONVOLUTIONS:
        return [CellPart(class_name, config, prefix, place)]
    if class_name != "RNN":
        return []
    cell = _entry(config.get("cell"))
    if cell[0] != "StackedRNNCells":
        return _one_cell(cell, prefix, place)
    entries = cell[1].get("cells")
    entries = [_entry(one) for one in entries] if isinstance(entries, list) else []
    parts: list[CellPart] = []
    for i, one in enumerate(entries):
        again = sum(before[0] == one[0] for before in entries[:i])
        name = _GROUPS.get(one[0], "") + (f"_{again}" if again else "")
        parts += _one_cell(one, f"{prefix}cell_{i}_", f"{place}/cells/{name}")
    return parts if len(parts) == len(entries) else []


def _entry(entry: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(entry, Mapping) and isinstance(entry.get("config"), Mapping):
        return str(entry.get("class_name")), entry["config"]
    return "", {}


def _one_cell(entry: tuple[str, Mapping[str, Any]], prefix: str, place: str) -> list[CellPart]:
    kind = entry[0].removesuffix("Cell")
    return [CellPart(kind, entry[1], prefix, place)] if entry[0].endswith("Cell") and kind in _CELLS else []


def _both(config: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], str]]:
    """Return class, settings and prefix of the two layers of a `Bidirectional`."""
    there, settings = _entry(config.get("layer"))
    turned = {**settings, "go_backwards": not settings.get("go_backwards", False)}
    back = _entry(config["backward_layer"]) if config.get("backward_layer") else (there, turned)
    return [(there, settings, "forward_"), (*back, "backward_")]


def variables(class_name: str, config: Mapping[str, Any], prefix: str = "") -> tuple[Variable, ...]:
    """Kernels and bias of each cell, in order."""
    found: list[Variable] = []
    for part in _cells(class_name, config, prefix):
        own = ("kernel", "recurrent_kernel", *(() if part.config.get("use_bias") is False else ("bias",)))
        trained = part.config.get("trainable") is not False
        found += [Variable(part.prefix + name, trained, part.place) for name in own]
    return tuple(found)


def cells_of(class_name: str, config: Mapping[str, Any]) -> list[CellPart]:
    """Return the cells of a recurrent layer, both ways; none of another layer."""
    if class_name == "Bidirectional":
        return [part for inner, settings, prefix in _both(config) for part in _cells(inner, settings, prefix)]
    return _cells(class_name, config)


def bidirectional_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Those of the layer that runs forward, then those of the other."""
    return tuple(one for class_name, own, prefix in _both(config) for one in variables(class_name, own, prefix))


def recurrent(layer: Layer) -> Built:
    """`LSTM`, `GRU`, `SimpleRNN`, `RNN` around cells of these, and `ConvLSTM1D` to `3D`."""
    config, states = layer.node.config, layer.inputs[1:]
    layer = replace(layer, inputs=layer.inputs[:1], used=layer.used)
    module, shape = _recurrence(layer, layer.node.class_name, config, "")
    module.state = config[STATE] - 1 if STATE in config else None
    _start_with(module, states, shape, layer)
    return _built(shape, module, module.sequences)


def _start_with(module: Recurrence, states: tuple[Value, ...], shape: Shape, layer: Layer) -> None:
    """Let a recurrence read its first states, each of the shape of one step of what it puts out."""
    shapes = [state.shape for state in states]
    step = shape[1:] if module.sequences else shape
    if shapes and shapes != [step] * module.cell.states:
        raise layer.fail(
            f"its initial_state has the shapes {shapes}, expected {module.cell.states} times {step}. "
            "Check what makes it"
        )
    module.initial = len(states)


def bidirectional(layer: Layer) -> Built:
    """`Bidirectional` around one of the others."""
    merge = layer.node.config.get("merge_mode", "concat")
    if merge not in _MERGES:
        raise layer.fail(
            f"its merge_mode is {merge!r}, which makes two outputs; supported are {', '.join(_MERGES)}. "
            "Use two layers, one with go_backwards=True"
        )
    states = layer.inputs[1:]
    layer = replace(layer, inputs=layer.inputs[:1], used=layer.used)
    (there, shape), (back, other) = (
        _recurrence(layer, class_name, _with_zeros(config), prefix)
        for class_name, config, prefix in _both(layer.node.config)
    )
    if shape[:-1] != other[:-1] or (merge != "concat" and shape != other):
        raise layer.fail(f"its two layers give {shape} and {other}, which cannot be merged by {merge!r}")
    _start_with(there, states[: len(states) // 2], shape, layer)
    _start_with(back, states[len(states) // 2 :], other, layer)
    if STATE in layer.node.config:
        way, state = divmod(layer.node.config[STATE] - 1, there.cell.states)
        there.state = back.state = state
        return _built((shape, other)[way], BothWays(there, back, ("forward", "backward")[way]), sequences=False)
    channels = shape[-1]
    assert channels is not None
    assert other[-1] is not None
    if merge == "concat":
        channels += other[-1]
    return _built((*shape[:-1], channels), BothWays(there, back, merge), there.sequences)


def _with_zeros(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings as `Bidirectional` changes them: masked steps of a sequence are zeros."""
    return {**config, "zero_output_for_mask": config.get("return_sequences", False)}


def _built(shape: Shape, module: nn.Module, sequences: bool) -> Built:
    return Built(Value(shape), (("", module),), mask="passes" if sequences else None)


def _recurrence(layer: Layer, class_name: str, config: Mapping[str, Any], prefix: str) -> tuple[Recurrence, Shape]:
    """Return a recurrence and the shape of what it returns, in Keras layout."""
    here = replace(layer, node=replace(layer.node, config=config), used=layer.used)
    for name, why in _REFUSED.items():
        if config.get(name):
            raise layer.fail(f"{name}=True {why}")
    if config.get("return_state") and class_name == "RNN":
        raise layer.fail("return_state=True makes several outputs; only one is supported. Rebuild the layer without it")
    sequences, backwards = here.config.flag("return_sequences", False), here.config.flag("go_backwards", False)
    zeros = here.config.flag("zero_output_for_mask", False)
    if zeros and backwards and config.get("unroll"):
        raise layer.fail(
            "with unroll=True Keras applies the mask of a sequence that is read backwards from the wrong end. "
            "Rebuild the layer with unroll=False"
        )
    parts = _cells(class_name, config, prefix)
    if not parts:
        raise layer.fail(
            f"it runs {class_name!r} with cells that are not supported; supported are LSTM, GRU and SimpleRNN, their "
            "cells in RNN, and StackedRNNCells of them. Use one of these"
        )
    if class_name in _CONVOLUTIONS:
        if class_name[-2:] != f"{len(layer.input.shape) - 2}D":
            layer.rank(int(class_name[-2]) + 2)
        cell, space = _convolutional_cell(here, parts[0])
        units: int = here.config.integer("filters")
    else:
        layer.rank(2)
        features, cells, space = layer.known(layer.input.shape[-1], "number of input features"), [], ()
        for part in parts:
            made, units = _dense_cell(here, part, features)
            cells.append(made)
            features = units
        cell = cells[0] if class_name != "RNN" or len(cells) == 1 else StackedCells(cells)
    time = (layer.input.shape[0],) if sequences else ()
    return Recurrence(cell, backwards, sequences, zeros), (*time, *space, units)


_REFUSED = {
    "stateful": "carries a state from one batch to the next, so no sample would be explained as if alone. "
    "Rebuild the layer with stateful=False and copy the weights over",
    "time_major": "has the time axis before the batch. Rebuild the layer with time_major=False",
    "ragged": "takes ragged tensors. Rebuild the layer without it",
}


def _dense_cell(layer: Layer, part: CellPart, features: int) -> tuple[Cell, int]:
    here = replace(layer, node=replace(layer.node, config=part.config))
    units, gates = here.config.integer("units"), _GATES[part.kind]
    kernel = layer.weight(f"{part.prefix}kernel", (features, gates * units))
    recurrent_kernel = layer.weight(f"{part.prefix}recurrent_kernel", (units, gates * units))
    bias_shape: tuple[int, ...] = (gates * units,)
    settings: dict[str, Any] = {}
    if part.kind == "GRU":
        # Files of Keras before 2.1.5 do not have the setting; there it is false.
        settings["reset_after"] = here.config.flag("reset_after", False)
        bias_shape = (2, 3 * units) if settings["reset_after"] else bias_shape
    name = f"{part.prefix}bias"
    bias = layer.tensor(layer.weight(name, bias_shape)) if name in layer.stored else None
    kind: Any = {"LSTM": modules.LSTMCell, "GRU": modules.GRUCell, "SimpleRNN": modules.SimpleRNNCell}[part.kind]
    cell: Cell = kind(
        layer.tensor(kernel),
        layer.tensor(recurrent_kernel),
        bias,
        _activation(here, part.config.get("activation", "tanh"), units),
        _activation(here, part.config.get("recurrent_activation", _DEFAULT_GATE.get(part.kind)), units),
        **settings,
    )
    return cell, units


def _convolutional_cell(layer: Layer, part: CellPart) -> tuple[Cell, Shape]:
    layer.require_channels_last()
    axes = int(part.kind[-2])
    filters = layer.config.integer("filters")
    kernel_size = layer.config.sizes("kernel_size", axes)
    stride, dilation = layer.config.sizes("strides", axes, 1), layer.config.sizes("dilation_rate", axes, 1)
    channels = layer.known(layer.input.shape[-1], "number of input channels")
    # One step is a picture: the window goes over the axes behind the time.
    picture = replace(layer, inputs=(Value(layer.input.shape[1:]),))
    place = window(picture, kernel_size, stride, dilation)
    weights = [
        np.moveaxis(layer.weight(part.prefix + name, (*kernel_size, size, 4 * filters)), (-1, -2), (0, 1))
        for name, size in (("kernel", channels), ("recurrent_kernel", filters))
    ]
    name = f"{part.prefix}bias"
    bias = layer.tensor(layer.weight(name, (4 * filters,))) if name in layer.stored else None
    cell = modules.ConvLSTMCell(
        layer.tensor(weights[0]),
        layer.tensor(weights[1]),
        bias,
        _activation(layer, part.config.get("activation", "tanh"), filters),
        _activation(layer, part.config.get("recurrent_activation", "hard_sigmoid"), filters),
        stride,
        dilation,
        place.margins,
    )
    return cell, place.spatial


def _activation(layer: Layer, specification: Any, units: int) -> nn.Module:
    """Return an activation of a cell; the softmax in one is never the model's last."""
    node = replace(layer.node, config={**layer.node.config, "activation": specification})
    module = activation_module(replace(layer, node=node, drop_softmax=False), Value((units,)))
    return nn.Identity() if module is None else module
