"""`parity setup`: a whole reference environment or none, found again from anywhere. Nothing is installed here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from parity.reference import installed, interpreters, making
from parity.reference.environment import ReferenceEnvironmentError, find_python
from parity.reference.protocol import PACKAGES

pytest_plugins = ("tests.parity.command_line",)

PYTHON = """#!/bin/sh
# Plays python: says what it is, makes "environments" that hold a copy of itself, and notes what pip is asked for.
case "$*" in
    *--versions*) echo '{versions}' ;;
    *"-c import importlib"*) echo '[[3, {minor}], "'"$0"'", {venv}]' ;;
    *"-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python" ;;
    *"-m pip install"*) echo "$*" >> '{log}'; {pip} ;;
esac
"""
UV = """#!/bin/sh
# Plays uv, which knows of a Python of its own.
for last; do :; done
echo "$*" >> '{log}'
case "$*" in
    "venv "*) mkdir -p "$last/bin"; cp '{python}' "$last/bin/python" ;;
esac
"""
HAS_ALL = dict.fromkeys(("python", "worker", *PACKAGES), "1")

Fake = Callable[..., Path]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Makes a program that plays an interpreter."""

    def make(
        folder: str = "bin", minor: int = 11, venv: bool = True, pip: str = ":", versions: dict[str, str] = HAS_ALL
    ) -> Path:
        path = tmp_path / folder / f"python3.{minor}"
        path.parent.mkdir(exist_ok=True)
        text = PYTHON.format(
            versions=json.dumps(versions), minor=minor, venv=json.dumps(venv), pip=pip, log=tmp_path / "log"
        )
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user outside of a clone, whose PATH has the programs of the test alone."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("REFERENCE_PYTHON", raising=False)
    monkeypatch.setattr("parity.reference.program.CHECKOUT", tmp_path / "site-packages")
    monkeypatch.setattr(interpreters.sys, "executable", str(tmp_path / "no" / "python"))
    monkeypatch.setattr(interpreters.os, "get_exec_path", lambda: [str(tmp_path / "bin")])


def _data(tmp_path: Path) -> list[str]:
    """Return what lies in the user's data folder, the lock aside."""
    return sorted(path.name for path in (tmp_path / "data" / "parity").glob("reference-*"))


def test_it_is_made_recorded_found_and_left_alone(parity, fake: Fake, tmp_path: Path) -> None:
    fake()
    with pytest.raises(ReferenceEnvironmentError, match="no reference environment"):
        find_python()
    result = parity("setup")
    assert result.exit_code == 0, result.output
    environment, record = _data(tmp_path)
    assert record == f"reference-{installed.requirements_key()}.json"
    assert find_python() == tmp_path / "data" / "parity" / environment / "bin" / "python"
    asked = (tmp_path / "log").read_text()
    assert f"--constraint {installed.PINS} --requirement {installed.WANTED}" in asked
    assert "the reference environment is there" in parity("setup").stdout
    assert (tmp_path / "log").read_text() == asked, "nothing was installed again"


def test_a_dry_run_shows_the_commands_and_makes_nothing(parity, fake: Fake, tmp_path: Path) -> None:
    python = fake()
    first, second = parity("setup", "--dry-run").stdout.splitlines()
    assert first.startswith(f"{python} -I -m venv ")
    assert "-m pip install" in second
    assert not (tmp_path / "data").exists()


def test_what_fails_leaves_nothing(parity, fake: Fake, tmp_path: Path) -> None:
    fake(pip="exit 7")
    result = parity("setup")
    assert result.exit_code == 2
    assert "ended with exit code 7" in result.stderr
    assert _data(tmp_path) == []


def test_a_package_that_did_not_come_is_named(parity, fake: Fake, tmp_path: Path) -> None:
    fake(versions={name: version for name, version in HAS_ALL.items() if name != "signxai"})
    result = parity("setup")
    assert result.exit_code == 2
    assert "the new environment lacks signxai" in result.stderr
    assert _data(tmp_path) == []


def test_ctrl_c_leaves_nothing_new_and_what_was_there(
    parity, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake()
    parity("setup")
    before, python = _data(tmp_path), find_python()

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "package_versions", interrupted)
    result = parity("setup", "--anew")
    assert result.exit_code == 130
    assert _data(tmp_path) == before
    assert find_python() == python


def test_one_that_was_being_made_when_the_machine_stopped_does_not_count_and_goes(
    parity, fake: Fake, tmp_path: Path
) -> None:
    python = fake()
    half = tmp_path / "data" / "parity" / f"reference-{installed.requirements_key()}-half"
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").write_bytes(python.read_bytes())
    (half / "bin" / "python").chmod(0o755)
    with pytest.raises(ReferenceEnvironmentError):
        find_python()
    parity("setup")
    assert not half.exists()
    assert half not in find_python().parents


def test_made_anew_it_takes_the_place_of_the_old_one(parity, fake: Fake, tmp_path: Path) -> None:
    fake()
    parity("setup")
    before = find_python()
    assert parity("setup", "--anew").exit_code == 0
    assert find_python() != before
    assert not before.exists()
    assert len(_data(tmp_path)) == 2


def test_one_that_broke_is_made_anew(parity, fake: Fake, tmp_path: Path) -> None:
    fake()
    parity("setup")
    before = find_python()
    before.write_text("#!/bin/sh\nexit 1\n")
    result = parity("setup")
    assert "does not work and is made anew" in result.stdout
    assert find_python() != before


def test_other_requirements_ask_for_another_environment(
    parity, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake()
    parity("setup")
    pins = tmp_path / "reference.txt"
    pins.write_text("tensorflow==2.12.2\n")
    monkeypatch.setattr(installed, "PINS", pins)
    with pytest.raises(ReferenceEnvironmentError):
        find_python()


def test_a_folder_of_the_users(parity, fake: Fake, tmp_path: Path) -> None:
    fake()
    full, new = tmp_path / "full", tmp_path / "envs" / "reference"
    full.mkdir()
    (full / "thesis.tex").write_text("years of work")
    result = parity("setup", "--path", str(full))
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert (full / "thesis.tex").exists()
    assert parity("setup", "--path", str(new)).exit_code == 0
    assert find_python() == new / "bin" / "python"


# --- which Python ------------------------------------------------------------------------------------------


def test_a_python_that_will_not_do_is_refused(parity, fake: Fake) -> None:
    for arguments, words in (
        ({"minor": 12}, "is Python 3.12, and the packages of the reference are those of Python 3.11"),
        ({"venv": False}, "has no venv or no ensurepip: install one"),
    ):
        python = fake("other", **arguments)
        result = parity("setup", "--python", str(python))
        assert result.exit_code == 2
        assert words in result.stderr
    assert "--python nothing is no program on PATH" in parity("setup", "--python", "nothing").stderr


def test_no_python_that_will_do(parity, fake: Fake) -> None:
    fake(minor=12)
    fake(venv=False)
    result = parity("setup")
    assert result.exit_code == 2
    assert "there is no Python 3.11 with venv" in result.stderr
    assert "there is no uv on PATH" in parity("setup", "--installer", "uv").stderr


def test_uv_where_it_is_installed(parity, fake: Fake, tmp_path: Path) -> None:
    python = fake("elsewhere")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV.format(log=tmp_path / "log", python=python), encoding="utf-8")
    uv.chmod(0o755)
    assert parity("setup").exit_code == 0
    made, filled = (tmp_path / "log").read_text().splitlines()
    assert made.startswith("venv --python 3.11 "), "uv finds or fetches one"
    assert filled.startswith(f"pip install --python {find_python()} --constraint")
    assert "--installer" not in parity("setup", "--dry-run", "--installer", "pip", "--python", str(python)).stderr


def test_a_placeholder_of_a_version_manager_is_passed_over(fake: Fake, tmp_path: Path) -> None:
    path = fake()
    path.write_text("#!/bin/sh\necho 'python3.11: command not found' >&2; exit 127\n")
    assert list(interpreters.candidates()) == []
