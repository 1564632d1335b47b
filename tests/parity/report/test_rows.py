"""Rows show their worst case, failures stand first, and the verdict sentence counts right."""

from __future__ import annotations

from typing import Any

import pytest

from parity.report.headline import verdict_sentence
from parity.report.rows import STANDINGS, case_standings, group, method_standings, row_standings
from parity.report.wording import format_number, format_share, format_similarity
from parity.run.totals import summarize


def case(method: str, status: str = "parity", margin: float | None = 0.1, **fields: Any) -> dict[str, Any]:
    return {
        "method": method,
        "model": "vgg",
        "input": "a",
        "dtype": "float64",
        "family": "lrp",
        "status": status,
        "margin": margin,
        "divergence": None,
    } | fields


def sentence(results: list[dict[str, Any]]) -> str:
    return verdict_sentence({"summary": summarize(results)}, group(results))


def test_a_row_shows_its_worst_input_in_each_lane():
    results = [
        case("lrp_z", margin=0.1, input="a"),
        case("lrp_z", margin=0.4, input="b"),
        case("lrp_z", margin=0.9, input="a", dtype="float32"),
        case("lrp_z", margin=0.8, input="b", dtype="float32"),
    ]
    (row,) = group(results)
    assert {lane: c.result["input"] for lane, c in row.lanes.items()} == {"float64": "b", "float32": "a"}
    assert row.margin == 0.9
    assert [c.index for c in row.cases] == [2, 3, 1, 0]


def test_failures_stand_first_then_the_worst_margin():
    results = [
        case("fine", margin=0.1),
        case("zero", "unjudged", None),
        case("held", "reference-defect", 0.2, divergence="named", failed_check=None),
        case("close", margin=0.9),
        case("left", "unsupported", None),
        case("half", "structural", 3.0),
        case("wrong", "mismatch", None),
        case("broken", "error", None),
    ]
    order = [row.method for row in group(results)]
    assert order == ["broken", "wrong", "half", "close", "fine", "held", "zero", "left"]


def test_one_bad_case_spoils_the_row_however_small_its_margin():
    results = [case("lrp_z", margin=0.99), case("lrp_z", "error", None, input="b")]
    (row,) = group(results)
    assert (row.status, row.ok) == ("error", False)


def test_a_judged_case_without_a_number_has_an_infinite_margin():
    (row,) = group([case("lrp_z", "mismatch", None)])
    assert row.margin == float("inf")


def test_the_sentence_of_a_green_run():
    results = [case(f"m{i}", margin=0.1 * i) for i in range(1, 5)]
    assert sentence(results) == "All 4 methods at parity on vgg; worst margin m4 on vgg: 0.4 of its limit."


def test_the_sentence_counts_methods_not_rows():
    results = [case("a", model=m) for m in ("x", "y", "z")] + [
        case("b", model="x"),
        case("b", "mismatch", 7.0, model="y"),
        case("c", "reference-defect", 0.2, model="x", divergence="named"),
        case("d", "error", None),
    ]
    text = sentence(results)
    assert text.startswith("1 of 4 methods at parity on 4 models; 1 error; 1 mismatch; 1 reference defect;")
    assert text.endswith("worst margin b on y: 7 times its limit.")


@pytest.mark.parametrize("order", [1, -1])
def test_each_method_is_counted_once_by_its_worst_case(order):
    results = [
        case("a", "mismatch", None), case("a", "structural", 7.0, input="b"), case("a", "unsupported", None, model="x"),
        case("b", "structural", 7.0), case("b", "structural", 3.0, input="b", divergence="named"),
        case("d", "reference-defect", 3.0, divergence="named"), case("d", model="x"),
        case("e", "unsupported", None), case("e", model="x"),
        case("f", "unsupported", None), case("g"), case("h", "error", None), case("h", "mismatch", None, model="x"),
        case("i", "unjudged", None), case("i", input="b"),
    ][::order]  # fmt: skip
    rows = group(results)
    counts = method_standings(rows)
    assert counts == dict.fromkeys(STANDINGS, 1) | {"parity": 2}
    assert sum(counts.values()) == len({row["method"] for row in results})
    assert sentence(results).startswith(
        "2 of 8 methods at parity on vgg, x (1 of them unsupported on some); 1 error; 1 mismatch; "
        "1 not equal (only the published floor holds); 1 unjudged; 1 reference defect; "
        "1 unsupported; worst margin"
    )


def test_on_one_model_the_rows_are_counted_as_the_methods_are():
    statuses = ["parity", "mismatch", "structural", "unsupported", "error", "reference-defect", "unjudged"]
    results = [case(f"m{i}", status, 0.1, input=text) for i, status in enumerate(statuses) for text in "ab"]
    results += [case("m1", "unsupported", None, dtype="float32")]
    rows = group(results)
    assert row_standings(rows) == method_standings(rows)
    assert sum(case_standings(rows).values()) == len(results)


def test_a_known_difference_does_not_make_an_unequal_map_green():
    (row,) = group([case("lrp.z_IB", "structural", 55.0, divergence="named")])
    assert not row.ok


def test_the_sentence_of_nothing():
    assert sentence([]) == "Nothing was compared."


def test_plurals():
    results = [case("a", "mismatch", 3.0), case("b", "mismatch", 3.0), case("c")]
    assert "; 2 mismatches;" in sentence(results)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.4, "0.4"),
        (1.0, "1"),
        (1.004, "1"),
        (0.00002, "2e-5"),
        (250.0, "250"),
        (2e8, "2e8"),
        (float("inf"), "no number"),
    ],
)
def test_shares(value, text):
    assert format_share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (2.13e-16, "2.1e-16"), (0.52, "0.52"), (float("nan"), "no number"), (3e9, "3.0e9")],
)
def test_numbers(value, text):
    assert format_number(value) == text


def test_similarities():
    assert [format_similarity(v) for v in (None, 1.0, -0.0544)] == ["–", "1.000000", "-0.054400"]
