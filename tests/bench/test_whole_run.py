"""The command itself on the toy network, in a process of its own as `make bench` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.document import load

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("pytest_benchmark")


def bench(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # As from a shell: pytest-benchmark would measure nothing where it believes itself one of xdist's workers.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "bench", "--model", "toy", "--rounds", "2", "--threads", "1", "--no-reference"]
    return subprocess.run(
        [*command, "--report", str(directory), *options],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    directory = tmp_path_factory.mktemp("bench")
    return directory, bench(directory, "--method", "lrp_epsilon_0_1")


def test_it_writes_its_files_and_ends_well(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    directory, process = done
    assert process.returncode == 0, process.stderr
    assert {path.name for path in directory.iterdir()} == {"bench.json", "bench.html", "bench-rounds.json"}
    assert "limits: 0 met" in process.stdout


def test_every_number_is_there(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    document = load(done[0] / "bench.json")
    times: dict[tuple[int, str], dict[str, Any]] = {(one["batch"], one["contender"]): one for one in document["times"]}
    assert {batch for batch, _ in times} == {1, 16, 64}
    for one in times.values():
        assert 0 < one["min"] <= one["median"] <= one["max"]
        assert one["rounds"] == 2
        assert one["ratio"] == pytest.approx(one["median"] / one["unit"])
    assert times[1, "zennit"]["cosine"] == pytest.approx(1, abs=1e-4)
    peaks = {one["contender"]: one["peak_bytes"] for one in document["memory"]}
    assert set(peaks) == {"unit", "signxai_torch"}
    assert min(peaks.values()) > 0
    assert document["machine"]["threads"] == 1
    assert document["versions"]["torch"]


def test_what_was_not_measured_is_told(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    directory, process = done
    absent = load(directory / "bench.json")["absent"]
    assert [one["case"]["contender"] for one in absent if one["kind"] == "unavailable"] == ["tensorflow"]
    assert "told to do without the reference" in process.stdout
    assert "not measured" in (directory / "bench.html").read_text(encoding="utf-8")


def test_rounds_file_does_not_name_the_machine(done: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    rounds = json.loads((done[0] / "bench-rounds.json").read_text(encoding="utf-8"))
    assert "node" not in rounds["machine_info"]


def test_strict_fails_on_limits_and_renders_again(
    done: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    process = bench(tmp_path, "--render", str(done[0] / "bench.json"), "--strict")
    assert process.returncode == 1
    assert (tmp_path / "bench.html").read_text() == (done[0] / "bench.html").read_text()


@pytest.mark.parametrize("wrong", [("--method", "no_such"), ("--render", "no-such.json")])
def test_usage_errors(wrong: tuple[str, str], tmp_path: Path) -> None:
    process = bench(tmp_path, *wrong)
    assert process.returncode == 2
    assert process.stderr.startswith("bench: ")
    assert "Traceback" not in process.stderr


def test_a_device_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    process = bench(tmp_path, "--device", "nowhere")
    assert process.returncode == 2
    assert "torch has no device 'nowhere' here" in process.stderr
    assert not list(tmp_path.iterdir())
