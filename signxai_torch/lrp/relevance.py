"""Layer-wise relevance propagation under a composite: the relevance, and which rule each layer got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.lrp.composites import RuleComposite, composite_for
from signxai_torch.lrp.targets import Target
from signxai_torch.methods.grammar import Method
from signxai_torch.sweep.walk import UnusedInputRuleWarning, Way, walk

__all__ = ["UnusedInputRuleWarning", "propagate", "rules_of"]


def propagate(model: nn.Module, x: Tensor, target: Target, composite: RuleComposite, head: str) -> Tensor:
    """Return the relevance of the input under a composite.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits (N, classes); activations and pooling must be modules, not functions.
    x : torch.Tensor
        Input, batch first.
    target : None, int or one int per sample
        The explained class.
    composite : RuleComposite
        The rules.
    head : str
        Where relevance starts, see `signxai_torch.sweep.walk.Way`.
    """
    return walk(model, x, target, [Way(composite, head)])[0]


def rules_of(model: nn.Module, x: Tensor, method: Method, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (layer name, module type, rule) of each layer that a method gives a rule, input to output."""
    composite = composite_for(method, parameters)
    with composite.context(model), torch.enable_grad():
        model(x.detach().requires_grad_())
    return list(composite.trace)
