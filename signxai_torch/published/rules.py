"""The references' rule classes under their own names, as hooks for zennit: the rules of `signxai_torch.lrp.rules`.

Each takes its rule's arguments, and goes wherever a published hook goes (`signxai_torch.published.hooks`).
"""

from __future__ import annotations

import inspect
from typing import Any

from signxai_torch.lrp import rules
from signxai_torch.lrp.rule import LinearRule
from signxai_torch.published.base_hook import RuleHook

__all__ = [
    "AlphaBetaRule",
    "BoundedRule",
    "EpsilonRule",
    "FlatRule",
    "GammaRule",
    "SIGNRule",
    "SIGNmuRule",
    "StdxEpsilon",
    "StdxEpsilonRule",
    "WSquareRule",
    "ZPlusFastRule",
    "ZPlusRule",
    "ZRule",
]


def _hook_of(rule: type[LinearRule]) -> type[RuleHook]:
    """Return the hook class of a rule, which takes the rule's arguments."""

    def __init__(self: RuleHook, *args: Any, **keywords: Any) -> None:  # noqa: N807
        RuleHook.__init__(self, rule(*args, **keywords))

    described = {
        "__init__": __init__,
        "__doc__": rule.__doc__,
        "__module__": __name__,
        "__signature__": inspect.signature(rule),
    }
    return type(f"{rule.__name__}Rule", (RuleHook,), described)


AlphaBetaRule = _hook_of(rules.AlphaBeta)
BoundedRule = _hook_of(rules.Bounded)
EpsilonRule = _hook_of(rules.Epsilon)
FlatRule = _hook_of(rules.Flat)
GammaRule = _hook_of(rules.Gamma)
SIGNRule = _hook_of(rules.SIGN)
SIGNmuRule = _hook_of(rules.SIGNmu)
StdxEpsilonRule = StdxEpsilon = _hook_of(rules.StdxEpsilon)
WSquareRule = _hook_of(rules.WSquare)
ZPlusFastRule = _hook_of(rules.ZPlusFast)
ZPlusRule = _hook_of(rules.ZPlus)
ZRule = _hook_of(rules.Z)
