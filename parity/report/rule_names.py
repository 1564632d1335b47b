"""Whether both sides used the same rule on a layer: the one place where their names for it are put side by side.

"Same" means that the two rule objects stand for the same rule with the same parameters; whether they compute the
same numbers is what the maps say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Agreement = Literal["same", "differs", "unknown"]

PORT_NAMES = {
    "ZRule": "Z",
    "ZIgnoreBiasRule": "Z",
    "EpsilonRule": "Epsilon",
    "EpsilonIgnoreBiasRule": "Epsilon",
    "StdxEpsilonRule": "StdxEpsilon",
    "SIGNRule": "SIGN",
    "SIGNmuRule": "SIGNmu",
    "WSquareRule": "WSquare",
    "FlatRule": "Flat",
    "GammaRule": "Gamma",
    "BoundedRule": "Bounded",
    "ZPlusFastRule": "ZPlusFast",
    "ZPlusRule": "AlphaBeta",
    "AlphaBetaRule": "AlphaBeta",
    "AlphaBetaIgnoreBiasRule": "AlphaBeta",
    "Alpha1Beta0Rule": "AlphaBeta",
    "Alpha1Beta0IgnoreBiasRule": "AlphaBeta",
    "Alpha2Beta1Rule": "AlphaBeta",
    "Alpha2Beta1IgnoreBiasRule": "AlphaBeta",
    "AveragePoolingReverseRule": "Average",
    "AveragePoolingReverseLayer": "Average",
    "AddReverseRule": "Average",
    "AddReverseLayer": "Average",
    "BatchNormalizationReverseRule": "BatchNorm",
    "BatchNormalizationReverseLayer": "BatchNorm",
    "ReplacementLayer": "Pass",
    "relevance unchanged": "Pass",
    "GradientReplacementLayer": "gradient",
    "_gradient_reverse_mapping": "gradient",
    "_default_reverse_mapping": "gradient",
}
"""The references' rule classes, and what the worker calls what has no class, by the port's name for the rule.

Their parameters are read off the objects themselves, so the classes that fix some need no more than the name.
"""

PORT_SPECIAL = {"ZPlus": ("AlphaBeta", {"alpha": 1.0, "beta": 0.0, "bias": False})}
"""The port's rules that are another one with fixed parameters."""

NO_RULE = "gradient"
"""What the port does on a layer that it gives no rule."""

NOT_KNOWN = "not known"

_ACTIVATION = "_activation"
_CLOSE = 1e-6  # parameters are the same number, told in float32 or float64

Value = float | bool | str


@dataclass(frozen=True)
class LayerRules:
    """One layer: what each side calls it and did on it; `reference` is None where that is not known."""

    layer: str
    module: str
    subject: str
    reference: str | None
    agreement: Agreement


def agreement(subject: str, reference: str) -> Agreement:
    """Return whether two rule texts stand for the same rule; "unknown" where a name is not in the table."""
    mine, theirs = _parse(subject), _parse(reference)
    if mine is None or theirs is None or theirs[0] not in PORT_NAMES:
        return "unknown"
    name, parameters = mine
    if name in PORT_SPECIAL:
        name, fixed = PORT_SPECIAL[name]
        parameters = {**parameters, **fixed}
    elif name not in PORT_NAMES.values():
        return "unknown"
    if name != PORT_NAMES[theirs[0]]:
        return "differs"
    shared = parameters.keys() & theirs[1].keys()
    return "same" if all(_equal(parameters[key], theirs[1][key]) for key in shared) else "differs"


def side_by_side(subject: Sequence[Sequence[str]], reference: Sequence[Sequence[str]] | None) -> list[LayerRules]:
    """Join the layers of both sides by name, in the order of the network.

    Parameters
    ----------
    subject : sequence of (name, module type, rule)
        The layers that the subject gives a rule.
    reference : sequence of (name, Keras class, rule) or None
        The layers whose rule the reference was seen to use; None if that is not known.
    """
    # A shared layer is called more than once.
    mine = dict.fromkeys((name, module, rule) for name, module, rule in subject)
    if reference is None:
        return [LayerRules(*entry, None, "unknown") for entry in mine]
    if not mine:
        return [LayerRules(name, kind, NOT_KNOWN, rule, "unknown") for name, kind, rule in reference]
    theirs = {_module_name(name): (name, kind, rule) for name, kind, rule in reference}
    met = {name for name, _, _ in mine}
    lines = [_line(name, module, rule, theirs) for name, module, rule in mine]
    # What only the reference tells of goes behind the layer that it follows there.
    place = 0
    for key, (name, kind, rule) in theirs.items():
        if key in met:
            place = max(index for index, line in enumerate(lines) if line.layer == key) + 1
            continue
        if 0 < place < len(lines) and lines[place].layer == f"{lines[place - 1].layer}{_ACTIVATION}":
            place += 1
        lines.insert(place, LayerRules(name, kind, NO_RULE, rule, agreement(NO_RULE, rule)))
        place += 1
    return lines


def _line(name: str, module: str, rule: str, theirs: dict[str, tuple[str, str, str]]) -> LayerRules:
    if name in theirs:
        return LayerRules(name, module, rule, theirs[name][2], agreement(rule, theirs[name][2]))
    owner = theirs.get(name.removesuffix(_ACTIVATION))
    if owner is None:
        return LayerRules(name, module, rule, "not seen", "unknown")
    # In Keras an activation is an attribute of its layer. Every rule of a kernel works on that layer without its
    # activation, so the relevance passes it unchanged; of a rule that nobody knows this cannot be said.
    known = _parse(owner[2])
    kernel_rule = known is not None and PORT_NAMES.get(known[0]) not in (None, "gradient", "Pass")
    verdict = agreement(rule, "ReplacementLayer()") if kernel_rule else "unknown"
    return LayerRules(name, module, rule, "part of its layer: unchanged" if kernel_rule else owner[2], verdict)


def _module_name(layer: str) -> str:
    return layer.replace(".", "_")


def _parse(text: str) -> tuple[str, dict[str, Value]] | None:
    """Return name and parameters of `Name(key=value, ...)`, or None if the text is something else."""
    match = re.fullmatch(r"([\w ]+?)(?:\(((?:\w+=[^,()=]+(?:, )?)*)\))?", text)
    if match is None:
        return None
    name, inside = match.groups()
    pairs = [part.split("=", 1) for part in (inside or "").split(", ") if part]
    return name, {key: _value(value) for key, value in pairs}


def _value(text: str) -> Value:
    if text in ("True", "False"):
        return text == "True"
    try:
        return float(text)
    except ValueError:
        return text


def _equal(value: Value, other: Value) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=_CLOSE)
    return type(value) is type(other) and value == other
