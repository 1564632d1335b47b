"""Every output says how much was compared with what, how far a run came, and who answered for the reference."""

from __future__ import annotations

import copy
import io
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from parity.report import show_results
from parity.report.headline import (
    counts_phrase,
    outcome_phrase,
    outcome_title,
    reference_sentences,
    stopped_phrase,
    verdict_sentence,
)
from parity.report.junit import junit_parts
from parity.report.rows import group
from parity.report.summary import summary_markdown
from parity.run.totals import summarize
from tests.parity.report.synthetic import UNJUDGED, green_run
from tests.parity.report.test_rows import case

MIXED = [
    case("a"), case("b"), case("c", "structural", 7.0), case("d", "mismatch", None),
    case("e", "reference-defect", 0.1, divergence="named"), case("f", "unjudged", None, message="zero by definition"),
    case("g", "unsupported", None), case("h", "error", None),
]  # fmt: skip


def terminal(document: dict[str, Any], width: int = 160) -> str:
    stream = io.StringIO()
    show_results(Console(file=stream, width=width), document)
    return stream.getvalue()


def junit(document: dict[str, Any]) -> ET.Element:
    return ET.fromstring("".join(junit_parts(document)))


def stopped(document: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return the document as a run would leave it that ended early."""
    return copy.deepcopy(document) | {"summary": summarize(document["results"], **facts), "interrupted": True}


def test_the_counts_add_up_and_leave_out_what_is_not_counted():
    summary = summarize(MIXED)
    assert counts_phrase(summary) == (
        "4 of 7 cases compared; 1 held to something else; 1 unjudged; 1 error; 1 unsupported, not counted"
    )
    assert counts_phrase(summarize([case("a"), case("b")])) == (
        "2 of 2 cases compared; 0 held to something else; 0 unjudged"
    )


def test_every_output_has_the_counts(run, page):
    counts = "39 of 42 cases compared; 1 held to something else; 1 unjudged; 1 error; 1 unsupported, not counted"
    for text in (terminal(run[0]), page, summary_markdown(run[0])):
        assert f"{counts}." in text
    properties = {entry.get("name"): entry.get("value") for entry in junit(run[0]).findall("properties/property")}
    assert properties["cases"] == counts
    assert properties["outcome"] == "FAILED"
    assert properties["reference"] == "1 of 41 reference answers are stored ones, the oldest of 2026-11-02."


def test_a_run_that_ended_early_says_how_far_it_came_everywhere(tmp_path):
    document = stopped(green_run(tmp_path)[0], planned=12, stopped=True)
    assert document["summary"]["green"] is False
    text = summary_markdown(document)
    assert text.startswith("## Parity: stopped after 3 of 12 cases\n\nStopped after 3 of 12 cases: 3 of 3 methods")
    assert "passed" not in text
    last = [line for line in terminal(document).splitlines() if "Stopped" in line]
    assert last[0].startswith("✗ Stopped after 3 of 12 cases: 3 of 3 methods at parity on vgg_mnist")
    assert "  3 of 12 cases compared; 0 held to something else; 0 unjudged." in terminal(document).splitlines()
    root = junit(document)
    assert (root.get("tests"), root.get("errors")) == ("4", "1")
    (error,) = root.iter("error")
    assert error.get("message") == "stopped after 3 of 12 cases"
    assert len(root.findall("testcase")) == 4


def test_missing_rows_stop_a_run_that_does_not_say_so():
    assert summarize([case("a")], planned=2)["stopped"] is True
    assert summarize([case("a")], planned=2)["green"] is False
    assert summarize([case("a")], planned=1)["green"] is True
    assert summarize([case("a")], stopped=True)["green"] is False


def test_where_nobody_knows_how_many_were_planned_none_is_told():
    assert stopped_phrase(summarize([case("a"), case("b")], stopped=True)) == "stopped after 2 cases"
    assert stopped_phrase(summarize([case("a")], stopped=True)) == "stopped after 1 case"
    assert stopped_phrase(summarize([case("a")], planned=4)) == "stopped after 1 of 4 cases"


@pytest.mark.parametrize(
    ("rows", "outcome", "title"),
    [
        ([case("a")], "passed", "Parity holds"),
        ([case("a"), case("b", "unjudged", None)], "passed", "Parity holds"),
        (MIXED, "FAILED", "Parity fails"),
        ([case("a", "error", None)], "FAILED", "Parity fails"),
        ([case("a", "unjudged", None)], "nothing was compared", "Nothing was compared"),
        ([case("a", "unsupported", None)], "nothing was compared", "Nothing was compared"),
        ([], "nothing was compared", "Nothing was compared"),
    ],
)
def test_the_outcome_in_a_few_words(rows, outcome, title):
    summary = summarize(rows)
    assert outcome_phrase(summary) == outcome
    assert outcome_title(summary) == title


def test_a_run_in_which_nothing_was_compared_is_red_in_junit(tmp_path):
    document = copy.deepcopy(green_run(tmp_path)[0])
    for row in document["results"]:
        row |= {"status": "unjudged", "message": UNJUDGED}
    document["summary"] = summarize(document["results"])
    root = junit(document)
    assert (root.get("tests"), root.get("errors"), root.get("skipped")) == ("4", "1", "3")
    (error,) = root.iter("error")
    assert error.get("message") == "nothing was compared"
    assert summary_markdown(document).startswith("## Parity: nothing was compared")


def test_a_judge_that_accepts_wrong_maps_is_red_in_junit(tmp_path):
    document = copy.deepcopy(green_run(tmp_path)[0])
    controls = {"mutants": 22, "mutants_killed": 21, "survived": ["scale_1_02 on vgg_mnist"]}
    document["summary"] = summarize(document["results"], controls)
    (error,) = junit(document).iter("error")
    assert error.get("message") == "the judge accepted 1 of 22 maps that are wrong on purpose"
    assert "scale_1_02 on vgg_mnist" in (error.text or "")


def test_what_is_unjudged_is_told_apart_with_its_reason(run):
    text = terminal(run[0])
    assert "Unjudged: 1 of 43 cases" in text
    assert f"? vargrad: {UNJUDGED}" in text
    assert f"### Unjudged (1 case)\n\n- {UNJUDGED}: `vargrad`" in summary_markdown(run[0])
    skipped = {entry.get("name"): entry.find("skipped") for entry in junit(run[0]) if entry.find("skipped") is not None}
    assert skipped["vargrad[vgg_mnist-digit-0-float64]"].get("message") == f"unjudged: {UNJUDGED}"


def test_maps_that_only_look_alike_are_called_unequal_with_their_margin(run):
    text = terminal(run[0])
    line = next(line for line in text.splitlines() if "lrp_w_square" in line)
    assert line.startswith("≠ not equal")
    assert line.rstrip().endswith("2e8")
    assert "1 not equal (only the published floor holds)" in text
    assert "structural" not in text
    markdown = summary_markdown(run[0])
    assert "| not equal (only the published floor holds) | `lrp_w_square` |" in markdown
    assert "| 2e8 |" in markdown
    (failure,) = [entry.find("failure") for entry in junit(run[0]) if "lrp_w_square" in (entry.get("name") or "")]
    assert failure is not None
    assert (failure.get("message") or "").startswith("not equal (only the published floor holds)")


def test_not_equal_is_printed_in_red(run):
    stream = io.StringIO()
    show_results(Console(file=stream, width=160, force_terminal=True, color_system="standard"), run[0])
    assert "\x1b[31m≠ not equal" in stream.getvalue()
    assert "\x1b[33m" not in stream.getvalue()  # no yellow


def answered(*origins: str | None) -> list[dict[str, Any]]:
    return [case(f"m{number}", reference_stored=origin) for number, origin in enumerate(origins)]


@pytest.mark.parametrize(
    ("rows", "fault", "sentences"),
    [
        (answered(None), None, []),
        (answered("", "", None), None, ["2 reference answers were computed in this run."]),
        (
            answered("", "2026-11-05T00:00:00+00:00", "2026-11-02T23:59:59+00:00"), None,
            ["2 of 3 reference answers are stored ones, the oldest of 2026-11-02."],
        ),
        (
            answered("unknown"), "no reference environment: looked for it",
            [
                "1 of 1 reference answers are stored ones, of unknown age.",
                "No reference could be asked in this run: no reference environment: looked for it.",
            ],
        ),
        (
            answered(""), "the worker does not start",
            [
                "1 reference answer was computed in this run.",
                "The reference failed in this run: the worker does not start.",
            ],
        ),
    ],
)  # fmt: skip
def test_where_the_reference_answers_came_from(rows, fault, sentences):
    assert reference_sentences(summarize(rows, reference_fault=fault)) == sentences


def test_a_method_that_is_unjudged_somewhere_is_not_called_at_parity():
    rows = [case("a"), case("a", "unjudged", None, input="b")]
    text = verdict_sentence({"summary": summarize(rows)}, group(rows))
    assert text.startswith("0 of 1 method at parity on vgg; 1 unjudged;")
