"""`parity run` and `parity report`. TensorFlow is never started: the port answers for the reference."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parity.assets.models import WEIGHTS
from parity.commands.progress import RunProgress
from parity.judge import verdict
from parity.reference.store import StoreError
from parity.report import load
from tests.parity.echo_client import EchoClient

pytestmark = pytest.mark.slow

pytest_plugins = ("tests.parity.command_line",)
DENSE = ["--model", "dense_mnist", "--samples", "1"]
ROOT = Path(__file__).resolve().parents[2]


def test_a_green_run_exits_0_and_names_its_report(parity) -> None:
    result = parity("run", *DENSE, "--method", "gradient,lrp_z")
    assert result.exit_code == 0, result.output
    assert "All 2 methods at parity on dense_mnist" in result.stdout
    assert "4 of 4 cases compared; 0 held to something else; 0 unjudged." in result.stdout
    assert "report: reports/parity.html" in result.stdout
    assert len(load(Path("reports/parity.json"))["results"]) == 4
    assert "[0/4 cases]" in result.stderr  # progress in plain lines


def test_a_case_that_is_not_green_exits_1(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    result = parity("run", *DENSE, "--method", "gradient,lrp_z", "--quiet")
    assert result.exit_code == 1
    assert result.output == "NOT green\n"


def test_a_judge_that_accepts_wrong_maps_exits_1(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "CHECKS", ())
    result = parity("run", *DENSE, "--method", "gradient,lrp_z")
    assert result.exit_code == 1
    assert "maps that are wrong on purpose" in " ".join(result.stdout.split())
    summary = load(Path("reports/parity.json"))["summary"]
    assert summary["counts"] == {"parity": 4}
    assert summary["controls"]["mutants_killed"] == 0


def test_seconds_of_methods_computed_together_say_of_how_many_they_are(parity) -> None:
    parity("run", *DENSE, "--method", "lrp_z,lrp_flat,smoothgrad", "--dtype", "float64")
    shared = {
        row["method"]: row.get("seconds_subject_shared_by") for row in load(Path("reports/parity.json"))["results"]
    }
    assert shared["lrp_z"] == shared["lrp_flat"] == 2
    assert shared["smoothgrad"] == 1


def test_fail_fast_stops_at_the_first_case_that_is_not_green(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient", "lrp_z"}))
    result = parity("run", *DENSE, "--method", "gradient,lrp_z", "--fail-fast")
    assert result.exit_code == 1
    assert "--fail-fast" in result.stderr
    document = load(Path("reports/parity.json"))
    assert len(document["results"]) == 1
    assert document["summary"]["stopped"] is True
    assert "✗ Stopped after 1 of 4 cases" in result.stdout
    assert Path("reports/summary.md").read_text().startswith("## Parity: stopped after 1 of 4 cases")


def test_fail_fast_at_the_last_case_has_left_nothing_out(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    result = parity("run", *DENSE, "--method", "gradient", "--dtype", "float64", "--fail-fast")
    assert result.exit_code == 1
    assert load(Path("reports/parity.json"))["summary"]["stopped"] is False


def test_json_on_stdout_is_nothing_but_json(parity) -> None:
    result = parity("run", *DENSE, "--method", "gradient", "--json", "-", "--save-arrays", "maps.h5")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == load(Path("reports/parity.json"))
    assert "at parity on dense_mnist" in result.stderr
    assert Path("maps.h5").read_bytes() == Path("reports/parity-arrays.h5").read_bytes()


def test_json_into_a_file(parity) -> None:
    assert parity("run", *DENSE, "--method", "gradient", "--json", "out.json").exit_code == 0
    assert load(Path("out.json")) == load(Path("reports/parity.json"))


def test_a_second_run_is_compared_with_the_first(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parity("run", *DENSE, "--method", "gradient", "--report", "first").exit_code == 0
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    earlier = json.loads(Path("first/parity.json").read_text())
    Path("first/parity.json").write_text(json.dumps(earlier | {"created": "2020-01-01T00:00:00+00:00"}))
    result = parity("run", *DENSE, "--method", "gradient", "--previous", "first/parity.json")
    assert result.exit_code == 1
    assert load(Path("reports/parity.json"))["compared"]["changes"]


def test_an_earlier_run_that_cannot_be_read_is_refused_before_the_first_case(
    parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EchoClient, "interrupt_after", 0)  # the first question to the reference would end the run
    Path("old.json").write_text('{"schema": 1}')
    result = parity("run", *DENSE, "--method", "gradient", "--previous", "old.json")
    assert result.exit_code == 2
    assert "old.json is not a valid results file" in result.stderr
    assert not Path("reports").exists()


def test_an_earlier_run_that_vanishes_meanwhile_costs_nothing(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parity("run", *DENSE, "--method", "gradient", "--report", "first").exit_code == 0
    earlier = json.loads(Path("first/parity.json").read_text())
    Path("old.json").write_text(json.dumps(earlier | {"created": "2020-01-01T00:00:00+00:00"}))

    class Deleting(EchoClient):
        def answer(self, request):
            Path("old.json").unlink(missing_ok=True)
            return super().answer(request)

    monkeypatch.setattr("parity.run.session.ReferenceClient", Deleting)
    assert parity("run", *DENSE, "--method", "gradient", "--previous", "old.json").exit_code == 0
    assert load(Path("reports/parity.json"))["compared"]["created"] == "2020-01-01T00:00:00+00:00"


def test_answers_of_the_store_and_a_reference_that_cannot_run_are_told(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stored(EchoClient):
        unable = "no reference environment: looked for it everywhere; make setup"

        def answer(self, request):
            answers = super().answer(request)
            for answer in answers:
                answer.from_store, answer.computed = True, "2026-11-02T08:00:00+00:00"
            return answers

    monkeypatch.setattr("parity.run.session.ReferenceClient", Stored)
    result = parity("run", *DENSE, "--method", "gradient")
    assert result.exit_code == 0
    summary = load(Path("reports/parity.json"))["summary"]
    assert summary["reference_answers"] == {"computed": 0, "stored": 2, "oldest": "2026-11-02T08:00:00+00:00"}
    assert summary["reference_fault"] == Stored.unable
    for text in (result.stdout, Path("reports/summary.md").read_text(), Path("reports/junit.xml").read_text()):
        plain = text.replace("\\_", "_")
        assert "2 of 2 reference answers are stored ones, the oldest of 2026-11-02." in plain
        assert f"No reference could be asked in this run: {Stored.unable}." in plain


def test_ctrl_c_keeps_the_finished_cases(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two requests for the logits, two per method.
    monkeypatch.setattr(EchoClient, "interrupt_after", 4)
    result = parity("run", *DENSE, "--method", "gradient,lrp_z")
    assert result.exit_code == 130
    assert "interrupted: the finished cases are in the report" in result.stderr
    document = load(Path("reports/parity.json"))
    assert document["interrupted"] is True
    assert {row["method"] for row in document["results"]} == {"gradient"}
    summary = document["summary"]
    assert (summary["green"], summary["stopped"], summary["planned"]) == (False, True, 4)
    assert "✗ Stopped after 2 of 4 cases: 1 of 1 method at parity on dense_mnist" in result.stdout
    markdown = Path("reports/summary.md").read_text()
    assert markdown.startswith("## Parity: stopped after 2 of 4 cases")
    assert "passed" not in markdown
    junit = Path("reports/junit.xml").read_text()
    assert 'tests="3" failures="0" errors="1"' in junit
    assert '<error message="stopped after 2 of 4 cases">' in junit
    assert "Parity run stopped early" in Path("reports/parity.html").read_text()
    # And so it stays: the report that is made again says the same.
    again = parity("report", "reports/parity.json")
    assert again.exit_code == 1
    assert "Stopped after 2 of 4 cases" in again.stdout


def test_quiet_says_that_a_run_was_stopped(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "interrupt_after", 4)
    result = parity("run", *DENSE, "--method", "gradient,lrp_z", "--quiet")
    assert result.exit_code == 130
    assert result.stdout == "NOT green (stopped after 2 of 4 cases)\n"


def test_ctrl_c_before_the_first_case(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "interrupt_after", 0)
    result = parity("run", *DENSE, "--method", "gradient")
    assert result.exit_code == 130
    assert not list(Path("reports").iterdir())


def test_what_the_store_cannot_keep_is_told_at_the_end(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(EchoClient):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            self.store_errors = [StoreError("cannot write to the store /full: no space left")] * 3

    monkeypatch.setattr("parity.run.session.ReferenceClient", Full)
    result = parity("run", *DENSE, "--method", "gradient")
    assert result.exit_code == 0
    assert result.stderr.count("no space left") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "lrp_flatt"], ["lrp_flatt", "Nearest: lrp_flat"]),
        (["--method", "nothing_*"], ["no method matches"]),
        (["--model", "dense_mnits"], ["did you mean dense_mnist?"]),
        (["--model", "missing.h5"], ["there is no file missing.h5"]),
        (["--inputs", "missing.npy"], ["missing.npy: there is no such file"]),
        (["--inputs", "wrong.npy"], ["wrong.npy has shape (3, 3, 1)"]),
        (["--input", "digit_10"], ["no input 'digit_10'"]),
        (["--target", "10"], ["target 10 is out of range: dense_mnist has 10 classes, 0 to 9"]),
        (["--target", "-1"], ["target -1 is out of range"]),
        (["--subject", "signxai"], ["unknown subject"]),
        (["--json", "no/folder.json"], ["there is no folder no"]),
        (["--previous", "none.json", "--method", "gradient"], ["none.json"]),
        (["--samples", "0"], ["--samples"]),
        (["--dtype", "float16"], ["--dtype"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("--") else "",
)
def test_a_usage_error_is_one_message(parity, arguments: list[str], words: list[str]) -> None:
    np.save("wrong.npy", np.zeros((3, 3, 1), np.float32))
    model = [] if "--model" in arguments else ["--model", "dense_mnist"]
    result = parity("run", *model, *arguments)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.output
    assert not Path("reports/parity.json").exists()


def test_the_same_model_twice_is_run_once_and_two_of_a_name_are_refused(parity, tmp_path: Path) -> None:
    model = (WEIGHTS / "dense_mnist.h5").read_bytes()
    (tmp_path / "other").mkdir()
    for path in (tmp_path / "m.h5", tmp_path / "other" / "m.h5"):
        path.write_bytes(model)
    np.save("x.npy", np.zeros((28, 28, 1), np.float32) - 0.5)
    common = ["--inputs", "x.npy", "--method", "gradient"]
    assert parity("run", "--model", "m.h5", "--model", "./m.h5", *common).exit_code == 0
    assert len(load(Path("reports/parity.json"))["models"]) == 1
    result = parity("run", "--model", "m.h5", "--model", "other/m.h5", *common)
    assert result.exit_code == 2
    assert "two models are called m" in result.stderr


def test_a_missing_reference_is_one_message_and_debug_adds_the_traceback(
    parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parity.reference.client import ReferenceClient

    monkeypatch.setattr("parity.run.session.ReferenceClient", ReferenceClient)
    monkeypatch.setenv("REFERENCE_PYTHON", "/no/such/python")
    arguments = ["run", *DENSE, "--method", "gradient", "--store", "empty"]
    result = parity(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no reference environment: REFERENCE_PYTHON: /no/such/python is no program")
    assert "make setup" in result.stderr
    assert result.stderr.count("\n") == 1
    result = parity("--debug", *arguments)
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr


def test_a_later_model_that_cannot_begin_costs_itself_alone(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    from parity.reference.environment import ReferenceEnvironmentError

    class Dying(EchoClient):
        def answer(self, request):
            if request.model.name == "vgg_mnist":
                raise ReferenceEnvironmentError("the disk went away")
            return super().answer(request)

    monkeypatch.setattr("parity.run.session.ReferenceClient", Dying)
    result = parity("run", *DENSE, "--model", "vgg_mnist", "--method", "gradient")
    assert result.exit_code == 2
    assert "the disk went away" in result.stderr
    assert len(load(Path("reports/parity.json"))["results"]) == 2


def test_an_unexpected_error_is_one_message_too(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments, **_options):
        raise RuntimeError("[bold]not markup[/]")

    monkeypatch.setattr("parity.report.write", broken)
    result = parity("run", *DENSE, "--method", "gradient")
    assert result.exit_code == 2
    assert "unexpected error: RuntimeError: [bold]not markup[/]" in result.stderr
    assert "Traceback" not in result.output


def test_plain_progress_is_at_most_one_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    with RunProgress(Console(stderr=True, width=120), cases=1000) as progress:
        for number in range(1000):
            progress(f"method_{number}", number)
    assert capsys.readouterr().err.splitlines() == ["[0/1000 cases] 0 s method_0"]


@pytest.mark.parametrize("width", [70, 80, 100, 160])
def test_the_progress_on_a_terminal_fits_and_keeps_its_counts(width: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn

    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    with RunProgress(console, cases=9876) as progress:
        for number in range(4):
            progress("lrpsign_sequential_composite_b_something_long", number)
    shown = [line for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[a-zA-Z]", stream.getvalue()) if "lrpsign" in line]
    assert shown
    assert re.search(r" 3/9876 cases, 0:00:0\d passed, [-:0-9]+ left", shown[-1])
    assert len(shown[-1].rstrip()) <= width
    assert any(isinstance(column, BarColumn) for column in progress._bar.columns) is (width >= 140)


def test_report_renders_again(parity) -> None:
    assert parity("run", *DENSE, "--method", "gradient").exit_code == 0
    Path("reports/parity.html").unlink()
    result = parity("report", "reports/parity.json")
    assert result.exit_code == 0
    assert "2 of 2 cases compared; 0 held to something else; 0 unjudged." in result.stdout
    assert Path("reports/parity.html").exists()
    assert parity("report", "none.json").exit_code == 2


def test_report_of_rows_that_were_set_to_mismatch_exits_1(parity) -> None:
    assert parity("run", *DENSE, "--method", "gradient").exit_code == 0
    document = load(Path("reports/parity.json"))
    for row in document["results"]:
        row["status"] = "mismatch"
    Path("reports/parity.json").write_text(json.dumps(document))
    result = parity("report", "reports/parity.json")
    assert result.exit_code == 1
    assert "0 of 1 method at parity on dense_mnist; 1 mismatch" in result.stdout
    assert Path("reports/summary.md").read_text().startswith("## Parity: FAILED")


DRIVER = """
import parity.run.session
from tests.parity.echo_client import EchoClient
parity.run.session.ReferenceClient = EchoClient
from parity.commands.cli import main
main(prog_name="parity")
"""


def test_a_real_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, "run", *DENSE, "--method", "core", "--report", str(tmp_path / "out")]
    environment = {**os.environ, "ECHO_SECONDS": "0.2"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not re.match(r"\[[1-9]\d*/\d+ cases", said):  # the first method is done
                said = process.stderr.readline()
                assert said, "the run ended too early"
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(60) == 130, rest
        finally:
            process.kill()
    assert "interrupted: the finished cases are in the report" in rest
    document = load(tmp_path / "out" / "parity.json")
    assert document["interrupted"] is True
    assert 0 < len(document["results"]) < 48
    assert not list((tmp_path / "out").glob(".*"))
