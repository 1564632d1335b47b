"""What the rows that fail have in common and the rows at parity do not: where to look first.

This counts what the run itself says of its rows (rules of the subject, family, model); it computes nothing anew and
proves nothing: it says where the failures lie together. Parts that lie in the very same failing rows fit equally, and
none of them is named before the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity.report.rows import Row

MOST = 5
"""Hints of a run, and parts that a hint names."""
NO_ROW_AT_PARITY = "no row is at parity, so nothing tells the parts apart"

_KINDS = ("rule", "family", "model")


@dataclass(frozen=True)
class Part:
    """Something that rows run through: its kind ("rule", "family" or "model") and its name.

    A rule whose name also runs at parity, with other parameters, is named with its parameters.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Suspect:
    """Parts that run in the same failing rows and in no row at parity.

    Attributes
    ----------
    parts : tuple of Part
        All that fit equally: rules first, then the family, then the model.
    rows : tuple of Row
        The failing rows that have them, those first in which the least else could be at fault.
    """

    parts: tuple[Part, ...]
    rows: tuple[Row, ...]


def layers_by_rule(model: Mapping[str, Any], method: str) -> dict[str, list[str]]:
    """Return the subject's rules of a method on a model, each by its bare name and in full, with their layers."""
    by_rule: dict[str, list[str]] = {}
    for layer, _, rule in (model.get("rules") or {}).get(method) or []:
        for name in dict.fromkeys((bare(rule), rule)):
            layers = by_rule.setdefault(name, [])
            if layer not in layers:
                layers.append(layer)
    return by_rule


def bare(rule: str) -> str:
    """Return a rule without its parameters."""
    return rule.partition("(")[0]


def suspects(document: Mapping[str, Any], rows: Sequence[Row]) -> list[Suspect]:
    """Return the parts of failing rows alone, those of most rows first; none if nothing fails or nothing holds.

    A rule is taken by its name; where that also runs at parity, with its parameters. Left out are rules whose rows
    all have a rule that stands in more failing rows.
    """
    models = {model["name"]: model for model in document["models"]}
    failing = [row for row in rows if not row.ok]
    holding = [row for row in rows if row.at_parity]
    if not failing or not holding:
        return []
    sound = {part for row in holding for part in _parts(row, models)}
    places: dict[Part, list[int]] = {}
    for place, row in enumerate(failing):
        for part in set(_parts(row, models)) - sound:
            # The bare name says as much as its parameters do, unless it is cleared.
            if part.kind != "rule" or part.name == bare(part.name) or Part("rule", bare(part.name)) in sound:
                places.setdefault(part, []).append(place)
    alike: dict[frozenset[int], list[Part]] = {}
    for part, where in places.items():
        alike.setdefault(frozenset(where), []).append(part)
    suspected: list[Suspect] = []
    with_a_rule: list[frozenset[int]] = []
    for shared in sorted(alike, key=lambda shared: (-len(shared), sorted(shared))):
        covered = any(shared < larger for larger in with_a_rule)
        parts = [part for part in alike[shared] if part.kind != "rule" or not covered]
        if any(part.kind == "rule" for part in parts):
            with_a_rule.append(shared)
        if parts:
            parts.sort(key=lambda part: (_KINDS.index(part.kind), part.name))
            in_order = _simplest_first([failing[place] for place in sorted(shared)], document)
            suspected.append(Suspect(tuple(parts), in_order))
    return suspected[:MOST]


def _parts(row: Row, models: Mapping[str, Any]) -> Iterable[Part]:
    for rule in layers_by_rule(models.get(row.model, {}), row.method):
        yield Part("rule", rule)
    yield Part("family", row.family)
    yield Part("model", row.model)


def _simplest_first(rows: Sequence[Row], document: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return rows by how many rules they have and how often their map is modified behind them."""
    rules_of_model = {model["name"]: model.get("rules") or {} for model in document["models"]}

    def parts(row: Row) -> tuple[int, int]:
        rules = {rule for _, _, rule in rules_of_model.get(row.model, {}).get(row.method) or []}
        facts = document.get("methods", {}).get(row.method, {})
        return len(rules), len(facts.get("modifiers") or [])

    return tuple(sorted(rows, key=parts))


def hints(document: Mapping[str, Any], rows: Sequence[Row]) -> list[tuple[str, tuple[Row, ...]]]:
    """Return what is to be said of the failing rows together: sentences, each with its rows; none if nothing fails."""
    if all(row.ok for row in rows):
        return []
    if not any(row.at_parity for row in rows):
        return [(NO_ROW_AT_PARITY, ())]
    return [(sentence(suspect, rows), suspect.rows) for suspect in suspects(document, rows)]


def sentence(suspect: Suspect, rows: Sequence[Row]) -> str:
    """Say in one sentence what was counted."""
    failing = sum(not row.ok for row in rows)
    holding = sum(row.at_parity for row in rows)
    share = f"{len(suspect.rows)} of {failing} rows that fail" if failing > 1 else "the one row that fails"
    counts = f"in {share}, in none of the {holding} at parity"
    if len(suspect.parts) == 1:
        return f"{suspect.parts[0]}: {counts}"
    return f"{named(suspect.parts)} fit equally: {counts}"


def named(parts: Sequence[Part]) -> str:
    """Return parts as a list of words, up to five by name; nothing for none."""
    if not parts:
        return ""
    words = [str(part) for part in parts[:MOST]]
    if len(parts) > MOST:
        return f"{', '.join(words)} and {len(parts) - MOST} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
