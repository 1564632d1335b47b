"""A made-up run: no network, no clock. Every figure is chosen so that the table and the limits can be told by eye."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.limits import judge

FIXTURE = Path(__file__).with_name("made_up_run.json")


def run() -> dict[str, Any]:
    """Return the checked-in run, its limits judged now."""
    document: dict[str, Any] = json.loads(FIXTURE.read_text(encoding="utf-8"))
    return document | {"limits": judge(document)}


def time_of(document: dict[str, Any], method: str, contender: str) -> dict[str, Any]:
    """Return the entry of one timed case, to be changed."""
    found = [one for one in document["times"] if (one["method"], one["contender"]) == (method, contender)]
    assert len(found) == 1
    return found[0]
