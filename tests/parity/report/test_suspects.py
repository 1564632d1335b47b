"""What fails together: from the run's own words, and only if something holds."""

from __future__ import annotations

from typing import Any

from parity.report.rows import group
from parity.report.suspects import hints, suspects


def document(*cases: tuple[str, str, str], rules: dict[str, list[str]]) -> dict[str, Any]:
    """Return a document of cases (method, family, status) on one model; `rules` of a method go on layers l0, l1, ..."""
    results = [
        {"method": method, "model": "vgg", "family": family, "status": status, "margin": 0.1, "divergence": None,
         "input": "a", "dtype": "float64"}
        for method, family, status in cases
    ]  # fmt: skip
    told = {method: [[f"l{i}", "Conv2d", rule] for i, rule in enumerate(own)] for method, own in rules.items()}
    return {"models": [{"name": "vgg", "rules": told}], "results": results}


def names(told: dict[str, Any]) -> list[tuple[list[str], int]]:
    return [([str(part) for part in s.parts], len(s.rows)) for s in suspects(told, group(told["results"]))]


def said(told: dict[str, Any]) -> list[str]:
    return [text for text, _ in hints(told, group(told["results"]))]


def test_the_rule_that_all_failing_rows_share_is_named():
    told = document(
        ("lrp_flat", "lrp", "mismatch"), ("flatlrp_z", "lrp", "structural"), ("lrp_z", "lrp", "parity"),
        rules={"lrp_flat": ["Flat()"], "flatlrp_z": ["Flat()", "Z(bias=True)"], "lrp_z": ["Z(bias=True)"]},
    )  # fmt: skip
    assert names(told) == [(["rule Flat"], 2)]
    assert said(told) == ["rule Flat: in 2 of 2 rows that fail, in none of the 1 at parity"]


def test_parts_that_fit_equally_are_named_together():
    """One middle convolution 3 % too large: every rule of its models runs in the same rows, and none is the fault."""
    told = document(
        ("lrp_a", "lrp", "mismatch"), ("lrp_b", "lrp", "mismatch"), ("gradient", "gradient", "parity"),
        rules={"lrp_a": ["Pass()", "Epsilon(epsilon=0.1)"], "lrp_b": ["Epsilon(epsilon=0.1)", "Pass()"]},
    )  # fmt: skip
    assert names(told) == [(["rule Epsilon", "rule Pass", "family lrp"], 2)]
    assert said(told) == [
        "rule Epsilon, rule Pass and family lrp fit equally: in 2 of 2 rows that fail, in none of the 1 at parity"
    ]


def test_of_many_parts_that_fit_equally_five_are_named():
    rules = [f"R{number}()" for number in range(7)]
    told = document(("a", "lrp", "mismatch"), ("b", "gradient", "parity"), rules={"a": rules})
    assert said(told)[0].startswith(
        "rule R0, rule R1, rule R2, rule R3, rule R4 and 3 more fit equally: in the one row"
    )


def test_where_no_row_is_at_parity_that_is_said():
    told = document(("a", "lrp", "mismatch"), ("b", "lrp", "unjudged"), rules={"a": ["Pass()"], "b": ["Flat()"]})
    assert said(told) == ["no row is at parity, so nothing tells the parts apart"]
    assert said(document(("a", "lrp", "parity"), rules={})) == []


def test_a_family_is_named_where_there_are_no_rules():
    told = document(("grad_cam", "cam", "mismatch"), ("gradient", "gradient", "parity"), rules={})
    assert names(told) == [(["family cam"], 1)]


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
        ("a", "lrp", "mismatch"), ("b", "lrp", "unsupported"), ("c", "gradient", "parity"), ("d", "lrp", "unjudged"),
        rules={"a": ["Z()"], "b": ["Z()"], "d": ["Z()"]},
    )  # fmt: skip
    assert names(told)[0] == (["rule Z", "family lrp"], 1)


def test_a_rule_whose_name_is_cleared_is_named_with_its_parameters():
    """As if the beta part of AlphaBeta were wrong: without it the rule is at parity."""
    one_zero, two_one = ("AlphaBeta(alpha={}, beta={}, bias=True)".format(*pair) for pair in ((1.0, 0.0), (2.0, 1.0)))
    told = document(
        ("lrp_alpha_1_beta_0", "lrp", "parity"), ("lrp_sequential_composite_a", "lrp", "parity"),
        ("lrp_sequential_composite_b", "lrp", "mismatch"), ("lrp_alpha_2_beta_1_x_sign", "lrp", "mismatch"),
        ("lrp_alpha_2_beta_1", "lrp", "mismatch"), ("lrp.alpha_2_beta_1_IB", "lrp", "mismatch"),
        ("zblrp_sequential_composite_b", "lrp", "mismatch"), ("zblrp_z", "lrp", "parity"),
        rules={
            "lrp_alpha_1_beta_0": [one_zero],
            "lrp_sequential_composite_a": [one_zero, "Epsilon(epsilon=0.1)"],
            "lrp_sequential_composite_b": [two_one, "Epsilon(epsilon=0.1)"],
            "lrp_alpha_2_beta_1_x_sign": [two_one],
            "lrp_alpha_2_beta_1": [two_one],
            "lrp.alpha_2_beta_1_IB": [two_one.replace("True", "False")],
            "zblrp_sequential_composite_b": ["Bounded(low=-3.0)", two_one, "Epsilon(epsilon=0.1)"],
            "zblrp_z": ["Bounded(low=-1.0)"],
        },
    )  # fmt: skip
    told["methods"] = {"lrp_alpha_2_beta_1_x_sign": {"modifiers": [["x_sign", None]]}}
    # The bounded rule is only where AlphaBeta is: it is not accused besides.
    assert names(told) == [([f"rule {two_one}"], 4), ([f"rule {two_one.replace('True', 'False')}"], 1)]
    first = suspects(told, group(told["results"]))[0]
    assert [row.method for row in first.rows] == [
        "lrp_alpha_2_beta_1", "lrp_alpha_2_beta_1_x_sign",
        "lrp_sequential_composite_b", "zblrp_sequential_composite_b",
    ]  # fmt: skip


def test_the_rule_of_the_only_failing_method_is_named_by_what_sets_it_apart():
    """As if a stabilizer always added epsilon, which one rule alone can show."""
    told = document(
        ("lrp.epsilon_IB", "lrp", "structural"), ("lrp.epsilon", "lrp", "parity"), ("lrp_z", "lrp", "parity"),
        rules={
            "lrp.epsilon_IB": ["Pass()", "Epsilon(epsilon=1e-07, bias=False)"],
            "lrp.epsilon": ["Pass()", "Epsilon(epsilon=1e-07, bias=True)"],
            "lrp_z": ["Pass()", "Z(bias=True)"],
        },
    )  # fmt: skip
    assert said(told) == [
        "rule Epsilon(epsilon=1e-07, bias=False): in the one row that fails, in none of the 2 at parity"
    ]


def test_a_rule_with_rows_of_its_own_is_accused_besides_a_more_frequent_one():
    told = document(
        ("a", "lrp", "mismatch"), ("b", "lrp", "mismatch"), ("c", "lrp", "mismatch"), ("d", "lrp", "parity"),
        rules={"a": ["Flat()"], "b": ["Flat()", "Gamma()"], "c": ["Gamma()", "Z()"], "d": ["Z()"]},
    )  # fmt: skip
    assert names(told) == [(["rule Flat"], 2), (["rule Gamma"], 2)]
