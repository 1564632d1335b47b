"""Folders of work under way, held while their process lives; files that take their places together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parity.claimed import LOCK, ClaimedFolder, left, sweep
from parity.run.results import STAGING, write_together

ROOT = Path(__file__).resolve().parents[2]
MAKER = """
import sys
from pathlib import Path
from parity.claimed import ClaimedFolder
folder = ClaimedFolder.make(Path(sys.argv[1]), "work-")
(folder.path / "half").write_text("half a file")
print(folder.path.name, flush=True)
sys.stdin.read()
"""


def test_a_folder_is_held_while_its_process_lives_and_swept_when_it_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = tmp_path / process.stdout.readline().strip()
        sweep(tmp_path, "work-")
        assert list(left(tmp_path, "work-")) == []
        assert (path / "half").exists()
        process.kill()
    sweep(tmp_path, "other-")
    assert path.exists()
    sweep(tmp_path, "work-")
    assert list(tmp_path.iterdir()) == []


def test_a_claimed_folder_is_nobody_else_s(tmp_path: Path) -> None:
    with ClaimedFolder.make(tmp_path, "work-") as made:
        assert ClaimedFolder.claim(made.path) is None
        made.release()
        again = ClaimedFolder.claim(made.path)
        assert again is not None
    assert ClaimedFolder.claim(made.path) is None, "it is gone"


def test_what_is_no_folder_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "work-file").write_text("a file")
    (tmp_path / "work-folder").mkdir()  # without a lock
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / LOCK).touch()
    (tmp_path / "work-link").symlink_to("target")
    sweep(tmp_path, "work-")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target", "work-file", "work-folder", "work-link"]


def test_a_folder_that_never_got_its_name_goes_after_a_while(tmp_path: Path) -> None:
    for name, age in ((".new-old", 3600), (".new-young", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / LOCK).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    sweep(tmp_path, "work-")
    assert [path.name for path in tmp_path.iterdir()] == [".new-young"]


def test_a_folder_whose_maker_died_before_it_was_locked_goes_after_an_hour(tmp_path: Path) -> None:
    for name, age in ((".new-old", 3700), (".new-young", 300), (".new-somebody-s", 3700)):
        (tmp_path / name).mkdir()
        if name == ".new-somebody-s":
            (tmp_path / name / "file").touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    sweep(tmp_path, "work-")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-somebody-s", ".new-young"]


def test_files_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_together({one: "1", two: ["2", "caf\udce9"]})
    assert two.read_bytes() == b"2caf\\udce9"

    def broken():
        yield "half"
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_together({one: "new", two: broken()})
    assert (one.read_text(), two.read_text()) == ("1", "2caf\\udce9")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_killed_writer_s_half_files_are_gone_after_the_next(tmp_path: Path) -> None:
    left_behind = ClaimedFolder.make(tmp_path, STAGING)
    (left_behind.path / "parity.json").write_text("{")
    left_behind.release()
    write_together({tmp_path / "one": "1"})
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
