"""The checks of the judge, in the order in which they are made; a map that fails any of them is not at parity.

Every comparison is written as ``not (value <= limit)``, so a NaN on either side fails it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parity.judge.limits import Limits
from parity.judge.metrics import Metrics

Verify = Callable[[Metrics, Limits], str | None]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name
        What `failed_check` says.
    function
        Takes the numbers of a comparison and their limits; returns what is wrong, or None.
    share
        The share of the limit that is used up: 1 is the limit. None for what is not a matter of degree.
    """

    name: str
    function: Verify
    share: Callable[[Metrics, Limits], float] | None = None


def _problem(kind: str) -> Check:
    def look(metrics: Metrics, _limits: Limits) -> str | None:
        return metrics.problem if metrics.problem_check == kind else None

    return Check(kind, look)


def _numeric(name: str, number: Callable[[Metrics], float], limit: Callable[[Limits], float]) -> Check:
    def look(metrics: Metrics, limits: Limits) -> str | None:
        value, most = number(metrics), limit(limits)
        return None if value <= most else f"{name} {value:.4g} > {most:.4g}"

    return Check(name, look, lambda metrics, limits: number(metrics) / limit(limits))


CHECKS: tuple[Check, ...] = (
    _problem("shape"),
    _problem("finite"),
    _problem("zero"),
    _numeric("rel_l2", lambda metrics: metrics.rel_l2, lambda limits: limits.rel_l2),
    _numeric("slope", lambda metrics: abs(metrics.slope - 1.0), lambda limits: limits.slope),
    _numeric("max_err", lambda metrics: metrics.max_err, lambda limits: limits.max_err),
)


def under_the_published_floor(metrics: Metrics, limits: Limits) -> str | None:
    """Say in what a map misses even what earlier comparisons called equal, or None.

    This is no check of its own, since whatever fails it fails a stricter one too: it tells `mismatch` from
    `structural`, which are both red.
    """
    if metrics.problem is not None or metrics.constant:
        return metrics.problem or "two constant maps have no structure that could agree"
    if not (metrics.pearson >= limits.pearson):
        return f"pearson {metrics.pearson:.4g} < {limits.pearson:.4g}"
    # None (with its reason in ssim_note) is "has no meaning here"; a NaN is a failure.
    if metrics.ssim is not None and not (metrics.ssim >= limits.ssim):
        return f"ssim {metrics.ssim:.4g} < {limits.ssim:.4g}"
    return None
