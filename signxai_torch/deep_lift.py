"""DeepLIFT with the Rescale rule (Shrikumar et al. 2017, arXiv:1704.02685, section 3.5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Composite
from zennit.types import Activation, MaxPool

from signxai_torch.gradients import backward, baseline_like
from signxai_torch.grammar import Method
from signxai_torch.hook import RelevanceHook
from signxai_torch.targets import Target, target_indices

SMALL = 1e-7  # below this difference to the reference a unit's multiplier is its gradient (the paper's limit)


class Rescale(RelevanceHook):
    """Multiplier (y - y_r) / (x - x_r) for an activation; the second half of the batch is the baseline's."""

    def __str__(self) -> str:
        return "Rescale()"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the multiplier of the input; the baseline's half is zero."""
        half = len(x) // 2
        difference = x[:half] - x[half:]
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            plain = torch.autograd.grad(module.forward(point), point, relevance)[0]
        slope = (output[:half] - output[half:]) / torch.where(difference.abs() < SMALL, 1.0, difference)
        multiplier = torch.where(difference.abs() < SMALL, plain[:half], relevance[:half] * slope)
        return torch.cat([multiplier, torch.zeros_like(multiplier)])


class RescalePool(Rescale):
    """Max-pooling: the change of each window's maximum is shared by what each input changed."""

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the multiplier of the input; the baseline's half is zero."""
        half = len(x) // 2
        delta_in = x[:half] - x[half:]
        both = torch.maximum(output[:half], output[half:])
        # Two gradients of the pool: from the sample's maxima and from the baseline's, each with its own change.
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            pooled = module.forward(point)
            up = relevance[:half] * (both - output[half:])
            down = relevance[:half] * (output[:half] - both)
            credit = torch.autograd.grad(pooled, point, torch.cat([up, down]), retain_graph=True)[0]
            plain = torch.autograd.grad(pooled, point, relevance)[0][:half]
        total = credit[:half] + credit[half:]
        small = delta_in.abs() < SMALL
        multiplier = torch.where(small, plain, total / torch.where(small, 1.0, delta_in))
        return torch.cat([multiplier, torch.zeros_like(multiplier)])


def _map(ctx: dict[str, Any], name: str, module: nn.Module) -> RelevanceHook | None:
    if isinstance(module, Activation):
        return Rescale()
    return RescalePool() if isinstance(module, MaxPool) else None


def deep_lift(model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return (x - r) times the multipliers; the map sums to f_c(x) - f_c(r) (summation to delta)."""
    reference = baseline_like(x, parameters["baseline"])
    with torch.no_grad():
        indices = target_indices(model(x), target)
    both = torch.cat([x, reference])
    with Composite(module_map=_map).context(model):
        multipliers = backward(model, both, torch.cat([indices, indices]), "one")
    return (x - reference) * multipliers[: len(x)]
