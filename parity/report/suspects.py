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
        Its name. A rule whose name also runs at parity, with other parameters, is named with its parameters.
    rows : tuple of Row
        The failing rows that have it, those first in which the least else could be at fault.
    """

    kind: str
    name: str
    rows: tuple[Row, ...]


def layers_by_rule(model: Mapping[str, Any], method: str) -> dict[str, list[str]]:
    """Return the subject's rules of a method on a model, each by its bare name and in full, with their layers."""
    found: dict[str, list[str]] = {}
    for layer, _, rule in (model.get("rules") or {}).get(method) or []:
        for name in dict.fromkeys((bare(rule), rule)):
            layers = found.setdefault(name, [])
            if layer not in layers:
                layers.append(layer)
    return found


def bare(rule: str) -> str:
    """Return a rule without its parameters."""
    return rule.partition("(")[0]


def suspects(document: Mapping[str, Any], rows: Sequence[Row]) -> list[Suspect]:
    """Return the parts of failing rows alone, those of most rows first; none if nothing fails or nothing holds.

    A rule is taken by its name; where that also runs at parity, with its parameters. Left out is what stands in the
    same rows as a part before it, and a rule whose rows all have a rule before it.
    """
    models = {model["name"]: model for model in document["models"]}
    failing = [row for row in rows if not row.ok]
    holding = [row for row in rows if row.status == "parity"]
    if not failing or not holding:
        return []
    sound = {part for row in holding for part in _parts(row, models)}
    having: dict[tuple[str, str], list[Row]] = {}
    for row in failing:
        parts = set(_parts(row, models))
        for kind, name in sorted(parts - sound):
            # The bare name says as much as its parameters do, unless it is cleared.
            if kind != "rule" or name == bare(name) or (kind, bare(name)) in sound:
                having.setdefault((kind, name), []).append(row)
    order = sorted(having, key=lambda part: (-len(having[part]), _KINDS.index(part[0]), part[1]))
    found: list[Suspect] = []
    for kind, name in order:
        own = set(map(id, having[kind, name]))
        before = [({id(row) for row in one.rows}, one.kind) for one in found]
        if not any(own == theirs or (kind == other == "rule" and own < theirs) for theirs, other in before):
            found.append(Suspect(kind, name, _simplest_first(having[kind, name], document)))
    return found[:MOST]


def _parts(row: Row, models: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for rule in layers_by_rule(models.get(row.model, {}), row.method):
        yield "rule", rule
    yield "family", row.family
    yield "model", row.model


def _simplest_first(rows: Sequence[Row], document: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return rows by how many rules they have and how often their map is modified behind them."""
    told = {model["name"]: model.get("rules") or {} for model in document["models"]}

    def parts(row: Row) -> tuple[int, int]:
        rules = {rule for _, _, rule in told.get(row.model, {}).get(row.method) or []}
        facts = document.get("methods", {}).get(row.method, {})
        return len(rules), len(facts.get("modifiers") or [])

    return tuple(sorted(rows, key=parts))


def sentence(suspect: Suspect, rows: Sequence[Row]) -> str:
    """Say in one sentence what was counted."""
    failing = sum(not row.ok for row in rows)
    holding = sum(row.status == "parity" for row in rows)
    share = f"{len(suspect.rows)} of {failing}" if failing > 1 else "the one"
    return (
        f"{suspect.kind} {suspect.name}: in {share} {'rows' if failing > 1 else 'row'} that "
        f"{'fail' if failing > 1 else 'fails'}, in none of the {holding} at parity"
    )
