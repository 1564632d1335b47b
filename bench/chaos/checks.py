"""What must hold after a run that something happened to."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.chaos.faults import processes
from bench.chaos.places import MODEL, Places

Key = tuple[str, str, str]
KNOWN = {"parity.json", "parity.html", "parity-arrays.h5", "summary.md", "junit.xml"}
"""What a finished report folder holds."""
OF_TORCH = "torchinductor_"
"""How the folder begins that torch keeps in TMPDIR for itself."""
GRACE = 10.0
"""Seconds after the end of the harness within which everything it started must be gone."""
ENDS = {0, 1, 2, 130, 143}
"""Exit codes of a harness that ends by itself."""
BY_SIGNAL = {-signal.SIGINT, -signal.SIGTERM}
"""How the system ends a process that has not begun to heed signals yet."""


def ended_well(code: int, finished: int) -> bool:
    """Return whether a harness that was not killed has ended as it should: by itself, or before it did anything.

    Parameters
    ----------
    code : int
        Its exit code.
    finished : int
        Cases that are in the report of what it has left.
    """
    return code in ENDS or (code in BY_SIGNAL and finished == 0)


def rows_of(report: Path) -> dict[Key, Mapping[str, Any]]:
    """Return the rows of a report by method, input and dtype.

    Raises
    ------
    AssertionError
        If a case is there twice.
    """
    path = report / "parity.json"
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["results"]
    keys = [(row["method"], row["input"], row["dtype"]) for row in rows]
    twice = [key for key, count in Counter(keys).items() if count > 1]
    assert not twice, f"cases that are there twice: {twice[:3]}"
    assert all(row["model"] == MODEL for row in rows)
    return dict(zip(keys, rows, strict=True))


def nothing_lives(places: Places) -> list[str]:
    """Return what is wrong: the processes that are left, after some grace; they are ended."""
    until = time.monotonic() + GRACE
    while left := list(processes(places.token)):
        if time.monotonic() > until:
            for pid, _ in left:
                subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)
            return [f"a process is left: {command[:120]}" for _, command in left]
        time.sleep(0.1)
    return []


def finished_rows_hold(places: Places, report: Path, undisturbed: Mapping[Key, Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the report of what was finished: made by `parity report`, if the run left none."""
    done = subprocess.run(
        [*places.launcher, "report", str(report)], env=places.environment(), capture_output=True, check=False
    )
    said = done.stderr.decode(errors="replace")
    wrong = [f"parity report shows a traceback: {said[-300:]}"] if "Traceback" in said else []
    try:
        rows = rows_of(report)
    except (AssertionError, ValueError, KeyError) as error:
        return [*wrong, f"the report is damaged: {error}"]
    if not rows and done.returncode == 0:
        wrong.append("parity report made a report of nothing")
    return wrong + differing(rows, undisturbed)


def differing(rows: Mapping[Key, Mapping[str, Any]], undisturbed: Mapping[Key, Mapping[str, Any]]) -> list[str]:
    """Return the finished rows that are not those of an undisturbed run; errors of a case are told by their status."""
    wrong = []
    for key, row in rows.items():
        other = undisturbed.get(key)
        if other is None:
            wrong.append(f"{key}: no such case was asked for")
        elif row["status"] == "error":
            continue  # something broke, and the row says so
        elif (row["status"], row["target"]) != (other["status"], other["target"]):
            wrong.append(f"{key}: {row['status']} in place of {other['status']}")
    return wrong


def same_numbers(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two rows are of the same maps: their sums and sizes agree to the digits of the lane."""
    close = 1e-9 if row["dtype"] == "float64" else 1e-3
    pairs = ((row[name], other[name]) for name in ("reference_sum", "subject_sum"))
    return all(abs(one - two) <= close * max(1.0, abs(two)) for one, two in pairs)


def other_inputs(report: Path, undisturbed: Path) -> list[str]:
    """Return the inputs of a report that are others than those of an undisturbed run, by their hashes."""
    hashes, expected = (
        {
            one["name"]: one["sha256"]
            for one in json.loads((folder / "parity.json").read_text(encoding="utf-8"))["inputs"]
        }
        for folder in (report, undisturbed)
    )
    return [f"{name}: not the input that lies there" for name in hashes if hashes[name] != expected.get(name)][:3]


def nothing_left_over(places: Places, report: Path) -> list[str]:
    """Return the files that are left after a run that ended well: in its report folder and in TMPDIR."""
    wrong = [f"left in the report folder: {path.name}" for path in report.iterdir() if path.name not in KNOWN]
    left = [path.name for path in places.temporary.iterdir() if not path.name.startswith(OF_TORCH)]
    wrong += [f"left in TMPDIR: {name}" for name in left]
    wrong += [f"left in the store: {path.name}" for path in places.store.rglob("*.part*")]
    return wrong
