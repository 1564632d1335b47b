"""The soak: a short one, without TensorFlow, and that it sees what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from random import Random

import pytest

from bench.chaos import checks
from bench.chaos.checks import ended_well
from bench.chaos.faults import FAULTS, processes
from bench.chaos.places import MODEL, TOKEN, Places
from bench.chaos.soak import soak

LAUNCHER = """
import sys
import parity.run.session, parity.reference
from tests.parity.echo_client import EchoClient
parity.run.session.ReferenceClient = parity.reference.ReferenceClient = EchoClient
from parity.commands.cli import main
sys.argv[0] = "parity"
main()
"""
"""Stands for `parity`: the port answers for the references."""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path, uuid.uuid4().hex, (sys.executable, "-c", LAUNCHER))


@pytest.mark.slow
def test_finished_work_outlives_what_happens(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_SECONDS", "0.05")
    said: list[str] = []
    found = soak(places, seed=5, inputs=20, goes_on=lambda count, _: count < 4, tell=said.append)
    assert found.failures == []
    assert found.rounds == len(said) == 4
    assert sum(found.faults.values()) == 4


def rows(folder: Path, *rows: dict) -> Path:
    folder.mkdir(exist_ok=True)
    full = [{"model": MODEL, "method": "gradient", "input": "x", "dtype": "float64", "status": "parity", "target": 3}
            | row for row in rows]  # fmt: skip
    (folder / "parity.json").write_text(json.dumps({"results": full}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("code", "finished", "well"),
    [(0, 9, True), (143, 9, True), (-15, 0, True), (-2, 0, True), (-15, 1, False), (-2, 240, False), (-11, 0, False),
     (3, 0, False)],
)  # fmt: skip
def test_a_signal_may_end_a_run_that_has_finished_nothing_and_no_other(code: int, finished: int, well: bool) -> None:
    assert ended_well(code, finished) is well


def test_a_case_that_is_there_twice_is_seen(tmp_path):
    with pytest.raises(AssertionError, match="twice"):
        checks.rows_of(rows(tmp_path, {}, {}))


def test_a_row_that_is_another_than_undisturbed_is_seen(tmp_path):
    undisturbed = checks.rows_of(rows(tmp_path / "a", {}, {"dtype": "float32"}))
    assert checks.differing(undisturbed, undisturbed) == []
    other = checks.rows_of(rows(tmp_path / "b", {"status": "mismatch"}, {"input": "y"}, {"dtype": "float32",
                                                                                    "status": "error"}))  # fmt: skip
    wrong = checks.differing(other, undisturbed)
    assert len(wrong) == 2
    assert "mismatch in place of parity" in wrong[0]
    assert "no such case" in wrong[1]


def test_a_file_that_is_left_is_seen(places: Places):
    places.make(1, 0)
    report = rows(places.report("one"), {})
    assert checks.nothing_left_over(places, report) == []
    (report / ".parity-arrays.h5.1.part").touch()
    (places.temporary / "exchange").mkdir()
    (places.temporary / "torchinductor_user").mkdir()
    assert len(checks.nothing_left_over(places, report)) == 2


def test_a_process_that_is_left_is_seen_and_ended(places: Places, monkeypatch):
    monkeypatch.setattr(checks, "GRACE", 0.2)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=places.environment())
    try:
        assert [pid for pid, _ in processes(places.token)] == [process.pid]
        (wrong,) = checks.nothing_lives(places)
        assert "a process is left" in wrong
        assert process.wait(10) == -9
        assert checks.nothing_lives(places) == []
    finally:
        process.kill()
    assert places.environment()[TOKEN] == places.token


def test_each_fault_is_told_and_damages_what_it_says(places: Places):
    places.make(2, 0)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    before = {path: path.read_bytes() for path in places.inputs.iterdir()}
    (damage,) = [fault.before for fault in FAULTS if fault.name == "input_damaged"]
    undo = damage(Random(1), places)
    assert sum(path.read_bytes() != content for path, content in before.items()) == 1
    undo()
    assert {path: path.read_bytes() for path in places.inputs.iterdir()} == before
