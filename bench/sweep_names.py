"""Which names a sweep takes."""

from __future__ import annotations

import contextlib
from functools import cache

from bench.contenders.reference import ask
from bench.networks import Network
from parity.reference.request import ReferenceCall
from parity.run.calls import NotInReferenceError
from parity.run.subjects import list_methods, parse


@cache
def lrp_names() -> tuple[str, ...]:
    """Return every listed LRP name; all are deterministic."""
    return tuple(name for name in list_methods() if parse(name).family == "lrp")


def calls(network: Network) -> dict[str, ReferenceCall]:
    """Return how the reference is asked, for every listed name that it can answer for this network.

    Left out are names that no reference has (occlusion) or is right about (deep_lift), and those that say nothing
    without a threshold from the caller (``*_x_sign_mu``): `explain_many` has no place for one.
    """
    asked = {}
    for name in list_methods():
        if ("x_sign_mu", None) in parse(name).modifiers:
            continue
        with contextlib.suppress(NotInReferenceError):
            asked[name] = ask(network.module, name)
    return asked


def names_of(network: Network, which: str) -> tuple[str, ...]:
    """Return the names of a sweep that the reference can answer for a network: "lrp" or "all"."""
    asked = calls(network)
    return tuple(name for name in asked if which == "all" or name in lrp_names())
