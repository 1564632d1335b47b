"""Limits, statuses and named divergences; every check is seen failing."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from parity.judge.known.divergences import DIVERGENCES
from parity.judge.metrics import Metrics, compare
from parity.judge.verdict import (
    STATUSES,
    Divergence,
    Limits,
    NoiseFloor,
    Verdict,
    is_ok,
    judge,
    limits_for,
    run_is_green,
)
from tests.parity.toy_maps import MUTANTS, toy_map

REFERENCE = toy_map()
LOOSE = Limits(rel_l2=0.3, slope=0.3, max_err=0.5)
BOUNDED = DIVERGENCES[0]


def test_float64_limits():
    assert limits_for("float64") == Limits(1e-10, 1e-10, 1e-9, 0.95, 0.95)
    assert limits_for("float64", NoiseFloor(0.1, 0.1, 0.1)) == limits_for("float64")


def test_float32_limits_are_three_floors_never_under_1e_5():
    assert limits_for("float32", NoiseFloor(2e-2, 1e-4, 1e-2)) == Limits(6e-2, 3.0000000000000003e-4, 3e-2)
    assert limits_for("float32", NoiseFloor(0, 0, 0)) == limits_for("float32") == Limits(1e-5, 1e-5, 1e-5)


def test_a_huge_floor_does_not_open_the_gate():
    limits = limits_for("float32", NoiseFloor(2.0, 2.0, 2.0))
    assert limits.rel_l2 == limits.slope == pytest.approx(math.sqrt(1 - 0.95**2))
    assert limits.max_err == 0.5
    assert judge(compare(REFERENCE, 2 * REFERENCE), limits).status != "parity"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1e-9])
@pytest.mark.parametrize("field", ["rel_l2", "slope", "max_err"])
def test_a_floor_that_is_no_number_is_refused(field: str, bad: float):
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(NoiseFloor(0, 0, 0), **{field: bad})


def test_a_floor_that_could_not_be_measured_is_refused():
    with pytest.raises(ValueError, match="could not be measured"):
        NoiseFloor.from_metrics(compare(REFERENCE, MUTANTS["nan"](REFERENCE)))


def test_floor_from_metrics():
    floor = NoiseFloor.from_metrics(compare(REFERENCE, REFERENCE * 0.98))
    assert floor.slope == pytest.approx(0.02)
    assert floor.rel_l2 == pytest.approx(0.02)


def test_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="float16"):
        limits_for("float16")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_limit_that_is_no_number_is_refused(field: str, bad: float):
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(LOOSE, **{field: bad})


def test_equal_maps_are_at_parity():
    verdict = judge(compare(REFERENCE, REFERENCE.copy()), limits_for("float64"))
    assert (verdict.status, verdict.failed_check, verdict.message) == ("parity", None, "")
    assert verdict.ok
    assert verdict.margin < 1e-3


def test_margin_is_the_worst_share_of_a_limit():
    metrics = compare(REFERENCE, REFERENCE * 1.02)
    assert judge(metrics, Limits(rel_l2=0.04, slope=0.1, max_err=0.2)).margin == pytest.approx(0.5)
    assert judge(metrics, Limits(rel_l2=0.1, slope=0.01, max_err=0.2)).margin == pytest.approx(2.0)


@pytest.mark.parametrize("lane", ["float64", "float32"])
@pytest.mark.parametrize("name", MUTANTS)
def test_every_toy_mutant_is_rejected(name: str, lane: str):
    floor = NoiseFloor(1.8e-6, 1e-7, 1e-6)
    verdict = judge(compare(REFERENCE, MUTANTS[name](REFERENCE)), limits_for(lane, floor))
    assert verdict.status in ("mismatch", "structural")
    assert verdict.failed_check
    assert verdict.message
    assert not verdict.ok
    assert not verdict.margin <= 1


@pytest.mark.parametrize("name", ["scale_1_02", "noise_2_percent", "scale_1_0014"])
def test_what_only_the_published_floor_accepts_is_structural(name: str):
    verdict = judge(compare(REFERENCE, MUTANTS[name](REFERENCE)), limits_for("float64"))
    assert verdict.status == "structural"
    assert verdict.failed_check == "rel_l2"


@pytest.mark.parametrize("side", ["reference", "subject", "both"])
def test_a_nan_never_passes(side: str):
    broken = MUTANTS["nan"](REFERENCE)
    pair = {"reference": (broken, REFERENCE), "subject": (REFERENCE, broken), "both": (broken, broken)}[side]
    verdict = judge(compare(*pair), LOOSE)
    assert (verdict.status, verdict.failed_check, verdict.margin) == ("mismatch", "finite", math.inf)


@pytest.mark.parametrize("field", ["pearson", "ssim", "rel_l2", "slope", "max_err"])
def test_a_nan_in_any_single_number_fails(field: str):
    good = compare(REFERENCE, REFERENCE)
    verdict = judge(dataclasses.replace(good, **{field: math.nan}), LOOSE)
    assert verdict.status == ("mismatch" if field in ("pearson", "ssim") else "structural")
    assert verdict.failed_check == field
    if field in ("rel_l2", "slope", "max_err"):
        assert verdict.margin == math.inf


def test_metrics_of_nothing_fail():
    assert judge(Metrics(n=1, shape=(1,)), LOOSE).status == "mismatch"


def test_both_zero_never_passes():
    verdict = judge(compare(REFERENCE * 0, REFERENCE * 0), LOOSE)
    assert (verdict.status, verdict.failed_check) == ("mismatch", "zero")


def test_two_equal_constant_maps_pass_and_unequal_ones_are_a_mismatch():
    ones = np.ones((20, 20, 1))
    assert judge(compare(ones, ones), limits_for("float64")).status == "parity"
    verdict = judge(compare(ones, ones * 1.01), limits_for("float64"))
    assert (verdict.status, verdict.failed_check) == ("mismatch", "rel_l2")


def test_message_names_the_check_the_value_and_the_limit():
    verdict = judge(compare(REFERENCE, MUTANTS["one_pixel"](REFERENCE)), Limits(0.01, 0.5, 0.2))
    assert "max_err 0.5 > 0.2" in verdict.message
    assert "at index (16, 0, 0) (up to 0.2 allowed)" in verdict.message


# Named divergences


def test_the_bounded_defect_speaks_of_zblrp_of_signxai_only():
    assert BOUNDED.covers("zblrp_epsilon_0_1_VGG16ILSVRC", "signxai")
    assert not BOUNDED.covers("zblrp_epsilon_0_1_VGG16ILSVRC", "innvestigate")
    assert not BOUNDED.covers("lrp_z", "signxai")


def test_names_of_divergences_are_unique():
    assert len({entry.name for entry in DIVERGENCES}) == len(DIVERGENCES)


def test_a_defect_held_to_the_alternative_is_violet_not_green():
    verdict = judge(compare(REFERENCE, REFERENCE), limits_for("float64"), BOUNDED, alternative_used=True)
    assert (verdict.status, verdict.divergence) == ("reference-defect", BOUNDED.name)
    assert "innvestigate" in verdict.message
    assert verdict.ok


def test_a_defect_does_not_hide_a_wrong_subject():
    wrong = compare(REFERENCE, REFERENCE * 1.02)
    for status in (judge(wrong, limits_for("float64"), BOUNDED, alternative_used=flag) for flag in (True, False)):
        assert status.status == "structural"
        assert not status.ok
    noise_alternative = compare(REFERENCE * 1e-9, REFERENCE)
    assert not judge(noise_alternative, limits_for("float64"), BOUNDED, alternative_used=True).ok


def test_a_defect_counts_where_it_shows():
    verdict = judge(compare(REFERENCE * 1e-11, REFERENCE), limits_for("float32"), BOUNDED)
    assert (verdict.status, verdict.divergence) == ("reference-defect", BOUNDED.name)
    assert judge(compare(REFERENCE * 0, REFERENCE), limits_for("float32"), BOUNDED).status == "reference-defect"


@pytest.mark.parametrize("candidate", [REFERENCE * 0, MUTANTS["nan"](REFERENCE), REFERENCE[:-1], REFERENCE * 1e-9])
def test_a_defect_does_not_cover_a_broken_or_vanishing_subject(candidate: np.ndarray):
    assert judge(compare(REFERENCE * 1e-11, candidate), limits_for("float32"), BOUNDED).status == "mismatch"


def test_a_defect_that_no_longer_shows_covers_nothing():
    verdict = judge(compare(REFERENCE, REFERENCE), limits_for("float64"), BOUNDED)
    assert (verdict.status, verdict.divergence) == ("parity", None)
    assert "does not show" in verdict.message


DIFFERENCE = Divergence(
    name="two-percent",
    methods=("lrp_*",),
    references=("signxai",),
    condition="always",
    cause="a different constant",
    evidence="the sources",
    limits=Limits(0.03, 0.03, 0.03),
)


def test_a_divergence_covers_what_its_own_limits_hold():
    verdict = judge(compare(REFERENCE, REFERENCE * 1.02), limits_for("float64"), DIFFERENCE)
    assert (verdict.status, verdict.failed_check, verdict.divergence) == (
        "structural",
        "rel_l2",
        "two-percent",
    )
    assert verdict.ok


@pytest.mark.parametrize("factor", [1.05, -1.0])
def test_a_divergence_does_not_cover_more(factor: float):
    verdict = judge(compare(REFERENCE, REFERENCE * factor), limits_for("float64"), DIFFERENCE)
    assert not verdict.ok
    assert verdict.divergence is None


@pytest.mark.parametrize("field", ["name", "methods", "references", "condition", "cause", "evidence"])
def test_a_divergence_must_say_everything(field: str):
    with pytest.raises(ValueError, match=f"has no {field}"):
        dataclasses.replace(DIFFERENCE, **{field: type(getattr(DIFFERENCE, field))()})


def test_a_divergence_must_have_one_kind_of_check():
    with pytest.raises(ValueError, match="either"):
        dataclasses.replace(DIFFERENCE, limits=None)
    with pytest.raises(ValueError, match="either"):
        dataclasses.replace(DIFFERENCE, status="reference-defect")


# A whole run


@pytest.mark.parametrize("status", STATUSES)
def test_only_parity_and_covered_rows_are_green(status: str):
    assert is_ok(status, None) == (status == "parity")
    assert is_ok(status, "named") == (status in ("parity", "structural", "reference-defect"))
    assert Verdict(status, None, "", 0.0).ok == (status == "parity")  # type: ignore[arg-type]


def test_a_run_is_green_only_if_every_row_is_and_there_is_one():
    good, bad = {"status": "parity", "divergence": None}, {"status": "error", "divergence": None}
    assert run_is_green([good, good])
    assert not run_is_green([good, bad])
    assert not run_is_green([])
