"""Which names a sweep takes."""

from __future__ import annotations

from functools import cache

from bench.contenders.reference import ask
from bench.networks import Network
from parity.judge.known.divergences import BY_NAME
from parity.run.questions import NotInReferenceError, Question
from parity.run.subjects import list_methods, parse


@cache
def lrp_names() -> tuple[str, ...]:
    """Return every listed LRP name; all are deterministic."""
    return tuple(name for name in list_methods() if parse(name).family == "lrp")


def questions(network: Network) -> dict[str, Question]:
    """Return how the reference is asked, for every listed name that it can answer for this network.

    Left out are names that no reference has (occlusion), those it raises at by a named defect (deep_lift), and
    those that say nothing without a threshold from the caller (``*_x_sign_mu``): `explain_many` has no place for
    one.
    """
    found = {}
    for name in list_methods():
        try:
            asked = ask(network.module, name)
        except NotInReferenceError:
            continue
        raises = asked.defect is not None and BY_NAME[asked.defect].raises
        if "mu" not in asked.parameters and not raises:
            found[name] = asked
    return found


def names_of(network: Network, which: str) -> tuple[str, ...]:
    """Return the names of a sweep: "lrp" or "all"."""
    return lrp_names() if which == "lrp" else tuple(questions(network))
