"""What the numbers of a case say: statuses, and the verdict on one comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from parity.judge.checks import CHECKS, under_the_published_floor
from parity.judge.limits import Limits
from parity.judge.metrics import Metrics

Status = Literal["parity", "structural", "mismatch", "reference-defect", "unjudged", "unsupported", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)
NOT_COUNTED = ("unjudged", "unsupported")
"""Statuses of rows in which nothing was compared: they leave a run neither green nor red."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one comparison.

    Attributes
    ----------
    status : str
        One of `STATUSES`; from `judge` never "reference-defect", "unsupported" or "error".
    failed_check : str or None
        The first check that failed: shape, finite, zero, rel_l2, slope or max_err.
    message : str
        Empty for plain parity.
    margin : float
        The worst value/limit of the three numeric checks: 1 is the limit. Infinite if one is no number.
    """

    status: Status
    failed_check: str | None
    message: str
    margin: float

    @property
    def ok(self) -> bool:
        """Whether the two maps are at parity."""
        return self.status == "parity"


def is_ok(status: str, divergence: str | None) -> bool:
    """Say whether a row leaves a run green: parity, or held to something else because of a known difference."""
    return status == "parity" or (status == "reference-defect" and bool(divergence))


def run_is_green(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether all compared rows (with keys "status" and "divergence") are green; a run without any is not.

    Rows that are unsupported or unjudged were not compared: no reference defines the method there, the model lacks what
    it needs, or no reference is left that is right.
    """
    states = [is_ok(row["status"], row.get("divergence")) for row in rows if row["status"] not in NOT_COUNTED]
    return bool(states) and all(states)


def judge(metrics: Metrics, limits: Limits) -> Verdict:
    """Hold the numbers of one comparison to limits.

    Two maps that are zero everywhere prove nothing: they are "unjudged".

    Parameters
    ----------
    metrics : Metrics
        Of the reference's map and the subject's.
    limits : Limits
        See `parity.judge.limits.limits_for`.
    """
    failed = [(check.name, text) for check in CHECKS if (text := check.function(metrics, limits)) is not None]
    shares = [check.share(metrics, limits) for check in CHECKS if check.share is not None]
    margin = max(shares) if shares and all(math.isfinite(share) for share in shares) else math.inf
    if not failed:
        return Verdict("parity", None, "", margin)
    name, text = failed[0]
    if name == "zero" and metrics.reference_max == metrics.subject_max == 0:
        return Verdict("unjudged", name, text, math.inf)
    floor = under_the_published_floor(metrics, limits)
    reasons = [text for _, text in failed] + ([floor] if floor and metrics.problem is None else [])
    title = f"Check {name} failed." if metrics.problem else "Failed: " + "; ".join(reasons)
    status: Status = "structural" if floor is None else "mismatch"
    return Verdict(status, name, metrics.message(failed=title, allowed=limits.max_err), margin)
