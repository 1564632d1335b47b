"""The runner asks for the reference's rules once per method and model, and no case hangs on the answer."""

from __future__ import annotations

import numpy as np
import pytest

from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.reference.request import ReferenceAnswer, ReferenceRequest
from parity.run.cases import Plan
from parity.run.records import model_record
from parity.run.runner import Runner
from parity.run.subjects import SignxaiTorch
from tests.parity.echo_client import EchoClient

LINES = np.array([[b"fc1", b"Dense", b"ZRule(bias=True)"]])


class RulesClient(EchoClient):
    """Answers maps as the echo does, and rules as told: an array, or an exception that is raised."""

    def __init__(self, rules: np.ndarray | Exception) -> None:
        super().__init__()
        self.rules, self.asked = rules, []

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        if request.call.asked_for_rules is None:
            return super().answer(request)
        self.asked.append((request.call.name, request.dtype, len(request.inputs)))
        if isinstance(self.rules, Exception):
            raise self.rules
        return [ReferenceAnswer(self.rules)]


def run(client: RulesClient, methods: tuple[str, ...] = ("gradient", "lrp_z")) -> tuple[Runner, list[str]]:
    source = resolve("dense_mnist")
    lanes = frozenset(methods)
    plan = Plan(source, tuple(default_inputs(source)[:2]), methods, lanes, lanes)
    runner = Runner(plan, client, SignxaiTorch())
    return runner, [outcome.row["status"] for outcome in runner.run()]


def test_rules_are_asked_for_once_and_stand_in_the_models_entry():
    client = RulesClient(LINES)
    runner, statuses = run(client)
    assert statuses == ["parity"] * 8
    assert client.asked == [("lrp_z", "float32", 1)]  # a gradient has no rules
    told = model_record(runner.facts).model["reference_rules"]
    layers = [["fc1", "Dense", "ZRule(bias=True)"]]
    assert told == {"lrp_z": {"reference": "signxai", "layers": layers, "problem": None}}


@pytest.mark.parametrize("rules", [RuntimeError("no rules today"), np.zeros(3)])
def test_without_an_answer_every_case_is_judged_all_the_same(rules):
    runner, statuses = run(RulesClient(rules))
    assert statuses == ["parity"] * 8
    assert runner.facts.reference_rules["lrp_z"]["problem"]
    assert runner.facts.reference_rules["lrp_z"]["layers"] == []
