"""`parity doctor` and `parity models`: what is there, what is missing, and what mends it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest_plugins = ("tests.parity.command_line",)


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
