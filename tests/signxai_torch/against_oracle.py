"""A Keras network written to a file, converted and explained by the port, beside what the oracle makes of it."""

from __future__ import annotations

import functools
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import parity.keras
from parity.keras.network import Network, write_network
from signxai_torch import explain
from tests.parity.judged import ROWS
from tests.signxai_torch.oracle_networks import NETWORKS, Case, call_twice
from tests.signxai_torch.oracles.formulas import Array
from tests.signxai_torch.oracles.methods import METHODS
from tests.signxai_torch.oracles.network import Oracle

SAMPLES = 3
REFERENCES_ALONE = {
    "they round to float32 step by step as TensorFlow's kernel does": ("resizing", "random_crop"),
    "a last digit of an output near 1 decides over more digits of a map than are compared": (
        "saturated", "saturated_inside",
    ),
}  # fmt: skip
"""Rows that are held to the references alone, by why."""
SEVERAL = {
    "two_inputs": ((5, 4), (3,)),
    "two_inputs_normalized": ((5, 4), (3,)),
    "two_inputs_of_one_output": ((4,), (3,)),
}
"""The shapes of several inputs, which rows have joined."""
OF_ONE_OUTPUT = ("two_inputs_of_one_output",)


def _of_rows() -> Iterator[tuple[str, Case]]:
    """Yield the networks that the references are asked about, with the methods that the port explains."""
    alone = {name for names in REFERENCES_ALONE.values() for name in names}
    for name, row in ROWS.items():
        if name in alone:
            continue
        refused = tuple(method for method in METHODS if row.verdict(_asked(method)) == "unsupported")
        if len(refused) < len(METHODS):
            case = Case(row.network, SEVERAL.get(name, (row.shape,)), row.sample or np.asarray, without=refused)
            yield name, replace(case, targets=(0,) * SAMPLES) if name in OF_ONE_OUTPUT else case


def _asked(method: str) -> str:
    """Return a method that the rows know, and that the port refuses wherever it refuses this one."""
    return "lrp_z" if method.startswith(("lrp", "w2lrp")) and "composite" not in method else method


CASES: dict[str, Case] = {**dict(_of_rows()), **NETWORKS}


@dataclass(frozen=True)
class Subject:
    """A network as both sides have it, and one batch.

    Attributes
    ----------
    model
        The converted network.
    network
        The network.
    inputs
        One batch per input, Keras layout.
    targets
        What is explained, by sample.
    """

    model: parity.keras.KerasModule
    network: Network
    inputs: tuple[Array, ...]
    targets: tuple[Any, ...]

    @functools.cached_property
    def oracles(self) -> list[Oracle]:
        """One per sample."""
        return self.fresh_oracles()

    def fresh_oracles(self) -> list[Oracle]:
        """Return others, which compute anew."""
        return [Oracle(self.network.layers, *[x[i] for x in self.inputs]) for i in range(SAMPLES)]

    def by_port(self, method: str) -> Array:
        """Return the maps, one row per sample: those of several inputs behind each other, Keras layout."""
        x = self.model.to_torch(self.inputs if len(self.inputs) > 1 else self.inputs[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of rules of the input layer that no layer has
            found = explain(self.model, x, method, list(self.targets))
        return self.model.to_keras(found).reshape(SAMPLES, -1)


def by_oracle(oracles: list[Oracle], method: str, targets: tuple[Any, ...]) -> Array:
    """Return the maps as `Subject.by_port` does."""
    maps = [one.relevance(METHODS[method], target) for one, target in zip(oracles, targets, strict=True)]
    return np.stack([np.concatenate([part.ravel() for part in one]) for one in maps])


def _with_positive_logits(network: Network) -> Network:
    """Return a network whose last layer has no negative weights: rules of positive parts give zeros too often else."""
    last = network.output
    if not last.weights:
        return network
    weights = {name: abs(values) for name, values in last.weights.items()}
    return network.with_layer(replace(last, weights=weights | {"bias": weights["bias"] + np.float32(3)}))


@functools.cache
def subject(name: str, seed: int) -> Subject:
    """Return a network of `CASES` with weights and a batch of random numbers."""
    case = CASES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    network = _with_positive_logits(case.build(rng))
    inputs = tuple(case.sample(rng.normal(size=(SAMPLES, *shape))) for shape in case.shapes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.h5"
        write_network(network, path)
        if case.twice:
            call_twice(path, case.twice)
        model = parity.keras.load(path, dtype=torch.float64)
    return Subject(model, network, inputs, case.targets)


def methods_of(name: str) -> tuple[str, ...]:
    case = CASES[name]
    return case.only or tuple(method for method in METHODS if method not in case.without)
