"""A run puts its own judge on trial: wrong variants of its maps must be rejected, or the run is red."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.judge import verdict
from parity.judge.controls import MUTANTS, TIGHT, Controls, is_another, is_beyond_tight, judged
from parity.judge.limits import FLOAT32_MOST, FLOAT32_MOST_MAX_ERR, Limits, NoiseFloor, limits_for
from parity.judge.metrics import compare
from parity.report import write
from parity.report.rows import group
from parity.report.summary import summary_markdown
from parity.run.document import Document
from parity.run.outcome import Outcome
from parity.run.subjects import subject
from tests.parity.toy_maps import toy_map

MAP = toy_map(16)
SHAPES = {"picture": MAP, "gray": MAP[..., :1], "series": MAP[0], "vector": MAP[0, :, 0] + 0.1}
LOOSEST = Limits(FLOAT32_MOST, FLOAT32_MOST, FLOAT32_MOST_MAX_ERR)
GROSS = {name for name, mutant in MUTANTS.items() if mutant.reach == "any"}
FLOAT32_TOO = {name for name, mutant in MUTANTS.items() if mutant.reach != "float64"}


def outcome(
    values: Any = MAP,
    dtype: str = "float64",
    status: str = "parity",
    model: str = "vgg",
    limits: Limits | None = None,
) -> Outcome:
    """Return the outcome of a case whose two sides are the same map."""
    row = {
        "model": model, "input": "a", "target": 0, "method": "lrp_z", "family": "lrp", "reference": "signxai",
        "dtype": dtype, "status": status, "failed_check": None, "message": "", "divergence": None, "margin": 0.0,
        "limits": (limits or limits_for(dtype)).to_json(), "reproduce": "parity run",
        "held_to": None, "noise_samples": [], "reference_stored": "", "reference_notes": [],
    }  # fmt: skip
    values = values.astype(dtype)
    return Outcome(row, values.copy(), values.copy())


@pytest.mark.parametrize("shape", SHAPES)
def test_all_mutants_of_every_kind_of_map_are_killed(shape: str):
    verdicts = judged(outcome(SHAPES[shape]))
    assert all(verdicts.values())
    assert len(verdicts) >= 17
    assert shape != "picture" or set(verdicts) == set(MUTANTS)


@pytest.mark.parametrize("shape", SHAPES)
def test_float32_faults_are_seen_under_tight_float32_limits(shape: str):
    """Faults of float32 alone never reach the float64 case."""
    verdicts = judged(outcome(SHAPES[shape], "float32", limits=Limits(TIGHT, TIGHT, 1e-3)))
    assert verdicts == dict.fromkeys(FLOAT32_TOO, True)
    assert {"scale_1_002", "noise_2_percent", "bfloat16"} <= set(verdicts)


def test_no_mutant_gets_lost():
    """They are the judge's tests and each run's self-check: one that is gone would be missed nowhere else."""
    gross = {
        "scale_20_86", "scale_logit", "negative", "nan", "inf", "all_nan", "shape_batch_axis", "shape_cropped", "zero",
    }  # fmt: skip
    tight = {"scale_1_02", "scale_1_002", "scale_1_0014", "offset_half_sd", "noise_2_percent", "bfloat16"}
    subtle = {
        "abs", "flip_rgb", "flip_lr", "transposed", "shift_one_pixel", "channels_first", "constant", "one_pixel",
        "sign_zero_lost",
    }  # fmt: skip
    expected = dict.fromkeys(gross, "any") | dict.fromkeys(tight, "tight") | dict.fromkeys(subtle, "float64")
    assert {name: mutant.reach for name, mutant in MUTANTS.items()} == expected


def test_a_mutant_that_changes_nothing_is_not_counted():
    same = np.ones((4, 4, 1)) + np.eye(4)[..., None]
    assert {"abs", "flip_rgb", "transposed", "sign_zero_lost", "bfloat16"} & set(judged(outcome(same))) == set()
    assert not is_another(same * (1 + 1e-9), same)
    assert is_another(same * (1 + 1e-5), same)


def test_a_rounding_that_tight_limits_allow_is_not_counted_in_float32():
    """Of round numbers bfloat16 keeps all digits; where it changes one small value, no float32 limit must see it."""
    values = np.full((8, 8, 1), 128.0)
    values[0, 0, 0] = 1 + 2**-10
    assert not is_beyond_tight(MUTANTS["bfloat16"].change(values.astype("float32")), values.astype("float32"))
    assert "bfloat16" not in judged(outcome(values, "float32"))


def test_gross_mutants_are_beyond_the_loosest_float32_limits():
    for values in SHAPES.values():
        assert judged(outcome(values, "float32", limits=LOOSEST)) == dict.fromkeys(GROSS, True)


def test_the_smallest_change_that_counts_is_far_over_the_float64_limits():
    """One value of a 224 x 224 picture, all others as large as the largest."""
    values = np.ones((224, 224, 3))
    values[0, 0, 0] += 1.01e-6
    assert is_another(values, np.ones_like(values))
    limits = limits_for("float64")
    numbers = compare(np.ones_like(values), values)
    assert numbers.max_err > 100 * limits.max_err
    assert numbers.rel_l2 > 10 * limits.rel_l2


def test_a_float64_case_and_a_tight_float32_case_are_taken_per_model():
    controls = Controls()
    for case in (
        outcome(dtype="float32", limits=LOOSEST), outcome(status="structural"), outcome(), outcome(MAP * 2),
        outcome(dtype="float32"), outcome(MAP * 2, dtype="float32"),
    ):  # fmt: skip
        controls.see(case)
    controls.see(outcome(dtype="float32", model="loose", limits=LOOSEST))
    count = len(MUTANTS) + len(FLOAT32_TOO) + len(GROSS)
    assert controls.to_json() == {"mutants": count, "mutants_killed": count, "survived": []}


def test_a_noisy_float32_case_counts_only_where_its_model_has_nothing_better():
    controls = Controls()
    controls.see(outcome(dtype="float32", limits=limits_for("float32", NoiseFloor(0.1, 0.1, 0.1))))
    assert controls.to_json() == {"mutants": len(GROSS), "mutants_killed": len(GROSS), "survived": []}
    controls.see(outcome())
    assert controls.to_json() == {"mutants": len(MUTANTS), "mutants_killed": len(MUTANTS), "survived": []}


def test_a_run_without_parity_has_no_controls():
    controls = Controls()
    controls.see(outcome(status="mismatch"))
    assert controls.to_json() is None


def report(directory: Path) -> Any:
    with Document(directory, "parity run", subject("signxai_torch")) as document:
        document.add(outcome())
        results = document.finish({}, 1.0, planned=1)
        return write(results, document.write_arrays(), directory, move_arrays=True)


def test_a_run_tells_of_its_controls(tmp_path: Path):
    written = report(tmp_path)
    assert written.document["summary"]["controls"]["mutants_killed"] == len(MUTANTS)
    assert written.document["summary"]["green"] is True
    text = f"{len(MUTANTS)} of {len(MUTANTS)} mutants killed"
    assert text in written.html.read_text()
    assert text in written.summary.read_text()


def test_a_blind_judge_lets_mutants_survive_and_the_run_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verdict, "CHECKS", ())
    document = report(tmp_path).document
    controls = document["summary"]["controls"]
    assert (controls["mutants_killed"], controls["mutants"]) == (0, len(MUTANTS))
    assert "negative on vgg in float64" in controls["survived"]
    assert document["summary"]["counts"] == {"parity": 1}
    assert document["summary"]["green"] is False
    assert group(document["results"])
    assert "survived: `negative on vgg in float64`" in summary_markdown(document)
    page = (tmp_path / "parity.html").read_text()
    assert "Parity fails" in page
    assert "negative on vgg in float64" in page


def test_a_judge_that_is_blind_in_float32_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    real = verdict.judge

    def blind(metrics: Any, limits: Limits) -> verdict.Verdict:
        return real(metrics, LOOSEST if limits.rel_l2 > 1e-9 else limits)

    monkeypatch.setattr("parity.judge.controls.judge", blind)
    controls = Controls()
    controls.see(outcome())
    controls.see(outcome(dtype="float32"))
    survived = controls.to_json()["survived"]
    assert {"scale_1_002 on vgg in float32", "bfloat16 on vgg in float32"} <= set(survived)
    assert not any("float64" in name for name in survived)
