"""What changed since an earlier run: found, ordered, written, and never a reason to fail."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from parity.report import ReportError, load, write
from parity.report.compared import compare_runs


def document(**margins: tuple[str, float | None]) -> dict[str, Any]:
    return {
        "created": "2025-01-01T00:00:00+00:00",
        "results": [
            {"method": m, "model": "v", "input": "i", "dtype": "float64", "status": s, "margin": margin}
            for m, (s, margin) in margins.items()
        ],
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [change["method"] for change in compare_runs(before, after)["changes"]]


def test_status_changes_stand_before_margins_and_small_moves_are_left_out():
    before = document(
        a=("parity", 0.1),
        b=("parity", 0.1),
        c=("parity", 0.1),
        d=("error", None),
        e=("parity", 1e-12),
        f=("parity", 0.1),
    )
    after = document(
        a=("parity", 0.19),
        b=("parity", 0.3),
        c=("mismatch", None),
        d=("parity", 0.1),
        e=("parity", 1e-9),
        g=("parity", 0.1),
    )
    assert changed(before, after) == ["c", "d", "b"]
    result = compare_runs(before, after)
    assert (result["appeared"], result["vanished"]) == (1, 1)


@pytest.mark.parametrize(
    ("was", "now", "counts"), [(0.1, 0.21, True), (0.21, 0.1, True), (0.1, 0.2, False), (0.0, 1.0, True)]
)
def test_a_margin_has_moved_beyond_a_factor_of_two_either_way(was, now, counts):
    assert bool(changed(document(a=("parity", was)), document(a=("parity", now)))) is counts


def test_a_run_written_over_another_says_what_changed(run, tmp_path):
    before, arrays = run
    write(before, arrays, tmp_path)
    after = copy.deepcopy(before) | {"created": "2025-04-01T00:00:00+00:00"}
    after["results"][0] |= {"status": "mismatch", "margin": 99.0, "failed_check": "pearson"}
    page = write(after, arrays, tmp_path).html.read_text()
    compared = load(tmp_path / "parity.json")["compared"]
    assert compared["changes"][0]["was"]["status"] == "parity"
    assert compared["changes"][0]["now"] == {"status": "mismatch", "margin": 99.0}
    assert page.index("Compared with 4 March 2025") < page.index('id="cases"')


def test_writing_the_same_run_again_compares_with_nothing(run, tmp_path):
    for _ in range(2):
        assert "compared" not in write(*run, tmp_path).document


def test_an_unreadable_file_that_happens_to_lie_there_is_no_obstacle(run, tmp_path):
    (tmp_path / "parity.json").write_text("{")
    assert "compared" not in write(*run, tmp_path).document


def test_an_earlier_run_that_was_asked_for_must_be_readable(run, tmp_path):
    (tmp_path / "old.json").write_text("{")
    with pytest.raises(ReportError, match=r"old\.json"):
        write(*run, tmp_path, previous=tmp_path / "old.json")


def test_an_earlier_run_can_be_given(run, tmp_path):
    older = copy.deepcopy(run[0]) | {"created": "2024-01-01T00:00:00+00:00"}
    assert write(*run, tmp_path, previous=older).document["compared"]["changes"] == []
