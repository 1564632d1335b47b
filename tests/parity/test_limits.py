"""Limits: three times the reference's own noise, never under a lane's least, never over its most."""

from __future__ import annotations

import dataclasses
import math

import pytest

from parity.judge.limits import FLOAT32_MOST, FLOAT64_MOST, PUBLISHED_FLOOR, Limits, NoiseFloor, limits_for
from parity.judge.metrics import compare
from parity.judge.verdict import judge
from tests.parity.toy_maps import MUTANTS, toy_map

REFERENCE = toy_map()
NUMBERS = ("rel_l2", "slope", "max_err")
SILENT = NoiseFloor(0.0, 0.0, 0.0)


def numbers(limits: Limits) -> tuple[float, float, float]:
    return limits.rel_l2, limits.slope, limits.max_err


def test_without_noise_each_lane_has_its_least() -> None:
    assert limits_for("float64") == limits_for("float64", SILENT) == Limits(1e-10, 1e-10, 1e-9, 0.95, 0.95)
    assert limits_for("float32") == limits_for("float32", SILENT) == Limits(1e-5, 1e-5, 1e-5, 0.95, 0.95)


@pytest.mark.parametrize(("dtype", "unit"), [("float64", 1e-9), ("float32", 1e-2)])
def test_each_number_follows_three_times_its_own_noise(dtype: str, unit: float) -> None:
    limits = limits_for(dtype, NoiseFloor(unit, 2 * unit, 3 * unit))
    assert numbers(limits) == pytest.approx((3 * unit, 6 * unit, 9 * unit), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_noise_in_one_number_loosens_no_other(dtype: str) -> None:
    least = limits_for(dtype)
    for name in NUMBERS:
        limits = limits_for(dtype, dataclasses.replace(SILENT, **{name: 1.0}))
        assert {other for other in NUMBERS if getattr(limits, other) > getattr(least, other)} == {name}


def test_noise_under_a_third_of_the_least_changes_nothing() -> None:
    assert limits_for("float64", NoiseFloor(3e-11, 3e-11, 3e-10)) == limits_for("float64")
    assert limits_for("float32", NoiseFloor(3e-6, 3e-6, 3e-6)) == limits_for("float32")


@pytest.mark.parametrize("noise", [1.0, 1e6, 1e300])
def test_no_noise_opens_the_gate(noise: float) -> None:
    floor = NoiseFloor(noise, noise, noise)
    assert numbers(limits_for("float64", floor)) == (FLOAT64_MOST,) * 3 == (1e-8,) * 3
    limits = limits_for("float32", floor)
    assert limits.rel_l2 == limits.slope == FLOAT32_MOST == pytest.approx(math.sqrt(1 - PUBLISHED_FLOOR**2))
    assert limits.max_err == 0.5
    assert (limits.pearson, limits.ssim) == (0.95, 0.95)
    for wrong in (2 * REFERENCE, -REFERENCE, MUTANTS["noise_2_percent"](REFERENCE) * 1.4):
        assert not judge(compare(REFERENCE, wrong), limits).ok


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-9])
@pytest.mark.parametrize("field", NUMBERS)
def test_a_floor_that_is_negative_or_no_number_is_refused(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"noise floor's {field}"):
        dataclasses.replace(SILENT, **{field: bad})


@pytest.mark.parametrize("name", ["nan", "inf", "zero", "shape"])
def test_a_floor_that_could_not_be_measured_is_refused(name: str) -> None:
    broken = {"zero": REFERENCE * 0, "shape": REFERENCE[:-1]}.get(name)
    metrics = compare(REFERENCE, MUTANTS[name](REFERENCE) if broken is None else broken)
    with pytest.raises(ValueError, match="could not be measured"):
        NoiseFloor.from_metrics(metrics)


def test_a_floor_holds_distances_from_equality() -> None:
    for factor in (0.98, 1.02):
        floor = NoiseFloor.from_metrics(compare(REFERENCE, REFERENCE * factor))
        assert (floor.slope, floor.rel_l2, floor.max_err) == pytest.approx((0.02, 0.02, 0.02))
    itself = NoiseFloor.from_metrics(compare(REFERENCE, REFERENCE))
    assert (itself.rel_l2, itself.slope, itself.max_err) == pytest.approx((0.0, 0.0, 0.0), abs=1e-15)


def test_the_largest_of_several_floors_is_taken_number_by_number() -> None:
    floors = [NoiseFloor(1e-3, 0.0, 2e-3), NoiseFloor(1e-4, 5e-4, 1e-3)]
    assert NoiseFloor.largest(floors) == NoiseFloor(1e-3, 5e-4, 2e-3)
    assert NoiseFloor.largest([]) == SILENT
    assert NoiseFloor.largest(iter(floors)).to_json() == {"rel_l2": 1e-3, "slope": 5e-4, "max_err": 2e-3}


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="float16"):
        limits_for("float16")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_limit_that_is_no_number_is_refused(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(Limits(0.3, 0.3, 0.5), **{field: bad})


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_limit_that_nothing_can_hold_is_refused(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(Limits(0.3, 0.3, 0.5), **{field: bad})
