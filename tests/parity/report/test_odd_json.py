"""`parity report` of files that somebody else made: a report, or one sentence and exit 2."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from parity.commands.cli import main
from parity.run.strict_json import DEEPEST, parse
from tests.parity.report.synthetic import small_run

pytestmark = pytest.mark.slow


def report(path: Path, *more: object) -> Result:
    out = path.parent / "out"
    return CliRunner().invoke(main, ["report", str(path), "--out", str(out), *map(str, more)])


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


TEXTS = {
    "an array deeper than the parser": deep(200_000),
    "an object deeper than the parser": '{"a":' * 200_000 + "1" + "}" * 200_000,
    "deep and not closed": "[" * 200_000,
    "somewhat too deep": deep(DEEPEST + 2),
    "a deep field": '{"schema": 1, "results": ' + deep(900) + "}",
    "an integer of 5,000 digits": '{"schema": ' + "1" * 5_000 + "}",
    "an integer of 200 digits": '{"schema": 1, "seconds": ' + "1" * 200 + "}",
    "NaN": '{"schema": 1, "seconds": NaN}',
    "infinity": '{"schema": 1, "seconds": -Infinity}',
    "a number that overflows": '{"schema": 1, "seconds": 1e999}',
    "a key twice": '{"schema": 1, "schema": 1}',
    "a list": "[1]",
    "a word": "null",
    "nothing": "",
    "no JSON": "{'schema': 1}",
    "two values": "{} {}",
    "another schema": '{"schema": [1]}',
    "a schema that is true": '{"schema": true}',
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("as_previous", [False, True])
def test_text(case: str, as_previous: bool, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(TEXTS[case])
    if as_previous:
        good, _ = small_run(tmp_path)
        (tmp_path / "good.json").write_text(json.dumps(good))
        result = report(tmp_path / "good.json", "--previous", path)
    else:
        result = report(path)
    assert result.exit_code == 2
    assert "odd.json" in result.output
    assert "unexpected error" not in result.output
    assert "Traceback" not in result.output
    assert len(result.output) < 1_000


def test_what_is_deep_enough_is_read() -> None:
    assert parse(deep(DEEPEST))
    with pytest.raises(ValueError, match="nested deeper than 64"):
        parse(deep(DEEPEST + 1))


JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    10**30,
    1e300,
    -1e-300,
    "",
    "../../x",
    "half \ud800",
    "\x1b[2J",
    [],
    {},
    [[]],
    {"a": {}},
    [None],
]


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(inner for key, item in items for inner in _places(item, (*place, key)))]


def test_damaged_results_make_a_report_or_a_sentence(tmp_path: Path) -> None:
    good, _ = small_run(tmp_path)
    good = json.loads(json.dumps(good))
    good["results"] = good["results"][:12]
    rng = random.Random(15)
    places = [place for place in _places(good) if place]
    codes = set()
    for _ in range(40):
        document = copy.deepcopy(good)
        *way, last = rng.choice(places)
        parent = document
        for key in way:
            parent = parent[key]
        parent[last] = copy.deepcopy(rng.choice(JUNK))
        path = tmp_path / "odd.json"
        path.write_text(json.dumps(document))
        result = report(path)
        assert result.exit_code in (0, 1, 2), (way, last, parent)
        assert "unexpected error" not in result.output, (way, last, parent[last], result.output)
        assert "\x1b" not in result.output
        codes.add(result.exit_code)
    assert 2 in codes
