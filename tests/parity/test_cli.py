"""The command line. TensorFlow is never started: the port answers for the reference (`EchoClient`)."""

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
import torch
from click.testing import CliRunner, Result

from parity import keras
from parity.assets.models import WEIGHTS
from parity.commands import completion
from parity.commands.cli import main
from parity.commands.progress import RunProgress
from parity.judge import verdict
from parity.reference.store import StoreError
from parity.report import load
from tests.parity.echo_client import EchoClient

ROOT = Path(__file__).resolve().parents[2]
DENSE = ["--model", "dense_mnist", "--samples", "1"]


@pytest.fixture
def parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Calls the command line in an empty folder, with the port in the reference's place."""
    monkeypatch.setattr("parity.run.session.ReferenceClient", EchoClient)
    monkeypatch.setattr("parity.reference.ReferenceClient", EchoClient)
    monkeypatch.setattr(EchoClient, "wrong", frozenset())
    monkeypatch.setattr(EchoClient, "interrupt_after", None)
    monkeypatch.delenv("PARITY_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return call


# --- run -------------------------------------------------------------------------------------------------


def test_a_green_run_exits_0_and_names_its_report(parity) -> None:
    result = parity("run", *DENSE, "--method", "gradient,lrp_z")
    assert result.exit_code == 0, result.output
    assert "All 2 methods at parity on dense_mnist" in result.stdout
    assert "report: reports/parity.html" in result.stdout
    assert len(load(Path("reports/parity.json"))["results"]) == 4
    assert "methods, 0/4 cases]" in result.stderr  # progress in plain lines


def test_a_case_that_is_not_green_exits_1(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    result = parity("run", *DENSE, "--method", "gradient,lrp_z", "--quiet")
    assert result.exit_code == 1
    assert result.output == "NOT green\n"


def test_a_judge_that_accepts_wrong_maps_exits_1(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_judge_numbers", lambda *_: verdict.Verdict("parity", None, "", 0.0))
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
    assert len(load(Path("reports/parity.json"))["results"]) == 1


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


def test_ctrl_c_keeps_the_finished_cases(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two requests for the logits, two per method.
    monkeypatch.setattr(EchoClient, "interrupt_after", 4)
    result = parity("run", *DENSE, "--method", "gradient,lrp_z")
    assert result.exit_code == 130
    assert "interrupted: the finished cases are in the report" in result.stderr
    document = load(Path("reports/parity.json"))
    assert document["interrupted"] is True
    assert {row["method"] for row in document["results"]} == {"gradient"}


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
    assert result.stderr.startswith("error: REFERENCE_PYTHON: /no/such/python is no program")
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

    monkeypatch.setattr("parity.run.session.write", broken)
    result = parity("run", *DENSE, "--method", "gradient")
    assert result.exit_code == 2
    assert "unexpected error: RuntimeError: [bold]not markup[/]" in result.stderr
    assert "Traceback" not in result.output


def test_plain_progress_is_at_most_one_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    with RunProgress(Console(stderr=True, width=120), methods=1000, cases=1000) as progress:
        for number in range(1000):
            progress(f"method_{number}", number)
    assert capsys.readouterr().err.splitlines() == ["[0/1000 methods, 0/1000 cases] 0 s method_0"]


@pytest.mark.parametrize("width", [70, 80, 100, 160])
def test_the_progress_on_a_terminal_fits_and_keeps_its_counts(width: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn

    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    with RunProgress(console, methods=1234, cases=9876) as progress:
        for number in range(4):
            progress("lrpsign_sequential_composite_b_something_long", number)
    shown = [line for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[a-zA-Z]", stream.getvalue()) if "lrpsign" in line]
    assert shown
    assert re.search(r" 3/1234 methods, 0:00:0\d passed, [-:0-9]+ left", shown[-1])
    assert len(shown[-1].rstrip()) <= width
    assert any(isinstance(column, BarColumn) for column in progress._bar.columns) is (width >= 140)


# --- convert ---------------------------------------------------------------------------------------------


def test_convert_writes_what_torch_reads_without_unpickling(parity) -> None:
    result = parity("convert", "resnet_mnist", "out.pt")
    assert result.exit_code == 0, result.output
    assert "logits on digit_0: rel. L2 0 from Keras" in result.stdout
    module = keras.load(WEIGHTS / "resnet_mnist.h5")
    for layer in module.description.layers:
        assert layer.name in result.stdout
    assert f"{module.description.parameters:,}" in result.stdout
    content = torch.load("out.pt", weights_only=True)
    module.load_state_dict(content["state_dict"], strict=True)
    assert [layer["name"] for layer in content["config"]["layers"]] == [
        layer.name for layer in module.description.layers
    ]


def test_convert_says_that_logits_were_not_checked(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    from parity.reference.client import ReferenceClient

    monkeypatch.setattr("parity.reference.ReferenceClient", ReferenceClient)
    monkeypatch.setenv("REFERENCE_PYTHON", "/no/such/python")
    result = parity("convert", "dense_mnist", "out.pt", "--store", "empty", "--quiet")
    assert result.exit_code == 0
    assert "logits: not checked: REFERENCE_PYTHON: /no/such/python" in result.stdout
    assert Path("out.pt").exists()


def test_convert_writes_nothing_when_the_logits_differ(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(EchoClient):
        def answer(self, request):
            answers = super().answer(request)
            answers[0].array = answers[0].array * 1.001
            return answers

    monkeypatch.setattr("parity.reference.ReferenceClient", Other)
    result = parity("convert", "dense_mnist", "out.pt")
    assert result.exit_code == 1
    assert "nothing was written" in result.stdout
    assert not Path("out.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.h5", "out.pt"], "there is no file missing.h5"),
        (["dense_mnist", "out.pt", "--torchvision"], "not a VGG16 or VGG19"),
        (["dense_mnist", "no/out.pt"], "there is no folder no"),
        (["bad.h5", "out.pt"], "cannot be opened as HDF5"),
    ],
)
def test_convert_refuses(parity, arguments: list[str], words: str) -> None:
    Path("bad.h5").write_bytes(b"nothing")
    result = parity("convert", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not Path("out.pt").exists()


# --- compare ---------------------------------------------------------------------------------------------


@pytest.fixture
def maps(parity) -> np.ndarray:
    array = np.random.default_rng(0).standard_normal((2, 16, 16, 3))
    np.save("a.npy", array[0])
    np.save("b.npy", array[0] * 1.01)
    np.save("zero.npy", array[0] * 0)
    np.savez("a.npz", one=array, two=array[0])
    np.savez("b.npz", one=array, two=array[0], three=array[1])
    return array


def test_compare_shows_the_metrics(parity, maps: np.ndarray) -> None:
    result = parity("compare", "a.npy", "b.npy")
    assert result.exit_code == 0
    assert "Relative L2 difference: 0.01" in result.stdout
    (row,) = json.loads(parity("compare", "a.npy", "b.npy", "--json").stdout)
    assert row["rel_l2"] == pytest.approx(0.01)
    assert row["slope"] == pytest.approx(1.01)


def test_compare_holds_to_a_limit(parity, maps: np.ndarray) -> None:
    assert parity("compare", "a.npy", "b.npy", "--rel-l2", "0.02").exit_code == 0
    result = parity("compare", "a.npy", "b.npy", "--rel-l2", "0.005")
    assert result.exit_code == 1
    assert "over the limit 0.005" in result.stdout


def test_maps_that_cannot_be_compared_fail(parity, maps: np.ndarray) -> None:
    result = parity("compare", "a.npy", "zero.npy")
    assert result.exit_code == 1
    assert "zero everywhere" in result.stdout


def test_compare_takes_archives_and_batches(parity, maps: np.ndarray) -> None:
    result = parity("compare", "a.npz", "b.npz", "--key", "one", "--key", "two")
    assert result.exit_code == 0, result.output
    assert "one[0]" in result.stdout
    assert "one[1]" in result.stdout
    assert "two" in result.stdout
    result = parity("compare", "a.npz", "b.npz")
    assert result.exit_code == 2
    assert "array 'three' is in b.npz but not in a.npz" in result.stderr


def test_compare_moves_channels(parity, maps: np.ndarray) -> None:
    first = np.moveaxis(maps[0], -1, 0)
    noisy = first + 0.3 * np.random.default_rng(1).standard_normal(first.shape)
    np.save("first.npy", first)
    np.save("noisy.npy", noisy)
    np.save("last.npy", np.moveaxis(noisy, 0, -1))
    (moved,) = json.loads(parity("compare", "first.npy", "noisy.npy", "--channels-first", "--json").stdout)
    (plain,) = json.loads(parity("compare", "a.npy", "last.npy", "--json").stdout)
    assert moved["ssim"] == pytest.approx(plain["ssim"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.npy", "missing.npy"], "there is no file missing.npy"),
        (["a.npy", "text.txt"], "must end in .npy or .npz"),
        (["a.npy", "objects.npy"], "never unpickled"),
        (["a.npz", "b.npz", "--key", "four"], "has no array 'four'"),
        (["a.npy", "words.npy"], "real numbers are needed"),
    ],
)
def test_compare_refuses(parity, maps: np.ndarray, arguments: list[str], words: str) -> None:
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("words.npy", np.array(["a"]))
    result = parity("compare", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


# --- doctor ----------------------------------------------------------------------------------------------

FAKE_PYTHON = """#!/bin/sh
case "$*" in
    *--versions*) echo '{versions}' ;;
    *) {start} ;;
esac
"""
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pillow", "innvestigate", "signxai")


def _fake_python(path: Path, versions: dict[str, str], start: str) -> str:
    path.write_text(FAKE_PYTHON.format(versions=json.dumps(versions), start=start))
    path.chmod(0o755)
    return str(path)


def _doctor(parity, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    result = parity("doctor", "--json", "--store", "store", *arguments)
    found = json.loads(result.stdout)
    assert found["ok"] == (result.exit_code == 0)
    return result.exit_code, {check["name"]: check for check in found["checks"]}


def test_doctor_finds_all_well(parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = dict.fromkeys((*PACKAGES, "python"), "1")
    start = """echo '{"event": "ready", "versions": {"tensorflow": "1"}}'"""
    monkeypatch.setenv("REFERENCE_PYTHON", _fake_python(tmp_path / "python", versions, start))
    code, checks = _doctor(parity)
    assert code == 0, checks
    assert checks["signxai worker"]["status"] == "ok"
    assert " methods, explains" in checks["signxai_torch"]["detail"]
    assert "made on first use" in checks["store"]["detail"]


def test_doctor_finds_a_missing_reference(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFERENCE_PYTHON", "/no/such/python")
    code, checks = _doctor(parity)
    assert code == 2
    assert checks["reference interpreter"]["status"] == "failed"
    assert checks["reference interpreter"]["mend"].startswith("make setup")
    result = parity("doctor", "--quick")
    assert result.exit_code == 2
    assert "✗ failed" in result.stdout
    assert "mend: make setup" in result.stdout


def test_doctor_finds_a_package_that_is_missing(parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = dict.fromkeys((*PACKAGES[:-1], "python"), "1")
    monkeypatch.setenv("REFERENCE_PYTHON", _fake_python(tmp_path / "python", versions, "exit 1"))
    code, checks = _doctor(parity)
    assert code == 2
    assert "lacks signxai" in checks["reference packages"]["detail"]


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("""echo '{"event": "failed", "error": "ImportError: libcuda"}'""", "ImportError: libcuda"),
        ("echo Segmentation fault >&2; exit 139", "ended with exit code 139: Segmentation fault"),
    ],
)
def test_doctor_finds_a_reference_that_does_not_start(
    parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str, words: str
) -> None:
    versions = dict.fromkeys((*PACKAGES, "python"), "1")
    monkeypatch.setenv("REFERENCE_PYTHON", _fake_python(tmp_path / "python", versions, start))
    code, checks = _doctor(parity)
    assert code == 2
    assert checks["signxai worker"]["status"] == "failed"
    assert words in checks["signxai worker"]["detail"]
    code, checks = _doctor(parity, "--quick")
    assert code == 0
    assert "signxai worker" not in checks


def test_doctor_finds_a_broken_package_and_a_store_that_is_a_file(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zennit", None)  # its import raises
    monkeypatch.setenv("REFERENCE_PYTHON", "/no/such/python")
    Path("store").write_text("a file")
    code, checks = _doctor(parity)
    assert code == 2
    assert "zennit" in checks["port packages"]["detail"]
    assert checks["port packages"]["mend"].startswith("make setup")
    assert checks["store"]["status"] == "failed"


# --- the rest --------------------------------------------------------------------------------------------


def test_every_command_has_examples(parity) -> None:
    assert "_PARITY_COMPLETE=bash_source" in parity("--help").stdout
    for name in main.commands:
        text = parity(name, "--help").stdout
        assert "Examples:" in text
        assert f"parity {name}" in text


def test_lists(parity) -> None:
    assert parity("methods", "lrp_flat").stdout.startswith("lrp_flat ")
    assert json.loads(parity("methods", "--json", "lrp_flat").stdout)["family"] == "lrp"
    assert "vgg_mnist" in parity("models").stdout
    assert parity("methods", "nope").exit_code == 2


def test_what_is_made_on_demand_is_not_called_absent(parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parity.assets.seeded.cached_path", lambda name: tmp_path / f"{name}.h5")
    monkeypatch.setattr("parity.assets.models._in_keras_cache", lambda name: tmp_path / name)
    monkeypatch.delenv("PARITY_VGG16", raising=False)
    lines = {line.split()[0]: line for line in parity("models").stdout.splitlines()}
    assert "(made on demand) VGG16 architecture" in lines["vgg16-seeded"]
    assert "absent" not in lines["vgg16-seeded"]
    assert lines["vgg16"].count("absent") == 1
    facts = {one["name"]: one for one in map(json.loads, parity("models", "--json").stdout.splitlines())}
    assert [facts[name]["on_demand"] for name in ("vgg_mnist", "vgg16", "vgg16-seeded")] == [False, False, True]
    _, checks = _doctor(parity, "--quick")
    assert checks["vgg16-seeded"]["status"] == "ok"
    assert checks["vgg16-seeded"]["detail"].startswith("made on demand: ")
    assert checks["vgg16"]["status"] == "absent"


def test_report_renders_again(parity) -> None:
    assert parity("run", *DENSE, "--method", "gradient").exit_code == 0
    Path("reports/parity.html").unlink()
    assert parity("report", "reports/parity.json").exit_code == 0
    assert Path("reports/parity.html").exists()
    assert parity("report", "none.json").exit_code == 2


def test_completion_of_methods_and_models(parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "user_cache_path", lambda _name: tmp_path / "cache")

    def complete(words: str) -> list[str]:
        environment = {"_PARITY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return CliRunner().invoke(main, env=environment, prog_name="parity").stdout.split()

    assert "plain,lrp_flat_x_input" in complete("parity run --method lrp_flat")
    assert (tmp_path / "cache" / "method-names.json").exists()
    assert "plain,lrp_z,core" in complete("parity run --method lrp_z,co")
    assert "plain,dense_mnist" in complete("parity run --model dense")
    assert "plain,resnet_mnist" in complete("parity convert res")
    # A damaged cache is made anew.
    (tmp_path / "cache" / "method-names.json").write_text("[")
    assert "plain,lrp_flat" in complete("parity methods lrp_flat")


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
            while not re.match(r"\[[1-9]\d*/24 methods", said):  # the first method is done
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


def test_a_closed_pipe_and_no_color() -> None:
    command = f"{sys.executable} -m parity models | head -c 5"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1"}
    failed = subprocess.run(
        [sys.executable, "-m", "parity", "report", "none.json"], cwd=ROOT, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 2
    assert "\x1b[31" not in failed.stderr
    assert "\x1b[1;31" not in failed.stderr
