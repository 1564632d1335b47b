"""`--csv` of the commands."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

pytest_plugins = ("tests.parity.command_line",)
ONE = ("--model", "dense_mnist", "--samples", "1", "--method", "gradient", "--dtype", "float64")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_run_writes_a_line_per_case_to_a_file_or_to_stdout_alone(parity) -> None:
    assert parity("run", *ONE, "--csv", "cases.csv").exit_code == 0
    (row,) = rows(Path("cases.csv").read_bytes().decode())
    assert (row["model"], row["method"], row["dtype"], row["status"]) == (
        "dense_mnist",
        "gradient",
        "float64",
        "parity",
    )
    assert float(row["rel_l2"]) <= float(row["rel_l2_limit"])
    result = parity("run", *ONE, "--csv", "-")
    (again,) = rows(result.stdout)
    assert (again["rel_l2"], again["rel_l2_limit"]) == (row["rel_l2"], row["rel_l2_limit"])
    report = parity("report", "reports", "--csv", "again.csv")
    assert report.exit_code == 0
    assert rows(Path("again.csv").read_bytes().decode()) == rows(result.stdout)
    assert parity("report", "reports", "--csv", "-").stdout_bytes == Path("again.csv").read_bytes()


def test_methods_are_a_table(parity) -> None:
    listed = rows(parity("methods", "--csv", "gradient*").stdout)
    assert {"gradient", "gradient_x_input"} <= {row["name"] for row in listed}
    assert all(row["formula"] for row in listed)
    assert parity("methods", "--csv", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--csv", "-", "--json", "-"], "both take all of stdout"),
        (["--csv", "no/folder.csv"], "there is no folder no"),
        (["--csv", "reports/parity.json"], "are one file"),
        (["--csv", "same", "--save-arrays", "same"], "are one file"),
        (["--csv", "x.csv", "--subject", "signxai_torch", "--subject", "zennit"], "for one subject"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_run(parity, arguments: list[str], word: str) -> None:
    Path("reports").mkdir()
    result = parity("run", *ONE, *arguments)
    assert result.exit_code == 2
    assert word in result.stderr


def test_a_report_is_not_written_over_what_it_reads(parity) -> None:
    assert parity("run", *ONE).exit_code == 0
    for name, word in (("reports/parity.json", "are one file"), ("no/x.csv", "there is no folder no")):
        result = parity("report", "reports", "--csv", name)
        assert (result.exit_code, word in result.stderr) == (2, True)
    Path("other.json").write_bytes(Path("reports/parity.json").read_bytes())
    result = parity("report", "other.json", "--out", "elsewhere", "--csv", "other.json")
    assert "would overwrite" in result.stderr
