"""Verdicts: the checks in their order, the statuses, and when a whole run is green; every check is seen failing."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from parity.judge.checks import CHECKS, under_the_published_floor
from parity.judge.limits import Limits, NoiseFloor, limits_for
from parity.judge.metrics import Metrics, compare
from parity.judge.verdict import NOT_COUNTED, STATUSES, Verdict, is_ok, judge, run_is_green
from tests.parity.toy_maps import MUTANTS, toy_map

REFERENCE = toy_map()
LOOSE = Limits(rel_l2=0.3, slope=0.3, max_err=0.5)
NUMERIC = ("rel_l2", "slope", "max_err")


def test_equal_maps_are_at_parity() -> None:
    verdict = judge(compare(REFERENCE, REFERENCE.copy()), limits_for("float64"))
    assert (verdict.status, verdict.failed_check, verdict.message) == ("parity", None, "")
    assert verdict.ok
    assert verdict.margin < 1e-3


def test_margin_is_the_worst_share_of_a_limit() -> None:
    metrics = compare(REFERENCE, REFERENCE * 1.02)
    assert judge(metrics, Limits(rel_l2=0.04, slope=0.1, max_err=0.2)).margin == pytest.approx(0.5)
    assert judge(metrics, Limits(rel_l2=0.1, slope=0.01, max_err=0.2)).margin == pytest.approx(2.0)


@pytest.mark.parametrize("lane", ["float64", "float32"])
@pytest.mark.parametrize("name", MUTANTS)
def test_every_toy_mutant_is_rejected(name: str, lane: str) -> None:
    noise = 1e-10 if lane == "float64" else 1.8e-6
    verdict = judge(compare(REFERENCE, MUTANTS[name](REFERENCE)), limits_for(lane, NoiseFloor(noise, noise, noise)))
    assert verdict.status in ("mismatch", "structural")
    assert verdict.failed_check
    assert verdict.message
    assert not verdict.ok
    assert not verdict.margin <= 1


# The checks


def test_shape_finiteness_and_zeros_come_before_every_number() -> None:
    assert [check.name for check in CHECKS] == ["shape", "finite", "zero", *NUMERIC]
    assert [check.name for check in CHECKS if check.share is not None] == list(NUMERIC)


@pytest.mark.parametrize("check", NUMERIC)
def test_each_number_is_held_to_its_own_limit(check: str) -> None:
    metrics = compare(REFERENCE, MUTANTS["scale_1_02"](REFERENCE))
    tight = dataclasses.replace(LOOSE, **{check: 1e-3})
    assert judge(metrics, LOOSE).ok
    verdict = judge(metrics, tight)
    assert (verdict.status, verdict.failed_check, verdict.ok) == ("structural", check, False)
    assert f"{check} 0.02 > 0.001" in verdict.message


def test_the_first_check_that_fails_is_named_and_all_that_fail_are_told() -> None:
    verdict = judge(compare(REFERENCE, REFERENCE * 1.02), Limits(1e-2, 1e-2, 1e-2))
    assert verdict.failed_check == "rel_l2"
    for name in NUMERIC:
        assert f"{name} 0.02 > 0.01" in verdict.message


@pytest.mark.parametrize("sign", [1, -1])
def test_a_slope_is_held_from_both_sides(sign: int) -> None:
    metrics = dataclasses.replace(compare(REFERENCE, REFERENCE), slope=1 + sign * 0.4)
    assert judge(metrics, LOOSE).failed_check == "slope"


def test_a_number_at_its_limit_holds() -> None:
    metrics = dataclasses.replace(compare(REFERENCE, REFERENCE), rel_l2=0.3, max_err=0.5)
    assert judge(metrics, LOOSE).ok
    assert judge(metrics, LOOSE).margin == 1.0


@pytest.mark.parametrize("field", NUMERIC)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_nan_in_any_single_number_fails(field: str, value: float) -> None:
    good = compare(REFERENCE, REFERENCE)
    verdict = judge(dataclasses.replace(good, **{field: value}), LOOSE)
    assert (verdict.failed_check, verdict.margin, verdict.ok) == (field, math.inf, False)


@pytest.mark.parametrize("side", ["reference", "subject", "both"])
def test_a_nan_in_a_map_never_passes(side: str) -> None:
    broken = MUTANTS["nan"](REFERENCE)
    pair = {"reference": (broken, REFERENCE), "subject": (REFERENCE, broken), "both": (broken, broken)}[side]
    verdict = judge(compare(*pair), LOOSE)
    assert (verdict.status, verdict.failed_check, verdict.margin) == ("mismatch", "finite", math.inf)


def test_metrics_of_nothing_fail() -> None:
    assert judge(Metrics(n=1, shape=(1,)), LOOSE).status == "mismatch"


def test_two_zero_maps_are_unjudged_and_never_parity() -> None:
    verdict = judge(compare(REFERENCE * 0, REFERENCE * 0), LOOSE)
    assert (verdict.status, verdict.failed_check, verdict.ok) == ("unjudged", "zero", False)
    assert verdict.margin == math.inf
    assert "Both maps are zero everywhere" in verdict.message


@pytest.mark.parametrize("pair", [(REFERENCE * 0, REFERENCE), (REFERENCE, REFERENCE * 0)])
def test_one_zero_map_is_a_mismatch(pair: tuple[np.ndarray, np.ndarray]) -> None:
    verdict = judge(compare(*pair), LOOSE)
    assert (verdict.status, verdict.failed_check, verdict.margin) == ("mismatch", "zero", math.inf)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_denormal_number_is_not_zero(dtype: str) -> None:
    tiny = np.zeros(5, dtype)
    tiny[2] = np.finfo(dtype).tiny
    assert judge(compare(tiny, tiny), limits_for(dtype)).ok
    assert judge(compare(tiny, tiny * 0), limits_for(dtype)).failed_check == "zero"


def test_another_shape_is_a_mismatch_whatever_it_holds() -> None:
    for other in (REFERENCE[:-1], REFERENCE[None], np.full((3, 2), np.nan), np.zeros(0)):
        assert judge(compare(REFERENCE, other), LOOSE).failed_check == "shape"


# Structural or mismatch


@pytest.mark.parametrize("name", ["scale_1_02", "noise_2_percent", "scale_1_0014"])
def test_what_only_the_published_floor_accepts_is_structural(name: str) -> None:
    verdict = judge(compare(REFERENCE, MUTANTS[name](REFERENCE)), limits_for("float64"))
    assert (verdict.status, verdict.failed_check, verdict.ok) == ("structural", "rel_l2", False)


def test_what_misses_the_published_floor_too_is_a_mismatch_and_says_so() -> None:
    verdict = judge(compare(REFERENCE, -REFERENCE), limits_for("float64"))
    assert (verdict.status, verdict.failed_check) == ("mismatch", "rel_l2")
    assert "pearson -1 < 0.95" in verdict.message


@pytest.mark.parametrize("field", ["pearson", "ssim"])
def test_a_floor_that_is_nan_is_missed_but_one_without_meaning_is_not(field: str) -> None:
    good = compare(REFERENCE, REFERENCE)
    assert under_the_published_floor(good, LOOSE) is None
    assert under_the_published_floor(dataclasses.replace(good, **{field: math.nan}), LOOSE) == f"{field} nan < 0.95"
    assert under_the_published_floor(dataclasses.replace(good, ssim=None), LOOSE) is None


def test_constant_maps_are_held_by_their_numbers_alone() -> None:
    ones = np.ones((20, 20, 1))
    assert judge(compare(ones, ones), limits_for("float64")).status == "parity"
    verdict = judge(compare(ones, ones * 1.01), limits_for("float64"))
    assert (verdict.status, verdict.failed_check) == ("mismatch", "rel_l2")
    assert "two constant maps have no structure" in verdict.message


@pytest.mark.parametrize("swapped", [False, True])
def test_a_constant_map_beside_another_is_held_by_its_numbers(swapped: bool) -> None:
    ones = np.ones((20, 20, 1))
    nearly = ones + 1e-11 * np.random.default_rng(0).normal(size=ones.shape)
    far = ones + 0.1 * np.random.default_rng(0).normal(size=ones.shape)
    pairs = [(other, ones)[:: -1 if swapped else 1] for other in (nearly, far)]
    assert not compare(*pairs[0]).constant
    # The slope of a map that is nothing but rounding says nothing: only a constant reference has one.
    assert judge(compare(*pairs[0]), limits_for("float64")).ok is swapped
    assert judge(compare(*pairs[1]), limits_for("float64")).status == "mismatch"
    assert judge(compare(*pairs[1]), LOOSE).ok is swapped


def test_message_names_the_check_the_value_and_the_limit() -> None:
    verdict = judge(compare(REFERENCE, MUTANTS["one_pixel"](REFERENCE)), Limits(0.01, 0.5, 0.2))
    assert "max_err 0.5 > 0.2" in verdict.message
    assert "at index (16, 0, 0) (up to 0.2 allowed)" in verdict.message


# A whole run


@pytest.mark.parametrize("status", STATUSES)
def test_only_parity_and_rows_held_to_something_else_are_green(status: str) -> None:
    assert is_ok(status, None) == (status == "parity")
    assert is_ok(status, "") == (status == "parity")
    assert is_ok(status, "named") == (status in ("parity", "reference-defect"))
    assert Verdict(status, None, "", 0.0).ok == (status == "parity")


def row(status: str, divergence: str | None = None) -> dict[str, str | None]:
    return {"status": status, "divergence": divergence}


def test_a_run_is_green_only_if_every_row_is_and_there_is_one() -> None:
    assert run_is_green([row("parity"), row("parity")])
    assert run_is_green([row("parity"), row("reference-defect", "named")])
    for bad in ("mismatch", "structural", "reference-defect", "error"):
        assert not run_is_green([row("parity"), row(bad)])
    for bad in ("mismatch", "structural", "error"):
        assert not run_is_green([row("parity"), row(bad, "named")]), "a known difference excuses nothing"
    assert not run_is_green([])


def test_rows_in_which_nothing_was_compared_leave_a_run_green_only_beside_others() -> None:
    assert NOT_COUNTED == ("unjudged", "unsupported")
    nothing = [row(status) for status in NOT_COUNTED] + [row("unjudged", "named")]
    for single in nothing:
        assert not run_is_green([single])
    assert not run_is_green(nothing)
    assert run_is_green([*nothing, row("parity")])
    assert run_is_green([*nothing, row("reference-defect", "named")])
    assert not run_is_green([*nothing, row("parity"), row("mismatch")])
