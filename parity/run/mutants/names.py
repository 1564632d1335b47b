"""Every method's map of the port against every other method's reference map: only true aliases may pass.

A subject that computes another method than it is asked for is a mutant too, and there are tens of thousands of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.limits import Limits
from parity.judge.metrics import compare
from parity.judge.verdict import is_ok, judge
from parity.reference.client import ReferenceClient
from parity.run.cases import Plan
from parity.run.mutants.mutant import right
from parity.run.outcome import Outcome
from parity.run.runner import Runner
from parity.run.subjects import FunctionSubject, list_methods

Array = npt.NDArray[Any]
DTYPE = "float64"


@dataclass(frozen=True)
class NameMatrix:
    """What came of it.

    Attributes
    ----------
    model : str
        The model.
    methods : int
        How many methods have a map on both sides there.
    pairs : int
        How many pairs of different methods were judged.
    aliases : tuple of (str, str)
        Pairs that pass and whose two reference maps are at parity with each other.
    confused : tuple of (str, str)
        Pairs that pass and are no aliases: the judge took one method for another.
    left_out : tuple of str
        Methods without a green float64 row, or that are held to no map of the reference.
    """

    model: str
    methods: int
    pairs: int
    aliases: tuple[tuple[str, str], ...]
    confused: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]

    @property
    def complaints(self) -> list[str]:
        """What is wrong, a sentence each."""
        said = [
            f"{self.model}: the map of {asked} is accepted for {other}, and the references' maps of the two differ"
            for asked, other in self.confused
        ]
        return said if self.methods else [f"{self.model}: no method has a map on both sides"]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "model": self.model,
            "methods": self.methods,
            "pairs": self.pairs,
            "aliases": [list(pair) for pair in self.aliases],
            "confused": [list(pair) for pair in self.confused],
            "left_out": list(self.left_out),
        }


def try_names(plan: Plan, client: ReferenceClient, ahead: int = 0, methods: Sequence[str] = ()) -> NameMatrix:
    """Judge every method's map in the place of every other's.

    Parameters
    ----------
    plan : Plan
        The model and its input, of which the first counts.
    client : ReferenceClient
        Asks the references.
    ahead : int
        See `parity.run.runner.Runner`.
    methods : sequence of str
        The methods; empty for all that are listed.
    """
    names = tuple(methods or list_methods())
    whole = Plan(plan.source, plan.inputs[:1], names, frozenset(names), frozenset())
    runner = Runner(whole, client, FunctionSubject(right, "the healthy port"), ahead=ahead)
    outcomes = {outcome.row["method"]: outcome for outcome in runner.run()}
    usable = {name: outcome for name, outcome in outcomes.items() if _is_usable(outcome)}
    left_out = tuple(name for name in names if name not in usable)
    return matrix(plan.source.name, usable, left_out)


def matrix(model: str, outcomes: dict[str, Outcome], left_out: tuple[str, ...] = ()) -> NameMatrix:
    """Judge every map in the place of every other's; each outcome has both maps and its limits."""
    aliases: list[tuple[str, str]] = []
    confused: list[tuple[str, str]] = []
    pairs = 0
    for asked, outcome in outcomes.items():
        limits = Limits(**outcome.row["limits"])
        for other, impostor in outcomes.items():
            if other == asked:
                continue
            pairs += 1
            if not _passes(outcome.reference, impostor.subject, limits):
                continue
            same = _passes(outcome.reference, impostor.reference, limits)
            (aliases if same else confused).append((other, asked))
    return NameMatrix(model, len(outcomes), pairs, tuple(aliases), tuple(confused), left_out)


def _passes(reference: Array | None, subject: Array | None, limits: Limits) -> bool:
    assert reference is not None
    assert subject is not None
    return judge(compare(reference, subject), limits).ok


def _is_usable(outcome: Outcome) -> bool:
    """Say whether both maps of an outcome are the method's own, and at parity."""
    row = outcome.row
    promised = "promises" in (row["held_to"] or "")  # its maps are those of another network
    both = outcome.reference is not None and outcome.subject is not None
    return both and not promised and is_ok(row["status"], row["divergence"]) and bool(np.any(outcome.reference))
