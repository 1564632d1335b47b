"""macOS and Windows, as far as Linux can play them: without what they lack, everything still works."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parity import system
from parity.claimed import ClaimedFolder, left
from parity.paths import command_line
from parity.reference.program import CHECKOUT, ProgramError, named_program
from parity.run.journal import Journal

LACKING = Path(__file__).with_name("lacking_system.py")
EVERYTHING = """
import numpy, torch, signxai_torch
from parity.commands.cli import main

model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 3))
relevance = signxai_torch.explain(model, torch.ones(1, 1, 4, 4), "lrp_z", target=1)
assert relevance.shape == (1, 1, 4, 4) and numpy.isfinite(relevance).all()
main(["methods", "lrp_z"], standalone_mode=False)
main("run --offline --model dense_mnist --samples 1 --method lrp_z --traces 0".split(), prog_name="parity")
"""


def _python(name: str, folder: Path, *arguments: str) -> str:
    """Run Python as if on another system; return its output."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PARITY_STORE": str(folder / "store")}
    done = subprocess.run(
        [sys.executable, str(LACKING), name, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["macos", "windows"])
def test_an_explanation_the_methods_and_a_run_with_packed_references(name: str, tmp_path: Path) -> None:
    script = tmp_path / "everything.py"
    script.write_text(EVERYTHING, encoding="utf-8")
    said = _python(name, tmp_path, str(script))
    assert "lrp_z " in said
    assert "at parity on dense_mnist" in said
    assert (tmp_path / "reports" / "parity.html").is_file()


def test_a_file_is_looked_at_by_a_process_without_limits(tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    np.save(tmp_path / "x.npy", np.zeros(3))
    script.write_text(
        "from pathlib import Path; from parity.assets.arrays import read_arrays\n"
        "from parity.errors import ParityError\n"
        "Path('bad.npy').write_bytes(Path('x.npy').read_bytes()[:90])\n"
        "assert [array.shape for _, array in read_arrays(Path('x.npy'))] == [(3,)]\n"
        "try:\n    list(read_arrays(Path('bad.npy')))\nexcept ParityError as error:\n    print(error)\n",
        encoding="utf-8",
    )
    assert "bad.npy" in _python("windows", tmp_path, str(script))


# --- one thing at a time -----------------------------------------------------------------------------------


def test_a_journal_without_reading_at_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    monkeypatch.delattr(os, "pwrite")
    maps = {"a": np.arange(5.0), "b": np.ones((2, 3))}
    journal = Journal.make(tmp_path)
    places = [journal.append({"case": number}, maps) for number in range(3)]
    for (place, record), number in zip(journal.records(), range(3), strict=True):
        assert place == places[number]
        found = journal.arrays(record)  # moves in one file while the other is read line by line
        assert journal.record(places[0])["case"] == 0
        assert record["case"] == number
        assert found is not None
        assert all(np.array_equal(found[name], array) for name, array in maps.items())


def test_a_folder_is_claimed_where_open_files_keep_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, refused = Path.rename, []

    def once(path: Path, target: Path) -> Path:
        if not refused:
            refused.append(path)
            raise PermissionError(13, "The process cannot access the file because it is being used", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", once)
    with ClaimedFolder.make(tmp_path, "work-") as claimed:
        assert refused
        assert claimed.path.name.startswith("work-")
        assert list(left(tmp_path, "work-")) == [], "it is held"
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_where_there_are_no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "killpg")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], **system.own_group()) as process:
        system.end_group(process)
        assert process.returncode


def test_what_windows_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(system, "WINDOWS", True)
    assert system.environment_python(tmp_path) == tmp_path / "Scripts" / "python.exe"
    assert "start_new_session" not in system.own_group()
    assert command_line(["parity", "run", "--inputs", r"C:\my photos\x.npy"]) == (
        r'parity run --inputs "C:\my photos\x.npy"'
    )


def test_a_path_with_either_separator_is_no_name_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sep", "\\")
    monkeypatch.setattr(os, "altsep", "/")
    for text in (r".\python", "./python"):
        with pytest.raises(ProgramError, match="absolute path"):
            named_program(text)


def test_memory_where_the_system_has_no_sysconf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert system.installed_memory() == system.UNKNOWN_MEMORY

    def status(pointer: object) -> int:
        pointer._obj.total = 8 << 30
        return 1

    monkeypatch.setattr(
        ctypes, "windll", SimpleNamespace(kernel32=SimpleNamespace(GlobalMemoryStatusEx=status)), raising=False
    )
    assert system.installed_memory() == 8 << 30


def test_cores_and_owners_where_the_system_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "getuid")
    assert system.allowed_cores() == os.cpu_count()
    assert system.is_mine(tmp_path.stat())


def test_the_worker_measures_itself_without_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "resource", None)
    assert system.largest_memory() == 0
    before = system.work_so_far()
    sum(range(100_000))
    assert system.work_so_far() >= before
