"""From a case to a Keras `.h5` and its input, with h5py alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.hashing import array_sha256, file_sha256
from parity.keras.functions.table import is_operation
from parity.keras.network import Network, NetworkLayer, keras_order
from tests.fuzz.builder import Case
from tests.fuzz.shapes import Shape, output_shape
from tests.fuzz.weights import weights
from tests.parity.keras.keras_files import KerasModel, layer, sequential

INNER = "inside"
"""What a nested model is called."""


def write(case: Case, path: Path) -> tuple[ModelSource, Input]:
    """Write the network of a case as Keras would save it, and return it with its input."""
    rng = np.random.default_rng(case["seed"])
    calls = _calls(case, rng)
    if case["sequential"]:
        entries = [layer(one.class_name, one.name, **one.config) for one in calls]
        KerasModel(sequential(*entries), {one.name: dict(one.weights) for one in calls[1:]}).write(path)
    else:
        _write_functional(case, calls, path)
    output = case["layers"][-1]["name"] if case.get("auxiliary") else None
    source = ModelSource(path.stem, path, None, file_sha256(path), "none", "", "a case of the fuzzer", output=output)
    inputs = [_input(case, tuple(shape), rng) for shape in _inputs(case).values()]
    array = inputs[0] if len(inputs) == 1 else np.concatenate([one.ravel() for one in inputs])
    if case.get("channels_first"):
        array = np.ascontiguousarray(np.moveaxis(array, -1, 0))
    return source, Input("x", array, array_sha256(array), None, None)


def _inputs(case: Case) -> dict[str, list[int]]:
    return {"x": case["input"], **case.get("more_inputs", {})}


def _calls(case: Case, rng: np.random.Generator) -> list[NetworkLayer]:
    """Return the inputs and every call of a layer, further calls with the weights of the first."""
    first = bool(case.get("channels_first"))
    shapes: dict[str, Shape] = {name: tuple(shape) for name, shape in _inputs(case).items()}
    calls = []
    for name, shape in shapes.items():
        size = (shape[-1], *shape[:-1]) if first else shape
        told = (None, *size[1:]) if case.get("open") else size
        calls.append(NetworkLayer(name, "InputLayer", {"batch_input_shape": [None, *told]}, ()))
    made: dict[str, Any] = {}
    for one in case["layers"]:
        inputs = [shapes[name] for name in one["from"]]
        shapes[one["name"]] = output_shape(one["class"], one["config"], inputs)
        made[one["name"]] = (
            made[one["again"]] if "again" in one
            else weights(one["class"], one["config"], inputs[0], rng, case["exact"])
        )  # fmt: skip
        config = _with_channels_first(one, len(inputs[0])) if first else one["config"]
        calls.append(NetworkLayer(one["name"], one["class"], config, tuple(one["from"]), made[one["name"]]))
    return calls


def _with_channels_first(one: dict[str, Any], axes: int) -> dict[str, Any]:
    """Return the configuration of a layer whose images have their channels first."""
    if one["class"] in ("BatchNormalization", "Concatenate"):
        return one["config"] | {"axis": 1 if axes > 1 else -1}
    by_format = ("Conv", "Pooling", "Padding", "Cropping", "UpSampling", "Flatten")
    told = any(part in one["class"] for part in by_format)
    return one["config"] | ({"data_format": "channels_first"} if told else {})


def _write_functional(case: Case, calls: Sequence[NetworkLayer], path: Path) -> None:
    """Write layers that may be called several times, some of them perhaps inside of a model of their own."""
    layer_of = {one["name"]: one.get("again", one["name"]) for one in case["layers"]}
    inner = [one for one in calls if one.name in case.get("nested", ())]
    inner_names = {one.name for one in inner}
    ends = {inner[-1].name: INNER} if inner else {}
    outer: list[NetworkLayer] = []
    for one in calls:
        inbound = tuple(ends.get(name, name) for name in one.inbound)
        if one.name not in inner_names:
            outer.append(NetworkLayer(one.name, one.class_name, one.config, inbound, one.weights))
        elif one is inner[-1]:
            outer.append(NetworkLayer(INNER, "Functional", {}, inner[0].inbound))
    by_call = {one.name: one for one in outer}
    # A layer's place among the others is that of its deepest call; weights lie in the file in the order of the layers.
    order = list(dict.fromkeys(layer_of.get(one.name, one.name) for one in _depth_first(outer)))
    count: Counter[str] = Counter()
    places: dict[str, list[Any]] = {}
    for one in outer:
        name = layer_of.get(one.name, one.name)
        # The making of a nested model is its call 0.
        places[one.name] = [name, count[name] + (one.class_name == "Functional"), 0]
        count[name] += 1
    entries = []
    for name in order:
        own = [one for one in outer if layer_of.get(one.name, one.name) == name]
        nodes = [_call(one, [places[producer] for producer in one.inbound]) for one in own if one.inbound]
        config = {"name": name, **_kept(by_call[name])}
        if by_call[name].class_name == "Functional":
            config = _inner_config(inner, case)
        entries.append({"class_name": by_call[name].class_name, "name": name, "config": config, "inbound_nodes": nodes})
    outputs = [name for name in (case.get("auxiliary"), calls[-1].name) if name]
    config = {
        "name": "network",
        "layers": entries,
        "input_layers": [[name, 0, 0] for name in _inputs(case)],
        "output_layers": [places[ends.get(name, name)] for name in outputs],
    }
    stored = {name: _own_tensors(by_call[name]) for name in order} | ({INNER: _inner_tensors(inner)} if inner else {})
    _write(config, {name: stored[name] for name in order}, path)


def _depth_first(outer: Sequence[NetworkLayer]) -> list[NetworkLayer]:
    """Return calls in Keras' order: those that only another output reads stand with what is read beside them."""
    read = {name for one in outer for name in one.inbound}
    ends = [one.name for one in outer if one.name not in read]
    if len(ends) == 1:
        return keras_order(Network(tuple(outer)))
    end = NetworkLayer("all outputs", "Concatenate", {}, tuple(ends))
    return [one for one in keras_order(Network((*outer, end))) if one.name != end.name]


def _inner_config(inner: Sequence[NetworkLayer], case: Case) -> dict[str, Any]:
    shapes: dict[str, Shape] = {name: tuple(shape) for name, shape in _inputs(case).items()}
    for one in case["layers"]:
        shapes[one["name"]] = output_shape(one["class"], one["config"], [shapes[name] for name in one["from"]])
    start = {"batch_input_shape": [None, *shapes[inner[0].inbound[0]]], "name": "inner_input"}
    entries = [{"class_name": "InputLayer", "name": "inner_input", "config": start, "inbound_nodes": []}]
    before = "inner_input"
    for one in inner:
        config = {"name": one.name, **_kept(one)}
        node = [_call(one, [[before, 0, 0]])]
        entries.append({"class_name": one.class_name, "name": one.name, "config": config, "inbound_nodes": node})
        before = one.name
    return {
        "name": INNER,
        "layers": entries,
        "input_layers": [["inner_input", 0, 0]],
        "output_layers": [[before, 0, 0]],
    }


def _call(one: NetworkLayer, places: Sequence[list[Any]]) -> list[Any]:
    """Return a call as Keras keeps it; that of a bare operation holds its one tensor in no list."""
    call = [[*place, dict(one.config.get("told", {}))] for place in places]
    return call[0] if is_operation(one.class_name) else call


def _kept(one: NetworkLayer) -> dict[str, Any]:
    return {key: value for key, value in one.config.items() if key != "told"}


def _own_tensors(one: NetworkLayer) -> dict[str, np.ndarray]:
    return {f"{one.name}/{variable}:0": values for variable, values in one.weights.items()}


def _inner_tensors(inner: Sequence[NetworkLayer]) -> dict[str, np.ndarray]:
    """Return the weights of a nested model in Keras' order: those that learn, then statistics."""
    every = {name: values for one in inner for name, values in _own_tensors(one).items()}
    statistics = [name for name in every if name.split("/")[1].startswith(("moving_", "mean", "variance", "count"))]
    return {name: every[name] for name in [*(name for name in every if name not in statistics), *statistics]}


def _write(config: dict[str, Any], tensors: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.12.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": config})
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = np.array([name.encode() for name in tensors])
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.12.0"
        for name, values in tensors.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = np.array([key.encode() for key in values], dtype="S")
            for key, array in values.items():
                group[key] = array


def _input(case: Case, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return numbers of both signs with exact zeros; in exact cases a flat area too, where windows tie.

    Of tokens, their numbers.
    """
    if case.get("tokens"):
        return rng.integers(0, case["tokens"], shape).astype(np.float32)
    values = rng.integers(-4, 5, shape) / 4 if case["exact"] else rng.normal(size=shape)
    values[rng.random(shape) < 0.2] = 0
    if case["exact"] and len(shape) > 1:
        values[: shape[0] // 2] = 0.5 * (rng.random() < 0.5)
    if any(one["class"] == "Masking" for one in case["layers"]):
        values[-1] = 0  # a step that is left out, if what is masked is the input itself
    return values.astype(np.float32)
