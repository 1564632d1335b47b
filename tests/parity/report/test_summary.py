"""summary.md, junit.xml and the terminal tables say the same as the results, whatever a message holds."""

from __future__ import annotations

import copy
import io
import re
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from parity.report import show_results, write
from parity.report.junit import junit_parts
from parity.report.summary import summary_markdown
from tests.parity.report.synthetic import green_run

NASTY = "a|b `c` <script>alert(1)</script> *d* [e](f)\n\x1b[31m\x00 ]]> & \ud7ff"


def terminal(document, width=100, **options) -> str:
    stream = io.StringIO()
    show_results(Console(file=stream, width=width, **options), document)
    return stream.getvalue()


def test_summary_names_what_fails_and_the_worst_margins(run):
    text = summary_markdown(run[0])
    assert text.startswith("## Parity: FAILED")
    assert "### Not green (4)" in text
    assert "| mismatch | `lrp_alpha_1_beta_0` |" in text
    assert text.count("| parity | ") == 10


def test_summary_of_a_green_run(tmp_path):
    text = summary_markdown(green_run(tmp_path)[0])
    assert text.startswith("## Parity: passed")
    assert "Not green" not in text


def test_markdown_is_escaped(run):
    document = copy.deepcopy(run[0])
    document["results"][-1] |= {"input": NASTY, "reproduce": NASTY}
    text = summary_markdown(document)
    line = next(line for line in text.splitlines() if "alert" in line)
    assert "\\<script\\>" in line
    assert line.replace("\\|", "").count("|") == 10


def test_junit_counts_and_carries_each_case(run):
    root = ET.fromstring("".join(junit_parts(run[0])))
    results = run[0]["results"]
    assert root.get("tests") == str(len(results)) == str(len(root.findall("testcase")))
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("3", "1", "2")
    failing = {case.get("name"): case for case in root if case.find("failure") is not None}
    message = failing["lrp_alpha_1_beta_0[vgg_mnist-digit-1-float64]"].find("failure")
    assert message is not None
    assert "pearson" in (message.text or "")
    assert "python -m parity run" in (message.text or "")
    defect = next(case for case in root if "zblrp" in case.get("name", ""))
    assert {p.get("name"): p.get("value") for p in defect.iter("property")}["divergence"]
    assert len(list(defect)) == 1


def test_junit_survives_what_xml_cannot_hold(run):
    document = copy.deepcopy(run[0])
    document["results"][-1]["message"] = NASTY
    root = ET.fromstring("".join(junit_parts(document)))
    assert "<script>" in "".join(error.text or "" for error in root.iter("error"))


@pytest.mark.parametrize("width", [60, 80, 140])
def test_terminal_tables_name_the_failing_methods_whole(run, width: int):
    text = terminal(run[0], width)
    assert "Not green: 4 of 19" in text
    assert "lrp_alpha_1_beta_0" in text
    assert "Worst margins" in text
    assert "✗" in text
    assert "Reproduce the first: python -m parity run" in " ".join(text.split())


def test_what_is_to_be_copied_is_one_line_in_a_pipe(run):
    lines = terminal(run[0], 40).splitlines()
    (line,) = [line for line in lines if line.startswith("Reproduce the first: ")]
    assert len(line) > 60
    assert line.removeprefix("Reproduce the first: ") in {row["reproduce"] for row in run[0]["results"]}


def test_the_reason_of_errors_is_said_once_and_without_its_traceback(run):
    document = copy.deepcopy(run[0])
    for number, row in enumerate(document["results"][:6]):
        row |= {"status": "error", "method": f"m{number}", "message": "signxai: it [died]\nTraceback of the worker"}
    text = terminal(document, 60)
    assert re.search(r"^! m\d, m\d, m\d and 3 more: signxai: it \[died\]$", text, re.MULTILINE)
    assert "Traceback of the worker" not in text


def test_models_are_named_whole_on_80_columns_and_once_if_they_are_alike(run, tmp_path):
    assert "vgg_mnist" in terminal(green_run(tmp_path)[0], 80)
    document = copy.deepcopy(run[0])
    for row in document["results"]:
        row["model"] = "vgg_mnist" if row["family"] == "lrp" else "cnn_timeseries"
    text = terminal(document, 80)
    tables = text[: text.index("of its limit")] if "of its limit" in text else text
    assert "cnn_timeseries" in tables
    for row in document["results"]:
        row["model"] = "vgg_mnist"
    text = terminal(document, 80)
    assert "Not green: 4 of" in text
    assert "all on vgg_mnist" in text


def test_terminal_of_a_green_run(tmp_path):
    text = terminal(green_run(tmp_path)[0])
    assert "Not green" not in text
    assert "✓ All 3 methods at parity" in text


def test_no_color_means_no_escape_codes(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in terminal(run[0], force_terminal=True)


def test_markup_in_a_message_is_not_obeyed(run):
    document = copy.deepcopy(run[0])
    document["results"][-1] |= {"input": "[bold red]x[/]", "reproduce": "[/nonsense]"}
    assert "[/nonsense]" in terminal(document, 200)


def test_a_report_without_arrays_can_be_written(run, tmp_path):
    page = write(run[0], None, tmp_path).html.read_text()
    assert "There is no map by" in page
    assert "data:image/png" not in page
