"""Measured divergences: a structural row is covered by rounding that was measured on the case itself, by no other."""

from __future__ import annotations

import numpy as np
import pytest

from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.judge.known.divergences import ROUNDING, ROUNDING_MOST, rounding
from parity.judge.verdict import NoiseFloor, is_ok, limits_for
from parity.reference.request import ReferenceAnswer, ReferenceCall, ReferenceRequest
from parity.run.cases import Plan
from parity.run.outcome import Outcome, covered_by_flip, covered_by_rounding, in_another_memory_order, without_reference
from parity.run.questions import Question
from parity.run.runner import Runner
from parity.run.subjects import SignxaiTorch
from tests.parity.echo_client import EchoClient
from tests.parity.toy_maps import toy_map


def nudged(array: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    """Return an array at a relative L2 distance of `share`."""
    noise = np.random.default_rng(seed).normal(size=array.shape)
    return array + share * noise * np.linalg.norm(array) / np.linalg.norm(noise)


def structural(distance: float, dtype: str = "float64") -> Outcome:
    reference = toy_map()
    row = {"status": "structural", "reference": "signxai", "limits": limits_for(dtype).to_json()}
    return Outcome(row, reference, nudged(reference, distance))


@pytest.mark.parametrize(
    ("distance", "own", "covered"),
    [
        (3.3e-10, 2.3e-10, True),
        (3.3e-10, 0.9e-10, False),  # more than 3 times its own rounding
        (3.3e-10, 0.0, False),
        (2e-8, 1e-8, False),  # its rounding would allow it, the cap does not
        (1e-3, 1e-3, False),
    ],
)
def test_float64_rounding_covers_three_times_what_was_measured_and_never_more_than_the_cap(distance, own, covered):
    outcome = structural(distance)
    becomes = covered_by_rounding(outcome, nudged(outcome.subject, own, seed=2))
    assert (becomes.get("divergence") == ROUNDING.name) is covered
    assert not covered or "from itself" in becomes["message"]


@pytest.mark.parametrize("again", [np.full((48, 48, 3), np.nan), np.zeros((48, 48, 3)), np.ones((3, 48, 48))])
def test_a_second_map_that_cannot_be_compared_covers_nothing(again):
    assert covered_by_rounding(structural(3.3e-10), again) == {}


def test_a_case_without_a_map_of_the_subject_is_not_covered():
    outcome = structural(3.3e-10)
    outcome.subject = None
    assert covered_by_rounding(outcome, toy_map()) == {}
    assert covered_by_flip(outcome, structural(0.0)) == {}


def test_no_limit_passes_the_cap_and_none_is_tighter_than_the_lanes_own():
    worst, best = rounding(NoiseFloor(1.0, 1.0, 1.0)).limits, rounding(NoiseFloor(0.0, 0.0, 0.0)).limits
    assert (worst.rel_l2, worst.slope, worst.max_err) == (ROUNDING_MOST,) * 3
    assert best == limits_for("float64")


@pytest.mark.parametrize(
    ("distance", "own", "covered"), [(0.02, 0.02, True), (0.02, 0.005, False), (0.02, 0.0, False), (0.9, 0.02, False)]
)
def test_a_flip_covers_three_times_the_references_own_distance(distance, own, covered):
    outcome = structural(distance, "float32")
    twin = Outcome({"reference": "signxai"}, nudged(outcome.reference, own, seed=3))
    assert bool(covered_by_flip(outcome, twin)) is covered


def test_a_flip_of_another_reference_covers_nothing():
    outcome = structural(0.02, "float32")
    assert covered_by_flip(outcome, Outcome({"reference": "innvestigate"}, nudged(outcome.reference, 0.02))) == {}


def test_another_memory_order_holds_the_same_numbers():
    batch = np.random.default_rng(0).normal(size=(2, 5, 4, 3))
    other = in_another_memory_order(batch)
    np.testing.assert_array_equal(other, batch)
    assert other.strides != batch.strides


class NudgedClient(EchoClient):
    """Answers every map of a method 3.3e-10 away from the port's."""

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        answers = super().answer(request)
        if request.call.kind == "logits":
            return answers
        return [ReferenceAnswer(nudged(one.array, 3.3e-10)) for one in answers]


class IllConditioned(SignxaiTorch):
    """Answers 2.3e-10 away from itself when asked again, alone, or raises."""

    raises = False

    def attribute(self, module, inputs, targets, method, parameters):
        found = super().attribute(module, inputs, targets, method, parameters)
        if self.raises:
            raise RuntimeError("no second map")
        return nudged(found, 2.3e-10, seed=4)


class Raising(IllConditioned):
    raises = True


@pytest.mark.parametrize(
    ("model", "method", "subject", "ok"),
    [
        ("vgg_mnist", "lrp.z_IB", IllConditioned, True),
        ("vgg_mnist", "lrp_z", IllConditioned, False),  # a rule with bias has no such excuse
        ("resnet_mnist", "lrp_z", IllConditioned, True),  # unless the model adds or normalizes
        ("resnet_mnist", "gradient", IllConditioned, False),
        ("resnet_mnist", "lrp_z", SignxaiTorch, False),
        ("vgg_mnist", "lrp.z_IB", SignxaiTorch, False),  # it does not differ from itself
        ("vgg_mnist", "lrp.z_IB", Raising, False),
    ],
)
def test_a_run_covers_only_rules_that_divide_by_differences_and_whose_rounding_it_has_measured(
    model, method, subject, ok
):
    source = resolve(model)
    plan = Plan(source, tuple(default_inputs(source)[:1]), (method,), frozenset([method]), frozenset())
    (outcome,) = Runner(plan, NudgedClient(), subject()).run()
    assert outcome.row["status"] == "structural"
    assert is_ok(outcome.row["status"], outcome.row["divergence"]) is ok


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("TypeError: ('Keyword argument not understood:', 'activation')", "reference-defect"),
        (
            "NotAnalyzeableModelException: Deconvnet is only specified for networks with ReLU activations.",
            "unsupported",
        ),
        ("ValueError: something about an activation", "error"),
    ],
)
def test_a_named_crash_is_told_from_a_refusal_and_from_any_other_crash(said, status):
    call = ReferenceCall("innvestigate", "analyzer", "deconvnet")
    how = Question((call,), defect="deconvnet-relu-layer")
    row = without_reference(how, "float32", call, ReferenceAnswer(None, error=said, error_kind="method"))
    assert row["status"] == status
