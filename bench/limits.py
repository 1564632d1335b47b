"""The acceptance limits: one table, and whether a run's figures meet them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.contenders.everyone import CAPTUM, EXPLAINER, PORT, REFERENCE, ZENNIT
from bench.figures import Figures
from bench.plan import SMALL, VGG16

RELATIONS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, "<": operator.lt, ">=": operator.ge}


@dataclass(frozen=True)
class Limit:
    """One promise about one network.

    Attributes
    ----------
    group : str
        The heading it stands under.
    name : str
        The method, or the names of a sweep.
    figure : callable
        The number it speaks of, from a run's figures; None where there is none.
    relation, bound : str, float
        What must hold of the number.
    needs : (str, str), optional
        A contender and its method: where that contender has no such rule there is nothing to promise.
    network : str
        The network.
    """

    group: str
    name: str
    figure: Callable[[Figures], float | None]
    relation: str
    bound: float
    needs: tuple[str, str] | None = None
    network: str = VGG16


def _time(method: str, bound: float) -> Limit:
    return Limit("time, in units", method, lambda f: f.ratio(VGG16, method, PORT), "<=", bound)


def _faster(method: str, than: str) -> Limit:
    return Limit(
        f"time, as a share of {than}'s", method, lambda f: f.share(VGG16, method, than), "<", 1.0, (than, method)
    )


def _peak(method: str) -> Limit:
    group = "peak memory over the weights, as a multiple of the gradient's"
    return Limit(group, method, lambda f: f.peak_ratio(VGG16, method), "<=", 1.30)


def _copies(method: str) -> Limit:
    group = "peak memory beyond the gradient's, in copies of the weights"
    return Limit(group, method, lambda f: f.copies(VGG16, method), "<=", 1.0)


def _small(network: str, batch: int, method: str, bound: float) -> Limit:
    return Limit(
        f"{network}, batch {batch}: time of an {EXPLAINER}, in units", method,
        lambda f: f.ratio(network, method, EXPLAINER, batch), "<=", bound, network=network,
    )  # fmt: skip


def _small_faster(network: str, batch: int, method: str, than: str) -> Limit:
    return Limit(
        f"{network}, batch {batch}: time of an {EXPLAINER}, as a share of {than}'s", method,
        lambda f: f.share(network, method, than, EXPLAINER, batch), "<", 1.0, (than, method), network,
    )  # fmt: skip


SMALL_TIMES: dict[int, dict[str, float]] = {
    1: {"gradient": 1.15, "lrp_z": 2.0, "lrp_epsilon_0_1": 2.0, "lrp_alpha_1_beta_0": 3.0, "lrp_alpha_2_beta_1": 3.0},
    64: {"lrp_z": 1.2, "lrp_epsilon_0_1": 1.2, "lrp_alpha_1_beta_0": 2.0, "lrp_alpha_2_beta_1": 2.0},
}
"""By batch and method."""
TIMES: dict[str, float] = {
    "lrp_z": 1.25,
    "lrp_epsilon_0_1": 1.25,
    "lrp_epsilon_0_25_std_x": 1.25,
    "lrpsign_epsilon_0_1": 1.25,
    "lrp_flat": 1.25,
    "lrp_w_square": 1.25,
    "lrp_alpha_1_beta_0": 2.0,
    "lrp_sequential_composite_a": 2.0,
    "lrp_alpha_2_beta_1": 3.2,
    "lrp_sequential_composite_b": 3.2,
    "smoothgrad": 50.0,
    "integrated_gradients": 50.0,
}
SWEEPS = "explain_many"
LIMITS: tuple[Limit, ...] = (
    *(_time(method, bound) for method, bound in TIMES.items()),
    *(_faster(method, than) for than in (ZENNIT, REFERENCE) for method in TIMES),
    *(_peak(method) for method in ("lrp_epsilon_0_1", "lrp_flat", "lrp_w_square")),
    *(_copies(method) for method in ("lrp_alpha_1_beta_0", "lrp_alpha_2_beta_1")),
    *(
        _small(network, batch, method, bound)
        for network in SMALL
        for batch, times in SMALL_TIMES.items()
        for method, bound in times.items()
    ),
    *(
        _small_faster(network, batch, method, than)
        for network in SMALL
        for than in (ZENNIT, CAPTUM)
        for batch, times in SMALL_TIMES.items()
        for method in times
    ),
    Limit(f"{SWEEPS}, as a share of single calls", "LRP names", lambda f: f.shared(VGG16, "lrp"), "<=", 0.35),
    Limit(f"{SWEEPS}, times faster than {REFERENCE}", "all names", lambda f: f.speedup(VGG16, "all"), ">=", 8.0),
    Limit(f"{SWEEPS}, times faster than {REFERENCE}", "LRP names", lambda f: f.speedup(VGG16, "lrp"), ">=", 15.0),
)
"""Every limit that `make bench` judges."""


def holds(value: float | None, relation: str, bound: float) -> bool:
    """Return whether a number keeps a limit; no number, and NaN, do not."""
    return value is not None and math.isfinite(value) and RELATIONS[relation](value, bound)


def judge(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every limit with its number and whether it is met.

    Parameters
    ----------
    document : mapping
        A run's results (see `bench.document`).

    Returns
    -------
    list of dict
        ``group``, ``name``, ``relation``, ``bound``, ``value`` (None if not measured) and ``verdict``: "met",
        "not met", "not measured" (which is not met), or "no counterpart", where there is nothing to compare with.
    """
    figures = Figures(document)
    judged = []
    for limit in LIMITS:
        value = limit.figure(figures)
        if value is not None and not math.isfinite(value):
            value = None
        if limit.needs is not None and figures.no_counterpart(limit.network, limit.needs[1], limit.needs[0]):
            verdict = "no counterpart"
        elif value is None:
            verdict = "not measured"
        else:
            verdict = "met" if holds(value, limit.relation, limit.bound) else "not met"
        judged.append(
            {
                "group": limit.group,
                "name": limit.name,
                "relation": limit.relation,
                "bound": limit.bound,
                "value": value,
                "verdict": verdict,
            }
        )
    return judged


def unmet(judged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the limits that do not hold, those not measured included."""
    return [one for one in judged if one["verdict"] in ("not met", "not measured")]
