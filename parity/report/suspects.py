"""What the rows that fail have in common and the rows at parity do not: the first place to look.

This counts what the run itself says of its rows (rules of the subject, family, model); it computes nothing anew and
proves nothing: it says where the failures lie together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity.report.rows import Row

MOST = 5

# Alike in what they single out, these tell more than those behind them.
_KINDS = ("rule", "family", "model")


@dataclass(frozen=True)
class Suspect:
    """A part that runs in rows that fail and in no row at parity.

    Attributes
    ----------
    kind : str
        "rule", "family" or "model".
    name : str
        Its name; of a rule without the parameters.
    rows : tuple of Row
        The failing rows that have it.
    """

    kind: str
    name: str
    rows: tuple[Row, ...]


def rules_by_name(model: Mapping[str, Any], method: str) -> dict[str, list[str]]:
    """Return the subject's rules of a method on a model, without their parameters, with their layers."""
    found: dict[str, list[str]] = {}
    for layer, _, rule in (model.get("rules") or {}).get(method) or []:
        layers = found.setdefault(rule.partition("(")[0], [])
        if layer not in layers:
            layers.append(layer)
    return found


def suspects(document: Mapping[str, Any], rows: Sequence[Row]) -> list[Suspect]:
    """Return the parts of failing rows alone, those of most rows first; none if nothing fails or nothing holds.

    What stands in the same rows as a part before it is left out.
    """
    models = {model["name"]: model for model in document["models"]}
    failing = [row for row in rows if not row.ok]
    holding = [row for row in rows if row.status == "parity"]
    if not failing or not holding:
        return []
    sound = {part for row in holding for part in _parts(row, models)}
    having: dict[tuple[str, str], list[Row]] = {}
    for row in failing:
        for part in _parts(row, models):
            if part not in sound:
                having.setdefault(part, []).append(row)
    order = sorted(having, key=lambda part: (-len(having[part]), _KINDS.index(part[0]), part[1]))
    found: list[Suspect] = []
    for kind, name in order:
        own = tuple(having[kind, name])
        if all(one.rows != own for one in found):
            found.append(Suspect(kind, name, own))
    return found[:MOST]


def _parts(row: Row, models: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for rule in rules_by_name(models.get(row.model, {}), row.method):
        yield "rule", rule
    yield "family", row.family
    yield "model", row.model


def sentence(suspect: Suspect, rows: Sequence[Row]) -> str:
    """Say in one sentence what was counted."""
    failing = sum(not row.ok for row in rows)
    holding = sum(row.status == "parity" for row in rows)
    share = f"{len(suspect.rows)} of {failing}" if failing > 1 else "the one"
    return (
        f"{suspect.kind} {suspect.name}: in {share} {'rows' if failing > 1 else 'row'} that "
        f"{'fail' if failing > 1 else 'fails'}, in none of the {holding} at parity"
    )
