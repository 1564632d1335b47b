"""The page of tried versions, and that the lowest ones tried are the bounds that are promised."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

from bench.versions import CORNERS, HARNESS, LOWEST, PORT, SHOWN, Tried, installed, page, read

ROOT = Path(__file__).resolve().parents[2]
JUNIT = """<testsuites><testsuite tests="10" failures="1" errors="1" skipped="3">
<testcase classname="tests.a" name="broken"><failure/></testcase><testcase classname="tests.a" name="good"/>
<testcase classname="tests.b" name="lost"><error/></testcase></testsuite></testsuites>"""


def test_a_corner_is_read_and_shown(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps(dict.fromkeys(SHOWN, "1.2")))
    (tmp_path / "r.xml").write_text(JUNIT)
    tried = read(CORNERS[0].name, tmp_path / "v.json", tmp_path / "r.xml")
    assert tried == Tried(
        "lowest", dict.fromkeys(SHOWN, "1.2"), passed=5, failed=2, skipped=3, failing=("tests.a.broken", "tests.b.lost")
    )
    text = page([tried], datetime.date(2026, 11, 3))
    assert "Tried on 3 November 2026" in text
    assert "| lowest | 1.2 | 1.2 | 1.2 | 1.2 | 1.2 | 1.2 | 5 | 2 | 3 |" in text
    assert "- lowest: `tests.a.broken`" in text
    assert "Not tried, for want of the interpreter: numpy-1 (Python 3.11)" in text


def test_the_lowest_corner_has_the_promised_bounds() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    tried = dict(pin.split("==") for pin in LOWEST)
    for name in set(tried) - {"torchvision", "scipy"}:
        bound = re.search(rf'"{name}>=([\d.]+)', text)
        assert bound is not None, name
        assert re.fullmatch(rf"{re.escape(bound[1])}(\.0)*", tried[name]), name
    assert re.search(r'requires-python = ">=3\.10"', text)
    assert CORNERS[0].python == "3.10"


def test_what_is_tried_is_there() -> None:
    assert all((ROOT / name).exists() for name in (*PORT, *HARNESS))
    assert set(installed()) == set(SHOWN)
