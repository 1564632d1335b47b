"""Where no reference gives a map, a method is held to its own definition: a wrong map is no reference's defect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.judge.known.divergences import DIVERGENCES
from parity.judge.known.properties import PROPERTIES
from parity.reference.request import ReferenceAnswer, ReferenceRequest
from parity.run.cases import Plan
from parity.run.runner import Runner
from parity.run.subjects import SignxaiTorch, SubjectAnswer
from tests.parity.echo_client import EchoClient

SUM, ZEROS = "sums_to_the_change", "nothing_where_nothing_changes"
MUTANTS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "one percent more": (SUM, lambda one: one * 1.01),
    "of the other sign": (SUM, lambda one: -one),
    "zero": (SUM, np.zeros_like),
    "an offset": (SUM, lambda one: one + 1e-2 * np.abs(one).max()),
    "nan": (SUM, lambda one: np.where(np.arange(one.size).reshape(one.shape) == 3, np.nan, one).astype(one.dtype)),
    "upside down": (ZEROS, lambda one: one[:, ::-1].copy()),
    "shifted by a pixel": (ZEROS, lambda one: np.roll(one, 1, axis=2)),
    "the same everywhere": (ZEROS, lambda one: np.full_like(one, one.mean())),
}


class Raising(EchoClient):
    """Says what SIGN-XAI says of DeepLIFT."""

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        if request.call.kind == "logits":
            return super().answer(request)
        return [ReferenceAnswer(None, error="ImportError: No module named 'deeplift'", error_kind="method")] * len(
            request.inputs
        )


class Mutated(SignxaiTorch):
    """The port with every map changed."""

    def __init__(self, mutant: Callable[[np.ndarray], np.ndarray]) -> None:
        self.mutant = mutant

    def attribute_many(self, *args: Any) -> dict[str, SubjectAnswer]:
        answers = super().attribute_many(*args)
        return {name: SubjectAnswer(self.mutant(one.array), one.seconds) for name, one in answers.items()}


def rows(mutant: Callable[[np.ndarray], np.ndarray]) -> list[dict[str, Any]]:
    source, lanes = resolve("dense_mnist"), frozenset(["deep_lift"])
    plan = Plan(source, tuple(default_inputs(source)[:1]), ("deep_lift",), lanes, lanes)
    return [outcome.row for outcome in Runner(plan, Raising(), Mutated(mutant)).run()]


def test_the_ports_own_map_is_as_promised():
    found = rows(lambda one: one)
    assert [(row["status"], row["divergence"]) for row in found] == [
        ("reference-defect", "signxai-deep-lift-missing")
    ] * 2


@pytest.mark.parametrize("name", MUTANTS)
def test_a_map_that_breaks_a_promise_is_a_mismatch(name: str):
    promise, mutant = MUTANTS[name]
    for row in rows(mutant):
        assert (row["status"], row["failed_check"]) == ("mismatch", promise)
        assert row["divergence"] is None
        assert row["message"].startswith("the map sums to" if promise == SUM else "the map is")


def test_a_map_of_another_shape_is_a_mismatch():
    for row in rows(lambda one: one[:, 1:]):
        assert (row["status"], row["failed_check"]) == ("mismatch", "shape")


def test_every_property_of_the_table_exists():
    named = {name for entry in DIVERGENCES for name in entry.holds}
    assert named == set(PROPERTIES)
