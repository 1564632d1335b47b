"""A model's facts as plain data: what the results document and the report's arrays say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from parity.keras import ModelDescription
from parity.run.cases import Plan


@dataclass
class ModelFacts:
    """What is known of a model once both sides have loaded it."""

    plan: Plan
    description: ModelDescription
    targets: tuple[int, ...]
    logits_rel_l2: dict[str, float] = field(default_factory=dict)
    top1_agreement: float | None = None
    problems: dict[str, str] = field(default_factory=dict)  # by lane: why no map is compared
    reference_network: str = ""  # how the reference was given the model, where not as its file
    broken: bool = False  # the problem is that the reference failed, not that the networks differ
    rules: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    reference_rules: dict[str, dict[str, Any]] = field(default_factory=dict)  # see ReferenceRules.to_json


@dataclass(frozen=True)
class ModelRecord:
    """What results say of a model and its inputs.

    Attributes
    ----------
    model
        Its entry in `parity.json`; "rules" and "reference_rules" may still be filled by a run that goes on.
    inputs
        The entries of its inputs.
    arrays
        Data sets of the arrays file by name.
    """

    model: dict[str, Any]
    inputs: list[dict[str, Any]]
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


def model_record(facts: ModelFacts) -> ModelRecord:
    """Return the record of a model whose runner was made."""
    source, description = facts.plan.source, facts.description
    model = {
        "name": source.name,
        "source": source.path.name,
        "sha256": source.sha256,
        "description": source.description,
        "input_shape": list(description.input_shape),
        "layers": len(description.layers),
        "parameters": description.parameters,
        "top1_agreement": facts.top1_agreement,
        "logits_rel_l2": facts.logits_rel_l2.get("float32"),
        "logits_rel_l2_float64": facts.logits_rel_l2.get("float64"),
        "rules": facts.rules,
        "reference_rules": facts.reference_rules,
    } | ({"reference_network": facts.reference_network} if facts.reference_network else {})
    return ModelRecord(model, *input_records(facts.plan))


def input_records(plan: Plan) -> tuple[list[dict[str, Any]], dict[str, npt.NDArray[Any]]]:
    """Return the entries of a plan's inputs, and their data sets."""
    source = plan.source
    inputs: list[dict[str, Any]] = []
    arrays: dict[str, npt.NDArray[Any]] = {}
    for x in plan.inputs:
        inputs.append(
            {
                "name": x.name,
                "model": source.name,
                "sha256": x.sha256,
                "shape": list(x.array.shape),
                "range": [float(x.array.min()), float(x.array.max())],
                "label": x.label,
            }
        )
        arrays[array_name("inputs", source.name, x.name)] = x.array
        if x.display is not None:
            arrays[array_name("display", source.name, x.name)] = x.display
    return inputs, arrays


def array_name(kind: str, model: str, name: str) -> str:
    """Return where the arrays file has an input ("inputs"), or its picture ("display").

    What HDF5 reads otherwise than as a sign of a name (a/b is b in a, the name "." nothing) is spelled %2F and the
    like.
    """
    return "/".join((kind, _spelled(model), _spelled(name)))


def _spelled(name: str) -> str:
    return re.sub(r"[/%\x00\ud800-\udfff]|^\.+$", lambda found: "".join(f"%{ord(c):02X}" for c in found[0]), name)
