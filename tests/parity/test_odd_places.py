"""Places that are not to be trusted, or not there: the working folder, a program that hangs, a home, a disk."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from parity.assets.models import resolve
from parity.errors import ParityError
from parity.reference.environment import ReferenceEnvironmentError, find_python, package_versions, worker_environment
from parity.reference.process import WorkerError, WorkerProcess
from parity.reference.program import ProgramError, ask, named_program
from parity.run.reference_side import ReferenceSide
from parity.run.subjects import subject
from tests.parity.echo_client import EchoClient

pytestmark = pytest.mark.slow

pytest_plugins = ("tests.parity.command_line",)

ROOT = Path(__file__).resolve().parents[2]


def _program(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/sh", *lines, "")), encoding="utf-8")
    path.chmod(0o755)
    return path


def _gone(pid: int) -> bool:
    """Return whether a process has ended, or ends within a second; a zombie has."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


# --- the working folder ------------------------------------------------------------------------------------


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder full of programs and modules that leave a note when they are run."""
    note = tmp_path / "sprung"
    folder = tmp_path / "under review"
    for name in (".venv-reference/bin/python", ".venv-signxai2/bin/python", ".venv/bin/python", "python", "bin/python"):
        _program(folder / name, f"echo '{name}' >> '{note}'")
    for name in ("numpy", "json", "tensorflow", "h5py", "sitecustomize", "usercustomize", "matplotlib", "parity"):
        (folder / f"{name}.py").write_text(f"open({str(note)!r}, 'a').write({name!r})\n", encoding="utf-8")
    (folder / "matplotlibrc").write_text("image.lut: 2\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REFERENCE_PYTHON", raising=False)
    monkeypatch.delenv("SIGNXAI2_PYTHON", raising=False)
    yield note
    assert not note.exists(), f"run from the working folder: {note.read_text()}"


def test_no_interpreter_of_the_working_folder_is_run(
    trap: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("parity.reference.program.CHECKOUT", tmp_path / "clone")
    monkeypatch.setattr("parity.reference.installed.data_folder", lambda: tmp_path / "data")
    with pytest.raises(ReferenceEnvironmentError, match="make setup"):
        find_python()
    with pytest.raises(ParityError, match="make subjects"):
        subject("signxai2")


@pytest.mark.parametrize("setting", ["./python", "bin/python", ".venv/bin/python", "../under review/python"])
def test_a_setting_that_depends_on_the_working_folder_is_refused(
    trap: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("REFERENCE_PYTHON", setting)
    monkeypatch.setenv("SIGNXAI2_PYTHON", setting)
    with pytest.raises(ReferenceEnvironmentError, match="give an absolute path"):
        find_python()
    with pytest.raises(ParityError, match="give an absolute path"):
        subject("signxai2")


@pytest.mark.parametrize("path", [".", "", "bin", ".:bin:", "./bin"])
def test_a_name_is_not_found_through_a_relative_folder_of_path(
    trap: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("PATH", path)
    with pytest.raises(ProgramError, match="no program on PATH"):
        named_program("python")
    monkeypatch.setenv("PATH", f"{path}:{Path(sys.executable).parent}")
    assert named_program("python").parent == Path(sys.executable).parent


def test_an_interpreter_imports_nothing_from_the_working_folder(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ".")
    monkeypatch.setenv("PYTHONUSERBASE", ".")
    assert package_versions(Path(sys.executable))["worker"]
    monkeypatch.setenv("SIGNXAI2_PYTHON", sys.executable)
    with pytest.raises(ParityError, match="has no signxai2"):
        subject("signxai2")


def test_a_worker_does_not_stand_in_the_working_folder(trap: Path, tmp_path: Path) -> None:
    program = tmp_path / "told.py"
    told = "import json, os; print(json.dumps({'event': 'ready', 'versions': {'cwd': os.getcwd()}}))"
    program.write_text(told, encoding="utf-8")
    process = WorkerProcess([sys.executable, "-s", str(program)], worker_environment(), tmp_path / "log")
    try:
        assert process.begin(20.0) == {"cwd": "/"}
    finally:
        process.kill()


def test_the_command_line_runs_and_reads_nothing_of_the_working_folder(trap: Path, tmp_path: Path) -> None:
    """The installed program, whose `sys.path` has no working folder; its pictures need no matplotlib."""
    command = (
        "import sys, parity.report, parity.run.session, parity.testing.plugin; from parity.commands.cli import main; "
        "assert 'matplotlib' not in sys.modules, 'it reads a matplotlibrc that lies there'; main(['models'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# --- no home, no room --------------------------------------------------------------------------------------


@pytest.fixture(params=["no entry", "empty", "relative"])
def homeless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home folder, as a container has."""
    for name in ("HOME", "XDG_CACHE_HOME", "PARITY_CACHE", "KERAS_HOME", "PARITY_VGG16", "PARITY_VGG19"):
        monkeypatch.delenv(name, raising=False)
    if request.param == "no entry":
        monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    else:
        monkeypatch.setenv("HOME", "" if request.param == "empty" else "here")


def test_models_doctor_and_report_need_no_home_folder(
    parity, homeless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = parity("models")
    assert result.exit_code == 0, result.output
    assert "vgg_mnist" in result.stdout
    monkeypatch.setenv("REFERENCE_PYTHON", "/no/such/python")
    assert "models" in parity("doctor", "--quick").stdout
    assert parity("run", "--model", "dense_mnist", "--samples", "1", "--method", "lrp_z").exit_code == 0
    assert parity("report", "reports/parity.json").exit_code == 0
    assert {one.name for one in tmp_path.iterdir()} == {"reports"}, "no folder called ~ or here"


def test_what_needs_a_home_folder_says_so(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("PARITY_CACHE", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    for model, words in (
        ("vgg16-seeded", "PARITY_CACHE can name a folder"),
        ("vgg16", "PARITY_VGG16"),
        ("~/x.h5", "home"),
    ):
        result = parity("run", "--model", model, "--method", "lrp_z")
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert words in result.stderr


def test_a_network_that_cannot_be_written_is_the_environments_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    source = resolve("dense_mnist")
    side = ReferenceSide(EchoClient(), source, source.load("float64").description)
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with pytest.raises(ReferenceEnvironmentError, match=r"cannot write a network to .*have TMPDIR name another folder"):
        side._written_once(("any",), side._read)


# --- programs that hang ------------------------------------------------------------------------------------


def test_an_interpreter_that_hangs_is_named_with_what_it_wrote_and_leaves_no_child(tmp_path: Path) -> None:
    child = tmp_path / "child"
    lines = ("echo waiting for the licence server", "echo no answer >&2", f"sleep 600 & echo $! > '{child}'", "wait")
    python = _program(tmp_path / "python", *lines)
    begun = time.monotonic()
    with pytest.raises(ReferenceEnvironmentError) as error:
        package_versions(python, timeout=0.5)
    assert time.monotonic() - begun < 5
    assert f"{python} hangs: no answer for 0.5 s" in str(error.value)
    assert "waiting for the licence server | no answer" in str(error.value)
    assert "make setup" in str(error.value)
    assert _gone(int(child.read_text()))


def test_a_child_that_an_interpreter_leaves_is_ended_and_costs_no_answer(tmp_path: Path) -> None:
    child = tmp_path / "child"
    python = _program(tmp_path / "python", f"sleep 600 & echo $! > '{child}'", 'echo \'{"worker": "1"}\'')
    assert package_versions(python, timeout=1.0) == {"worker": "1"}
    assert _gone(int(child.read_text()))


def test_what_a_program_wrote_cannot_steer_the_terminal(tmp_path: Path) -> None:
    python = _program(tmp_path / "python", r"printf 'a\033]0;owned\007b'; sleep 600")
    with pytest.raises(ProgramError) as error:
        ask([str(python)], {}, 0.5)
    assert "\033" not in str(error.value)
    assert "owned" in str(error.value)


def test_an_import_that_stands_still_is_told_by_the_worker_itself(tmp_path: Path) -> None:
    """The real worker program, beside a `tensorflow` that waits for ever."""
    (tmp_path / "tensorflow.py").write_text("import time\ntime.sleep(600)\n", encoding="utf-8")
    script = tmp_path / "start.py"
    worker = ROOT / "parity" / "reference" / "worker" / "main.py"
    script.write_text(
        f"import runpy, sys\nsys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from parity.reference.worker import main\nmain.STILL_SECONDS = 1.0\n"
        "sys.exit(main.main(['--mode', 'signxai']))\n",
        encoding="utf-8",
    )
    assert worker.is_file()
    process = WorkerProcess([sys.executable, "-s", str(script)], worker_environment(), tmp_path / "log")
    try:
        with pytest.raises(WorkerError, match=r"it hangs: nothing for 1 s, at .*tensorflow\.py:2") as error:
            process.begin(60.0)
        assert error.value.kind == "environment"
    finally:
        process.kill()


def test_a_run_says_that_the_reference_hangs_though_the_store_has_every_answer(
    parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EchoClient, "unable", "/opt/python hangs: no answer for 15 s; it wrote: nothing")
    result = parity("run", "--method", "lrp_z", "--samples", "1", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "green\n")
    assert "note: no reference could be asked: /opt/python hangs" in result.stderr
