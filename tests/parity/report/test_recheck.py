"""`parity report` believes the numbers of a file, not its words: counts and verdicts are made again."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from parity.commands.cli import main
from parity.report import load, validate, write
from parity.run.recheck import recheck
from parity.run.results import dumps
from tests.parity.report.synthetic import DEFECT, green_run, small_run


@pytest.fixture
def green(tmp_path: Path) -> dict[str, Any]:
    return copy.deepcopy(green_run(tmp_path / "run")[0])


def reported(document: dict[str, Any], folder: Path) -> Result:
    folder.mkdir(exist_ok=True)
    (folder / "parity.json").write_text(dumps(document | {"arrays": None}), encoding="utf-8")
    return CliRunner().invoke(main, ["report", str(folder / "parity.json")], catch_exceptions=False)


def test_an_honest_document_stays_as_it_is(tmp_path: Path):
    document = small_run(tmp_path)[0]
    assert recheck(document) == document


def test_rows_set_to_mismatch_with_the_summary_untouched_are_red(green, tmp_path: Path):
    for row in green["results"]:
        row["status"] = "mismatch"
    result = reported(green, tmp_path)
    assert result.exit_code == 1
    assert "3 mismatches" in result.output
    assert (tmp_path / "summary.md").read_text().startswith("## Parity: FAILED")
    assert load(tmp_path / "parity.json")["summary"]["counts"] == {"mismatch": 3}


def test_a_green_file_is_reported_green(green, tmp_path: Path):
    result = reported(green, tmp_path)
    assert result.exit_code == 0
    assert "3 of 3 cases compared; 0 held to something else; 0 unjudged." in result.output


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        ({"rel_l2": 0.3}, "rel_l2", "rel_l2 is 0.3, over the limit 1e-10"),
        ({"rel_l2": None}, "rel_l2", "rel_l2 is missing"),
        ({"slope": 1.02}, "slope", "|slope - 1| is 0.02, over the limit 1e-10"),
        ({"slope": 0.98}, "slope", "|slope - 1| is 0.02"),
        ({"max_err": 1.0}, "max_err", "max_err is 1, over the limit 1e-09"),
        ({"pearson": 0.5}, "pearson", "pearson is 0.5, under the limit 0.95"),
        ({"pearson": None}, "pearson", "pearson is missing"),
        ({"ssim": 0.2}, "ssim", "ssim is 0.2, under the limit 0.95"),
        ({"ssim": None}, "ssim", "ssim is missing"),
        ({"limits": None}, "limits", "it has no limits"),
        ({"failed_check": "finite"}, "finite", "names the check finite as failed"),
        ({"problem": "zero everywhere", "problem_check": "zero"}, "zero", "tells a problem (zero everywhere)"),
    ],
)
def test_a_row_that_claims_parity_against_its_numbers_is_a_mismatch(green, tmp_path: Path, change, check, words):
    green["results"][1] |= change
    row = recheck(green)["results"][1]
    assert (row["status"], row["failed_check"]) == ("mismatch", check)
    assert row["message"].startswith(f"The file contradicts itself: it says parity, but {words}")
    result = reported(green, tmp_path)
    assert result.exit_code == 1
    assert "contradicts itself" in (tmp_path / "junit.xml").read_text()


@pytest.mark.parametrize("change", [{"pearson": None, "constant": True}, {"ssim": None, "ssim_note": "one dimension"}])
def test_a_number_without_meaning_is_excused(green, change):
    green["results"][0] |= change
    assert recheck(green)["summary"]["green"] is True


def test_a_number_that_is_none_fails(green):
    green["results"][0]["rel_l2"] = float("nan")
    assert recheck(green)["results"][0]["status"] == "mismatch"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "reference-defect"),
        ({"rel_l2": 0.3}, "mismatch"),
        ({"pearson": 0.3}, "mismatch"),
        ({"rel_l2": None, "slope": None, "max_err": None, "pearson": None, "ssim": None}, "mismatch"),
        ({"limits": None}, "mismatch"),
    ],
)
def test_a_row_held_to_something_else_must_hold_too(green, change, status):
    green["results"][0] |= {"status": "reference-defect", "divergence": DEFECT, "held_to": "innvestigate"} | change
    assert recheck(green)["results"][0]["status"] == status


def test_a_limit_looser_than_the_noise_that_it_is_made_of_is_noticed(green):
    limits = green["results"][0]["limits"]
    green["results"][0]["limits"] = limits | {"rel_l2": 100 * limits["rel_l2"]}
    (row, *_) = recheck(green)["results"]
    assert (row["status"], row["failed_check"]) == ("mismatch", "limits")


def test_red_rows_are_not_made_green(green):
    green["results"][0]["status"] = "error"
    assert recheck(green)["results"][0]["status"] == "error"


def test_a_margin_that_was_edited_is_made_again(green):
    right = green["results"][0]["margin"]
    green["results"][0]["margin"] = 1e-30
    assert recheck(green)["results"][0]["margin"] == right


def test_rows_that_were_taken_out_are_missed(green, tmp_path: Path):
    green["results"].pop()
    result = reported(green, tmp_path)
    assert result.exit_code == 1
    assert "Stopped after 2 of 3 cases" in result.output
    assert load(tmp_path / "parity.json")["interrupted"] is True


def test_a_run_that_was_stopped_stays_stopped(green, tmp_path: Path):
    result = reported(green | {"interrupted": True}, tmp_path)
    assert result.exit_code == 1
    assert (tmp_path / "summary.md").read_text().startswith("## Parity: stopped after 3 cases")


def test_a_run_of_a_blind_judge_stays_red(green, tmp_path: Path):
    green["summary"]["controls"] = {"mutants": 20, "mutants_killed": 19, "survived": ["nan on vgg_mnist"]}
    assert reported(green, tmp_path).exit_code == 1


def test_what_was_rechecked_is_a_valid_document(green, tmp_path: Path):
    green["results"][0]["rel_l2"] = None
    again = recheck(green)
    validate(again)
    write(again, None, tmp_path / "out")
