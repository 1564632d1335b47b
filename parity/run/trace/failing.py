"""Traces of a run's failing rows: for a few methods of each model, of the worst input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from parity.errors import first_line
from parity.run.outcome import Row
from parity.run.trace.table import Trace, Untraced
from parity.run.trace.tracing import NoTraceError, cause_of, trace

if TYPE_CHECKING:
    from parity.run.runner import Runner

DIFFERS = ("mismatch", "structural")
_DTYPES = ("float64", "float32")  # in float64 nothing but the rule can differ


def traces_of(runner: Runner, rows: Sequence[Row], most: int) -> Iterator[tuple[Row, Trace | Untraced]]:
    """Yield the worst row of each method that fails, with its trace, or why it has none.

    Parameters
    ----------
    runner
        The runner that the rows come from, with the same inputs.
    rows
        What it yielded.
    most
        How many methods are traced at most, in the order of the rows.
    """
    left = most
    names = [one.name for one in runner.plan.inputs]
    for row in _worst(rows):
        if left == 0:
            return
        if "trace" in row:  # an earlier run has followed it
            continue
        if runner.plan.large:  # its trace takes as much memory again as all that a run of it needs
            yield row, Untraced("There is no trace: a model of this size is followed by `parity trace` alone.")
            continue
        limits = row["limits"] or {}
        method, dtype, index = row["method"], row["dtype"], names.index(row["input"])
        found: Trace | Untraced
        try:
            found = trace(runner, method, dtype, index, limits.get("rel_l2"))
            left -= 1
        except NoTraceError as error:
            found = Untraced(str(error), _cause(runner, method, dtype, index))
        except Exception as error:  # a row stands without its trace
            found = Untraced(f"There is no trace: {type(error).__name__}: {first_line(str(error))}")
        yield row, found


def _cause(runner: Runner, method: str, dtype: str, index: int) -> str:
    try:
        return cause_of(runner, method, dtype, index)
    except Exception:  # a row stands without its cause
        return ""


def _worst(rows: Sequence[Row]) -> list[Row]:
    """Return the row of each method that fails by the most, of the lane that says more."""
    worst: dict[str, Row] = {}
    for row in rows:
        if row["status"] not in DIFFERS:
            continue
        other = worst.get(row["method"])
        if other is None or _size(row) > _size(other):
            worst[row["method"]] = row
    return list(worst.values())


def _size(row: Row) -> tuple[int, float]:
    margin = row["margin"]
    return -_DTYPES.index(row["dtype"]), math.inf if margin is None else float(margin)
