"""The rows of a run as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from parity.report.csv import COLUMNS, csv_lines, csv_parts
from tests.parity.report.synthetic import small_run


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return small_run(tmp_path_factory.mktemp("run"))[0]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_case_is_a_line_with_every_number_and_its_limit(document) -> None:
    text = "".join(csv_parts(document))
    rows = read(text)
    assert len(rows) == len(document["results"])
    assert text.count("\r\n") == text.count("\n") == len(rows) + 1
    for row, result in zip(rows, document["results"], strict=True):
        assert (row["model"], row["method"], row["status"]) == (result["model"], result["method"], result["status"])
        for name in ("rel_l2", "slope", "max_err", "pearson", "ssim"):
            for number, written in (
                (result.get(name), row[name]),
                ((result["limits"] or {}).get(name), row[f"{name}_limit"]),
            ):
                assert written == "" if number is None else float(written) == number


def test_the_header_is_what_scripts_rely_on() -> None:
    assert COLUMNS[:12] == (
        "model", "input", "target", "method", "family", "reference", "dtype", "status", "failed_check", "message",
        "margin", "rel_l2",
    )  # fmt: skip
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_a_run_of_nothing_is_the_header_alone(document) -> None:
    assert "".join(csv_parts(document | {"results": []})) == ",".join(COLUMNS) + "\r\n"


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "+1", "-x.npy", "@SUM(A1)", " =1", "\t=1", "＝1"])
def test_no_text_is_run_as_a_formula(text: str) -> None:
    (row,) = read("".join(csv_lines(["name", "number"], [[text, -1.5]])))
    assert row["name"].startswith(("'", "\\"))
    assert row["number"] == "-1.5"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a "b", c', 'a "b", c'),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("\x1b[31mred\u202e", "\\x1b[31mred\\u202e"),
        ("caf\udce9", "caf\\udce9"),
        ("日本 Ω ü", "日本 Ω ü"),
        ("", ""),
    ],
)
def test_texts_are_quoted_and_what_is_not_printed_is_spelled(text: str, written: str) -> None:
    (row,) = read("".join(csv_lines(["name"], [[text]]))) or [{"name": ""}]
    assert row["name"] == written
    "".join(csv_lines(["name"], [[text]])).encode("utf-8")
