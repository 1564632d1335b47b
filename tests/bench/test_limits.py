"""The limits: what is over one is not met, and what is no number is not met either."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.limits import LIMITS, TIMES, holds, judge, unmet
from tests.bench.made_up import run, time_of


def verdict(document: dict[str, Any], group: str, name: str) -> str:
    found = [one for one in judge(document) if one["group"].startswith(group) and one["name"] == name]
    assert len(found) == 1
    return str(found[0]["verdict"])


@pytest.mark.parametrize(
    ("value", "relation", "bound", "expected"),
    [
        (1.25, "<=", 1.25, True),
        (1.2501, "<=", 1.25, False),
        (1.0, "<", 1.0, False),
        (8.0, ">=", 8.0, True),
        (7.99, ">=", 8.0, False),
        (math.nan, "<=", 1.25, False),
        (math.nan, ">=", 8.0, False),
        (math.inf, ">=", 8.0, False),
        (-math.inf, "<=", 1.25, False),
        (None, "<=", 1.25, False),
    ],
)
def test_holds(value: float | None, relation: str, bound: float, expected: bool) -> None:
    assert holds(value, relation, bound) is expected


def test_a_time_over_its_limit_is_not_met() -> None:
    document = run()
    assert verdict(document, "time, in units", "lrp_flat") == "met"
    time_of(document, "lrp_flat", "signxai_torch")["ratio"] = 1.26
    assert verdict(document, "time, in units", "lrp_flat") == "not met"


def test_nan_is_not_met() -> None:
    document = run()
    time_of(document, "lrp_flat", "signxai_torch")["ratio"] = math.nan
    judged = judge(document)
    found = [one for one in judged if one["name"] == "lrp_flat" and one["group"] == "time, in units"]
    assert found[0]["verdict"] == "not measured"
    assert found[0]["value"] is None  # JSON has no NaN
    assert found[0] in unmet(judged)


def test_slower_than_another_is_not_met() -> None:
    document = run()
    assert verdict(document, "time, as a share of zennit", "lrp_z") == "met"
    time_of(document, "lrp_z", "zennit")["ratio"] = 1.05
    assert verdict(document, "time, as a share of zennit", "lrp_z") == "not met"


def test_what_was_not_measured_is_unmet_but_no_counterpart_is_not() -> None:
    document = run()
    assert verdict(document, "time, as a share of tensorflow", "lrp_alpha_1_beta_0") == "not measured"
    case = {"network": "vgg16-seeded", "batch": 1, "side": None, "method": "smoothgrad", "contender": "zennit"}
    document["absent"].append({"case": case, "kind": "no-counterpart", "reason": ""})
    assert verdict(document, "time, as a share of zennit", "smoothgrad") == "no counterpart"
    names = [(one["group"], one["name"]) for one in unmet(judge(document))]
    assert ("time, as a share of tensorflow's", "lrp_alpha_1_beta_0") in names
    assert ("time, as a share of zennit's", "smoothgrad") not in names


@pytest.mark.parametrize(("mebibytes", "expected"), [(130, "met"), (131, "not met")])
def test_peak_memory(mebibytes: int, expected: str) -> None:
    document = run()
    for one in document["memory"]:
        if one["method"] == "lrp_flat":
            one["peak_bytes"] = mebibytes * 2**20
    assert verdict(document, "peak memory over", "lrp_flat") == expected


@pytest.mark.parametrize(("mebibytes", "expected"), [(100 + 528, "met"), (100 + 529, "not met")])
def test_one_copy_of_the_weights(mebibytes: int, expected: str) -> None:
    document = run()
    for one in document["memory"]:
        if one["method"] == "lrp_alpha_1_beta_0" and one["contender"] == "signxai_torch":
            one["peak_bytes"] = mebibytes * 2**20
    assert verdict(document, "peak memory beyond", "lrp_alpha_1_beta_0") == expected


def test_sweeps() -> None:
    document = run()
    assert verdict(document, "explain_many, as a share", "LRP names") == "met"
    assert verdict(document, "explain_many, times faster", "LRP names") == "met"
    assert verdict(document, "explain_many, times faster", "all names") == "not met"
    document["sweeps"] = [one for one in document["sweeps"] if one["how"] != "tensorflow"]
    assert verdict(document, "explain_many, times faster", "LRP names") == "not measured"


def test_an_empty_run_meets_nothing() -> None:
    empty = run() | {"times": [], "memory": [], "sweeps": [], "absent": []}
    judged = judge(empty)
    assert len(judged) == len(LIMITS) == len(unmet(judged))


def test_the_limits_are_those_of_the_issue() -> None:
    tight = ("lrp_z", "lrp_epsilon_0_1", "lrp_epsilon_0_25_std_x", "lrpsign_epsilon_0_1", "lrp_flat", "lrp_w_square")
    assert {TIMES[name] for name in tight} == {1.25}
    assert TIMES["lrp_alpha_1_beta_0"] == TIMES["lrp_sequential_composite_a"] == 2.0
    assert TIMES["lrp_alpha_2_beta_1"] == TIMES["lrp_sequential_composite_b"] == 3.2
    assert TIMES["smoothgrad"] == TIMES["integrated_gradients"] == 50
    assert len({(limit.group, limit.name) for limit in LIMITS}) == len(LIMITS)
