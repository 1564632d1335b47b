"""What fails together: from the run's own words, and only if something holds."""

from __future__ import annotations

from typing import Any

from parity.report.rows import group
from parity.report.suspects import sentence, suspects


def document(*cases: tuple[str, str, str], rules: dict[str, list[str]]) -> dict[str, Any]:
    """Return a document of cases (method, family, status) on one model; `rules` of a method go on layers l0, l1, ..."""
    results = [
        {"method": method, "model": "vgg", "family": family, "status": status, "margin": 0.1, "divergence": None,
         "input": "a", "dtype": "float64"}
        for method, family, status in cases
    ]  # fmt: skip
    told = {method: [[f"l{i}", "Conv2d", rule] for i, rule in enumerate(own)] for method, own in rules.items()}
    return {"models": [{"name": "vgg", "rules": told}], "results": results}


def names(told: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(one.kind, one.name, len(one.rows)) for one in suspects(told, group(told["results"]))]


def test_the_rule_that_all_failing_rows_share_is_named():
    told = document(
        ("lrp_flat", "lrp", "mismatch"), ("flatlrp_z", "lrp", "structural"), ("lrp_z", "lrp", "parity"),
        rules={"lrp_flat": ["Flat()"], "flatlrp_z": ["Flat()", "Z(bias=True)"], "lrp_z": ["Z(bias=True)"]},
    )  # fmt: skip
    assert names(told) == [("rule", "Flat", 2)]
    rows = group(told["results"])
    (one,) = suspects(told, rows)
    assert sentence(one, rows) == "rule Flat: in 2 of 2 rows that fail, in none of the 1 at parity"


def test_a_family_is_named_where_there_are_no_rules():
    told = document(("grad_cam", "cam", "mismatch"), ("gradient", "gradient", "parity"), rules={})
    assert names(told) == [("family", "cam", 1)]


def test_what_also_runs_at_parity_is_not_accused():
    told = document(
        ("lrp_z", "lrp", "mismatch"), ("lrp_z_x_input", "lrp", "parity"),
        rules={"lrp_z": ["Z(bias=True)"], "lrp_z_x_input": ["Z(bias=True)"]},
    )  # fmt: skip
    assert names(told) == []


def test_nothing_is_accused_where_all_fail_or_none_does():
    for status in ("mismatch", "parity"):
        assert names(document(("lrp_z", "lrp", status), rules={"lrp_z": ["Z()"]})) == []


def test_a_row_that_was_not_compared_clears_nobody():
    told = document(
        ("a", "lrp", "mismatch"), ("b", "lrp", "unsupported"), ("c", "gradient", "parity"),
        rules={"a": ["Z()"], "b": ["Z()"]},
    )  # fmt: skip
    assert names(told)[0] == ("rule", "Z", 1)
