"""What changed since an earlier run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Key = tuple[str, str, str, str]

KEY = ("method", "model", "input", "dtype")
FACTOR = 2.0  # a margin that moved by more than this is worth a look
SMALLEST = 1e-6  # below this share of a limit, twice as much is still nothing


def remember(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `compare_runs` needs of an earlier results document, without its bulk."""
    kept = (*KEY, "status", "margin")
    return {
        "created": document["created"],
        "commit": document.get("commit"),
        "results": [{key: row.get(key) for key in kept} for row in document["results"]],
    }


def compare_runs(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `compared` part of a results document.

    A case has changed if its status differs, or if its margin moved by more than a factor of two (margins
    under a millionth of the limit count as that). Cases are matched by method, model, input and dtype.
    """
    before, after = _states(earlier), _states(now)
    changes = []
    for key in before.keys() & after.keys():
        was, is_now = before[key], after[key]
        if was["status"] != is_now["status"] or _moved(was["margin"], is_now["margin"]):
            changes.append(dict(zip(KEY, key, strict=True)) | {"was": was, "now": is_now})
    changes.sort(key=_importance)
    return {
        "created": str(earlier["created"]),
        "commit": earlier.get("commit"),
        "changes": changes,
        "appeared": len(after.keys() - before.keys()),
        "vanished": len(before.keys() - after.keys()),
    }


def _states(document: Mapping[str, Any]) -> dict[Key, dict[str, Any]]:
    return {
        (row["method"], row["model"], row["input"], row["dtype"]): {
            "status": row["status"],
            "margin": row.get("margin"),
        }
        for row in document["results"]
    }


def _moved(was: float | None, now: float | None) -> bool:
    if was is None or now is None:
        return (was is None) != (now is None)
    low, high = sorted((max(was, SMALLEST), max(now, SMALLEST)))
    return high > FACTOR * low


def _importance(change: Mapping[str, Any]) -> tuple[bool, float, str, str, str, str]:
    """Sort changed statuses first, then by the new margin, largest first."""
    margin = change["now"]["margin"]
    return (
        change["was"]["status"] == change["now"]["status"],
        -math.inf if margin is None else -margin,
        change["method"],
        change["model"],
        change["input"],
        change["dtype"],
    )
