"""A run puts its own judge on trial: wrong variants of its maps must be rejected, or the run is red."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.judge import verdict
from parity.judge.controls import MUTANTS, Controls, is_another, judged
from parity.judge.metrics import compare
from parity.judge.verdict import FLOAT32_MOST, FLOAT32_MOST_MAX_ERR, Limits, limits_for
from parity.report import write
from parity.report.rows import group, verdict_sentence
from parity.report.summary import summary_markdown
from parity.run.document import Document
from parity.run.outcome import Outcome
from parity.run.subjects import subject
from tests.parity.toy_maps import toy_map

MAP = toy_map(16)
SHAPES = {"picture": MAP, "gray": MAP[..., :1], "series": MAP[0], "vector": MAP[0, :, 0] + 0.1}


def outcome(values: Any = MAP, dtype: str = "float64", status: str = "parity", model: str = "vgg") -> Outcome:
    """Return the outcome of a case whose two sides are the same map."""
    row = {
        "model": model, "input": "a", "target": 0, "method": "lrp_z", "family": "lrp", "reference": "signxai",
        "dtype": dtype, "status": status, "failed_check": None, "message": "", "divergence": None, "margin": 0.0,
        "limits": limits_for(dtype).to_json(), "reproduce": "parity run",
    }  # fmt: skip
    return Outcome(row, values.copy(), values.copy())


def blind(*_: object) -> verdict.Verdict:
    return verdict.Verdict("parity", None, "", 0.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_mutants_of_every_kind_of_map_are_killed(shape: str):
    found = judged(outcome(SHAPES[shape]))
    assert all(found.values())
    assert len(found) >= 15
    assert shape != "picture" or set(found) == set(MUTANTS)


def test_no_mutant_gets_lost():
    """They are the judge's tests and each run's self-check: one that is gone would be missed nowhere else."""
    gross = {
        "scale_20_86",
        "scale_logit",
        "negative",
        "nan",
        "inf",
        "all_nan",
        "shape_batch_axis",
        "shape_cropped",
        "zero",
    }
    subtle = {"scale_1_02", "scale_1_0014", "offset_half_sd", "abs", "flip_rgb", "flip_lr", "transposed",
              "shift_one_pixel", "channels_first", "constant", "noise_2_percent", "one_pixel",
              "sign_zero_lost"}  # fmt: skip
    assert {name: mutant.gross for name, mutant in MUTANTS.items()} == dict.fromkeys(gross, True) | dict.fromkeys(
        subtle, False
    )


def test_a_mutant_that_changes_nothing_is_not_counted():
    same = np.ones((4, 4, 1)) + np.eye(4)[..., None]
    assert {"abs", "flip_rgb", "transposed", "sign_zero_lost"} & set(judged(outcome(same))) == set()
    assert not is_another(same * (1 + 1e-9), same)
    assert is_another(same * (1 + 1e-5), same)


def test_gross_mutants_are_beyond_the_loosest_float32_limits():
    loosest = Limits(FLOAT32_MOST, FLOAT32_MOST, FLOAT32_MOST_MAX_ERR).to_json()
    gross = {name for name, mutant in MUTANTS.items() if mutant.gross}
    for values in SHAPES.values():
        case = outcome(values.astype("float32"), "float32")
        case.row["limits"] = loosest
        assert judged(case) == dict.fromkeys(gross, True)


def test_the_smallest_change_that_counts_is_far_over_the_float64_limits():
    """One value of a 224 x 224 picture, all others as large as the largest."""
    values = np.ones((224, 224, 3))
    values[0, 0, 0] += 1.01e-6
    assert is_another(values, np.ones_like(values))
    limits = limits_for("float64")
    found = compare(np.ones_like(values), values)
    assert found.max_err > 100 * limits.max_err
    assert found.rel_l2 > 10 * limits.rel_l2


def test_one_case_per_model_is_taken_float64_first():
    controls = Controls()
    for one in (outcome(dtype="float32"), outcome(status="structural"), outcome(), outcome(MAP * 2)):
        controls.see(one)
    controls.see(outcome(dtype="float32", model="other"))
    gross = sum(mutant.gross for mutant in MUTANTS.values())
    found = controls.to_json()
    assert found == {"mutants": len(MUTANTS) + gross, "mutants_killed": len(MUTANTS) + gross, "survived": []}


def test_a_run_without_parity_has_no_controls():
    controls = Controls()
    controls.see(outcome(status="mismatch"))
    assert controls.to_json() is None


def report(directory: Path) -> Any:
    with Document(directory, "parity run", subject("signxai_torch")) as document:
        document.add(outcome())
        results = document.finish({}, 1.0)
    return write(results, document.arrays_path, directory)


def test_a_run_tells_of_its_controls(tmp_path: Path):
    written = report(tmp_path)
    assert written.document["summary"]["controls"]["mutants_killed"] == len(MUTANTS)
    assert written.document["summary"]["green"] is True
    text = f"{len(MUTANTS)} of {len(MUTANTS)} mutants killed"
    assert text in written.html.read_text()
    assert text in written.summary.read_text()


def test_a_blind_judge_lets_mutants_survive_and_the_run_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verdict, "_judge_numbers", blind)
    document = report(tmp_path).document
    controls = document["summary"]["controls"]
    assert (controls["mutants_killed"], controls["mutants"]) == (0, len(MUTANTS))
    assert "negative on vgg" in controls["survived"]
    assert document["summary"]["counts"] == {"parity": 1}
    assert document["summary"]["green"] is False
    rows = group(document["results"])
    assert f"the judge accepted {len(MUTANTS)} of {len(MUTANTS)} maps" in verdict_sentence(document, rows)
    assert "survived: `negative on vgg`" in summary_markdown(document)
    page = (tmp_path / "parity.html").read_text()
    assert "Parity fails" in page
    assert "negative on vgg" in page


def test_a_judge_that_is_blind_for_one_thing_is_found(monkeypatch: pytest.MonkeyPatch):
    real = verdict._judge_numbers

    def without_slope(metrics: Any, limits: Limits) -> verdict.Verdict:
        return real(metrics, Limits(1.0, 1e9, 1.0, limits.pearson, limits.ssim))

    monkeypatch.setattr(verdict, "_judge_numbers", without_slope)
    survived = {name for name, killed in judged(outcome()).items() if not killed}
    assert "scale_1_02" in survived
    assert "negative" not in survived
