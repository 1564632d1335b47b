"""Runs a subject that comes in through the door against the references, and says what is red."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from parity.assets.inputs import Input, default_inputs
from parity.assets.models import resolve
from parity.assets.source import ModelSource
from parity.judge.verdict import NOT_COUNTED, is_ok
from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError, find_python
from parity.run.cases import DTYPES, Plan
from parity.run.runner import Runner
from parity.run.subjects import Subject, subject
from tests.fuzz.networks import write
from tests.parity import wrong_ports

Row = dict[str, Any]
Written = tuple[ModelSource, Input]
REGRESSIONS = Path(__file__).parents[1] / "fuzz" / "regressions"


def port(name: str) -> Subject:
    """Return a port of `wrong_ports.py` as a user would name it."""
    return subject(f"{wrong_ports.__file__}:{name}")


def shipped(model: str) -> Written:
    """Return a shipped model and its first input."""
    source = resolve(model)
    return source, default_inputs(source)[0]


def regression(name: str, folder: Path) -> Written:
    """Return the network and the input of a case that the fuzzer once failed on."""
    case = json.loads((REGRESSIONS / f"{name}.json").read_text(encoding="utf-8"))
    return write(case, folder / f"{name}.h5")


@contextmanager
def opened(client: type[ReferenceClient] = ReferenceClient) -> Iterator[Desk]:
    """Give out a desk with a reference client, or skip the test where there is no reference."""
    try:
        find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    with client(keep_both=True) as made:
        yield Desk(made)


class Desk:
    """Judges subjects; what the references answer is kept in the store of all tests."""

    def __init__(self, client: ReferenceClient) -> None:
        self._client = client
        self._runners: dict[str, Runner] = {}

    def runner(self, written: Written, methods: Sequence[str], judged: str, dtypes: Sequence[str] = DTYPES) -> Runner:
        """Return what runs methods of a port on one model and input."""
        source, x = written
        lanes = [frozenset(methods) if dtype in dtypes else frozenset() for dtype in DTYPES]
        plan = Plan(source, (x,), tuple(methods), *lanes)
        if source.sha256 not in self._runners:
            self._runners[source.sha256] = Runner(plan, self._client, port(judged))
        return self._runners[source.sha256].next(plan, port(judged))

    def rows(self, written: Written, methods: Sequence[str], judged: str, dtypes: Sequence[str] = DTYPES) -> list[Row]:
        """Return the rows of those methods: at least one of each."""
        rows = [outcome.row for outcome in self.runner(written, methods, judged, dtypes).run()]
        assert len(rows) == len(methods) * len(dtypes)
        return rows


def is_red(row: Row) -> bool:
    """Say whether a row leaves no run green."""
    return row["status"] not in NOT_COUNTED and not is_ok(row["status"], row["divergence"])


def told(rows: Sequence[Row]) -> str:
    """Return what an assertion that fails should say of rows."""
    return "\n".join(
        f"{row['status']} {row['method']} {row['dtype']} on {row['model']}, rel_l2 {row.get('rel_l2')}, "
        f"held to {row['held_to'] or row['reference']}: {row['message']}"
        for row in rows
    )


def require_red(rows: Sequence[Row]) -> None:
    """Fail unless every row is red."""
    wrong = [row for row in rows if not is_red(row)]
    assert rows
    assert not wrong, f"should be red:\n{told(wrong)}"


def require_green(rows: Sequence[Row]) -> None:
    """Fail unless every row was compared with something, and agrees."""
    wrong = [row for row in rows if not is_ok(row["status"], row["divergence"])]
    assert rows
    assert not wrong, f"should be green:\n{told(wrong)}"


def require_unjudged(rows: Sequence[Row]) -> None:
    """Fail unless nothing could be compared in any row, for a reason that each tells."""
    wrong = [row for row in rows if row["status"] != "unjudged" or not row["message"]]
    assert rows
    assert not wrong, f"should be unjudged:\n{told(wrong)}"
