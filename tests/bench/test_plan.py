"""What a wish comes to, and what the document keeps of the rounds."""

from __future__ import annotations

import pytest

from bench.document import summary, timed_entries
from bench.networks import VISION
from bench.plan import BATCHES, METHODS, SIDES, SMALL, SMALL_BATCHES, VGG16, Wish, make_plan


def test_usual_plan_measures_what_the_issue_names() -> None:
    plan = make_plan(Wish())
    keys = {(one.network, one.batch, one.side, one.method, one.contender) for one in plan.cases}
    assert len(keys) == len(plan.cases)
    for method in METHODS:
        for contender in ("signxai_torch", "zennit", "captum", "tensorflow"):
            assert (VGG16, 1, None, method, contender) in keys
            assert ("vgg_mnist", 1, None, method, contender) in keys
        for network in SMALL:
            assert {(network, batch, None, method, "Explainer") for batch in SMALL_BATCHES} <= keys
    assert {one.batch for one in plan.cases if one.network == VGG16} == set(BATCHES)
    for network in VISION:
        assert (network, 1, None, "lrp_epsilon_0_1", "Explainer") in keys
    assert {one.side for one in plan.cases} == {None, *SIDES}


def test_rounds_are_at_least_five() -> None:
    plan = make_plan(Wish())
    for one in (*plan.cases, *(sweep for sweep in plan.sweeps if sweep.how == "explain_many")):
        assert one.rounds >= 5, one.name


@pytest.mark.parametrize("stored", [False, True])
def test_the_reference_is_measured_beside_the_port_unless_its_stored_seconds_are_wanted(stored: bool) -> None:
    live = {(one.network, one.names) for one in make_plan(Wish(stored_total=stored)).sweeps if one.how == "tensorflow"}
    assert live == (
        set() if stored else {(network, names) for network in (VGG16, "vgg_mnist") for names in ("lrp", "all")}
    )


def test_names_tell_cases_apart() -> None:
    plan = make_plan(Wish())
    names = [one.name for one in (*plan.cases, *plan.sweeps)]
    assert len(set(names)) == len(names)


def test_quick_and_named() -> None:
    quick = make_plan(Wish(quick=True))
    assert not [one for one in quick.cases if one.network == VGG16 and one.contender not in ("unit", "signxai_torch")]
    named = make_plan(Wish(networks=("toy",), methods=("lrp_z",), rounds=2))
    assert {one.network for one in named.cases} == {"toy"}
    assert {one.rounds for one in named.cases} == {2}
    assert named.sweeps == ()  # they speak of all names


def test_summary() -> None:
    told = summary([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    assert told == {
        "median": 4.0, "min": 2.0, "max": 9.0, "rounds": 3, "unit": 2.0, "ratio": 2.0, "ratio_range": [2.0, 3.0],
    }  # fmt: skip


def test_summary_refuses_a_round_without_its_unit() -> None:
    with pytest.raises(ValueError, match="shorter"):
        summary([1.0, 2.0], [1.0])


def test_own_clock_counts() -> None:
    case = {"network": "n", "batch": 1, "side": None, "method": "m", "contender": "tensorflow", "rounds": 1}
    told = {"case": case, "cosine": 1.0, "first_seconds": 9.0, "unit_seconds": [2.0], "own_seconds": [3.0]}
    times, sweeps = timed_entries({"benchmarks": [{"extra_info": told, "stats": {"data": [100.0]}}]})
    assert times[0]["median"] == 3.0
    assert times[0]["ratio"] == 1.5
    assert sweeps == []
