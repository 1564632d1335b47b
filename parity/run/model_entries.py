"""The models and inputs of a results document, as they come: in memory, and in the run's journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from parity.run.journal import Journal, Place, Reader
from parity.run.records import ModelRecord
from parity.run.unfinished import Finished

SIDES = ("rules", "reference_rules")
Append = Callable[[Mapping[str, Any], Mapping[str, Any]], Place]
"""Writes a record and its arrays to the journal; returns where."""


class ModelEntries:
    """What a document says of models and inputs.

    Parameters
    ----------
    append : callable
        Writes to the journal.

    Attributes
    ----------
    ids : mapping
        What tells a model from another of its name (see `parity.run.sameness.model_id`), by name.
    earlier : Finished
        What an earlier run has finished.
    models : dict
        The models' entries by name.
    inputs : list of dict
        The inputs' entries.
    places : dict
        Model and input -> the input's hash, and where its record lies.
    """

    def __init__(self, append: Append) -> None:
        self.ids: Mapping[str, str] = {}
        self.earlier = Finished()
        self.models: dict[str, dict[str, Any]] = {}
        self.inputs: list[dict[str, Any]] = []
        self.places: dict[tuple[str, str], tuple[str, Place]] = {}
        self._append = append
        self._told: dict[tuple[str, str, str], Any] = {}
        self._shapes: dict[tuple[int, ...], list[int]] = {}  # memory holds each once

    def add(self, record: ModelRecord) -> None:
        """Take in a model and its inputs, or further inputs of a model that is known."""
        name = record.model["name"]
        new = self._new(record.inputs)
        known = self.known(name)
        before = sum(entry["model"] == name for entry in self.inputs)
        self.models[name] = record.model if known is None else _merged(known, record.model, before, len(new))
        model = self.models[name] | {side: {} for side in SIDES}  # they are told as they come
        self._append({"kind": "model", "id": self.id(name), "model": model}, {})
        self.add_inputs(new, record.arrays)

    def add_inputs(self, inputs: Sequence[dict[str, Any]], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take in inputs of models, as `parity.run.records.input_records` has them; not those that are here."""
        for entry in self._new(inputs):
            named = {kind: arrays.get(f"{kind}/{entry['model']}/{entry['name']}") for kind in ("inputs", "display")}
            there = {kind: array for kind, array in named.items() if array is not None}
            self._add_input(entry, self._append({"kind": "input", "input": entry}, there))

    def _new(self, inputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [entry for entry in inputs if (entry["model"], entry["name"]) not in self.places]

    def known(self, name: str) -> dict[str, Any] | None:
        """Return the entry of a model, if need be that of the earlier run; None if there is none."""
        if name not in self.models:
            earlier = self.earlier.model(name, self.id(name))
            if earlier is None:
                return None
            self.models[name] = earlier
        return self.models[name]

    def id(self, name: str) -> str:
        """Return the id of a model; none has to have one."""
        return self.ids.get(name, "")

    def sha256(self, model: str, name: str) -> str:
        """Return the hash of an input, if it is known."""
        return self.places.get((model, name), ("",))[0]

    def take_input(self, model: str, name: str, sha256: str, journal: Journal | Reader) -> bool:
        """Take over an input of the earlier run, and return whether it is here: the same, and not damaged."""
        if (model, name) in self.places:
            return self.sha256(model, name) == sha256
        found = self.earlier.inputs.get((model, name))
        if found is None or found[0] != sha256:
            return False
        record = journal.record(found[1])
        if journal.arrays(record) is None:
            return False
        self._add_input(record["input"], found[1])
        return True

    def _add_input(self, entry: dict[str, Any], place: Place) -> None:
        self.inputs.append(entry)
        entry["shape"] = self._shapes.setdefault(tuple(entry["shape"]), entry["shape"])
        self.places[entry["model"], entry["name"]] = entry["sha256"], place

    def tell_rules(self, model: str, method: str) -> None:
        """Write the rules of a method to the journal, unless they were."""
        for side in SIDES:
            rules = self.models.get(model, {}).get(side, {}).get(method)
            if rules is not None and self._told.get((model, side, method)) is not rules:
                self._told[model, side, method] = rules
                self._append({"kind": "rules", "model": model, "side": side, "method": method, "rules": rules}, {})


def _merged(known: Mapping[str, Any], more: dict[str, Any], before: int, inputs: int) -> dict[str, Any]:
    """Return a model's entry with what its next inputs have shown: the worst distance, the mean agreement.

    The rules of `more` may still be filled by a run that goes on, so they are what is kept.
    """
    merged = dict(known)
    for key in ("logits_rel_l2", "logits_rel_l2_float64"):
        distances = [entry[key] for entry in (known, more)]
        merged[key] = None if None in distances else max(distances)
    agreements = [entry["top1_agreement"] for entry in (known, more)]
    if None not in agreements and before + inputs:
        merged["top1_agreement"] = (agreements[0] * before + agreements[1] * inputs) / (before + inputs)
    for side in SIDES:
        for name, rules in known[side].items():
            more[side].setdefault(name, rules)
        merged[side] = more[side]
    return merged
