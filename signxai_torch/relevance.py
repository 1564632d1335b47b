"""Layer-wise relevance propagation and deep Taylor: one backward pass under a composite."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.composites import RuleComposite, composite_for
from signxai_torch.grammar import Method
from signxai_torch.linear import linear_map
from signxai_torch.targets import Target, start, target_indices


class UnusedInputRuleWarning(UserWarning):
    """No layer saw the model's input, so the rule of the input layer was not used (as in the references)."""


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
        Where relevance starts, see `signxai_torch.targets.start`; besides "logit_without_bias", the logit that
        the last kernel layer gives without its bias.
    """
    composite.start()
    x = x.detach().requires_grad_()
    with composite.context(model), torch.enable_grad():
        output = model(x)
        indices = target_indices(output, target)
        if head == "logit_without_bias":
            if composite.last_kernel is None:
                raise ValueError("the model has no dense or convolution layer")
            last, inputs = composite.last_kernel
            relevance = start(linear_map(last).apply(inputs, "all"), indices, "logit")
        else:
            relevance = start(output, indices, head)
        (result,) = torch.autograd.grad(output, x, relevance)
    if composite.input_rule is not None and not composite.input_rule_ran:
        warnings.warn(
            "no dense or convolution layer sees the model's input directly, so the input layer's rule is unused",
            UnusedInputRuleWarning,
            stacklevel=2,
        )
    return result


def lrp(model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the map of an LRP or deep Taylor method of the table, in the shape of `x`."""
    return propagate(model, x, target, composite_for(method, parameters), method.head)


def rules_of(model: nn.Module, x: Tensor, method: Method, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (layer name, module type, rule) of each layer that a method gives a rule, input to output."""
    composite = composite_for(method, parameters)
    with composite.context(model), torch.enable_grad():
        model(x.detach().requires_grad_())
    return list(composite.trace)
