"""`parity run` with several subjects: a report of each, and a page that compares them. TensorFlow is never started."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity.commands.side_by_side import folder_of
from parity.report import load
from tests.parity.echo_client import EchoClient

pytestmark = pytest.mark.slow

pytest_plugins = ("tests.parity.command_line",)
RUN = ("run", "--model", "dense_mnist", "--samples", "1", "--method", "lrp_z,lrpsign_z")
PORTS = """
from signxai_torch import explain

def scaled(model, x, method, target, **parameters):
    return 1.02 * explain(model, x, method, target, **parameters)

def nan(model, x, method, target, **parameters):
    return x * float("nan")

def leaves(model, x, method, target, **parameters):
    import os
    os.chdir("/")
    os._exit(0)

def broken(model, x, method, target, **parameters):
    raise ValueError("a <b>bold</b> | message")
"""


@pytest.fixture
def ports(tmp_path: Path) -> str:
    path = tmp_path / "ports.py"
    path.write_text(PORTS, encoding="utf-8")
    return str(path)


def test_each_subject_has_its_report_and_a_page_compares_them(parity, ports) -> None:
    result = parity(*RUN, "--subject", "signxai_torch", "--subject", "zennit", "--subject", f"{ports}:scaled")
    assert result.exit_code == 1, result.output  # one of them is not green
    folders = ["signxai_torch", "zennit", "ports.py-scaled"]
    for folder in folders:
        assert (Path("reports") / folder / "parity.html").is_file()
        assert load(Path("reports") / folder / "parity.json")["results"]
    lines = Path("reports/subjects.md").read_text(encoding="utf-8").splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines if "|" in line
    }
    assert cells["subject"] == ["offered", "equal in float64", "equal in float32", "published floor", "errors",
                                "not offered"]  # fmt: skip
    assert cells["signxai_torch"] == ["2", "2", "2", "2", "0", "0"]
    assert cells["zennit"] == ["1", "1", "1", "1", "0", "1"]
    assert cells["ports.py:scaled"] == ["2", "0", "0", "2", "0", "0"]  # Pearson and SSIM see no factor
    assert cells["method"] == ["signxai_torch", "zennit", "ports.py:scaled"]
    assert cells["`lrpsign_z`"][1] == "-"
    assert cells["`lrp_z`"][2].startswith("**0.02** / **0.02**")
    page = Path("reports/subjects.html").read_text(encoding="utf-8")
    for folder in folders:
        assert f'href="{folder}/parity.html#row-dense_mnist--lrp_z"' in page
    for folder in folders:
        assert 'id="row-dense_mnist--lrp_z"' in (Path("reports") / folder / "parity.html").read_text(encoding="utf-8")
    assert result.stdout.count("report: ") == 3
    assert "side by side: reports/subjects.html" in result.stdout


def test_what_a_subject_raises_is_told_and_escaped(parity, ports) -> None:
    assert parity(*RUN, "--subject", "zennit", "--subject", f"{ports}:broken").exit_code == 1
    page = Path("reports/subjects.html").read_text(encoding="utf-8")
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    markdown = Path("reports/subjects.md").read_text(encoding="utf-8")
    assert "## What has no numbers" in markdown
    assert "**error**" in markdown


def test_a_map_without_numbers_is_counted_and_told(parity, ports) -> None:
    assert parity(*RUN, "--subject", "signxai_torch", "--subject", f"{ports}:nan").exit_code == 1
    markdown = Path("reports/subjects.md").read_text(encoding="utf-8")
    assert "| ports.py:nan | 2 | 0 | 0 | 0 | 0 | 0 |" in markdown
    assert "**mismatch**" in markdown
    assert "- ports.py:nan: " in markdown


def test_a_subject_that_ends_the_process_or_leaves_the_folder_costs_itself_alone(parity, ports) -> None:
    result = parity(*RUN, "--subject", f"{ports}:leaves", "--subject", "signxai_torch")
    assert result.exit_code == 1, result.output
    markdown = Path("reports/subjects.md").read_text(encoding="utf-8")
    assert "os._exit(0)" in markdown
    assert "| signxai_torch | 2 | 2 | 2 | 2 | 0 | 0 |" in markdown


def test_debug_shows_where_an_error_that_nobody_expected_came_from(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(*_arguments, **_options):
        raise RuntimeError("the page broke")

    with monkeypatch.context() as patch:
        patch.setattr("parity.report.write", breaking)
        command = [*RUN, "--subject", "zennit", "--subject", "signxai_torch"]
        assert "Traceback" not in parity(*command).stderr
        result = parity("--debug", *command)
    assert result.exit_code == 2
    assert result.stderr.count("in breaking") == 2
    monkeypatch.setattr("parity.run.desk.failed_cases", breaking)
    monkeypatch.setattr("parity.run.runner.judged", breaking)
    models = ("--model", "cnn_timeseries", "--subject", "zennit")
    for subjects in ((), ("--subject", "signxai_torch")):  # of one alone it is told by the command line itself
        result = parity("--debug", *RUN, *models, *subjects)
        assert "RuntimeError: the page broke" in result.stderr
        assert "in breaking" in result.stderr


def test_all_are_known_before_the_first_one_starts(parity) -> None:
    result = parity(*RUN, "--subject", "zennit", "--subject", "nobody")
    assert result.exit_code == 2
    assert "nobody" in result.output
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    "option",
    [("--json", "-"), ("--save-arrays", "maps.h5"), ("--previous", "parity.json")],
    ids=lambda option: option[0],
)
def test_options_of_one_subject_are_refused(parity, option) -> None:
    result = parity(*RUN, "--subject", "zennit", "--subject", "signxai_torch", *option)
    assert result.exit_code == 2
    assert "are for one subject" in result.output


def test_two_subjects_of_one_name_are_refused(parity, ports, tmp_path) -> None:
    other = tmp_path / "elsewhere" / "ports.py"
    other.parent.mkdir()
    other.write_text(PORTS, encoding="utf-8")
    result = parity(*RUN, "--subject", f"{ports}:scaled", "--subject", f"{other}:scaled")
    assert result.exit_code == 2
    assert "two subjects are called ports.py:scaled" in " ".join(result.output.split())


def test_a_subject_named_twice_runs_once(parity) -> None:
    result = parity(*RUN, "--subject", "signxai_torch", "--subject", "signxai_torch")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("report: ") == 1


def test_after_ctrl_c_the_comparison_has_what_was_begun(parity, monkeypatch) -> None:
    monkeypatch.setattr(EchoClient, "interrupt_after", 4)
    result = parity(*RUN[:-1], "gradient,lrp_z", "--subject", "signxai_torch", "--subject", "zennit")
    assert result.exit_code == 130
    assert Path("reports/subjects.html").is_file()
    assert not Path("reports/zennit").exists()


def test_a_run_of_one_subject_cannot_begin_costs_no_other_s(parity, monkeypatch) -> None:
    from parity.errors import ParityError
    from parity.run.session import Session

    run = Session.run

    def failing(self, *arguments):
        if self.subject == "zennit":
            raise ParityError("no room")
        return run(self, *arguments)

    monkeypatch.setattr(Session, "run", failing)
    result = parity(*RUN, "--subject", "zennit", "--subject", "signxai_torch")
    assert result.exit_code == 2
    assert "zennit: no room" in result.stderr
    assert "| signxai_torch | 2 |" in Path("reports/subjects.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "folder"),
    [("zennit", "zennit"), ("a/b:c", "a-b-c"), ("..", "subject"), ("ümlaut f", "mlaut-f"), ("x.py:f", "x.py-f")],
)
def test_a_folder_holds_no_odd_letters(name, folder) -> None:
    assert folder_of(name) == folder
