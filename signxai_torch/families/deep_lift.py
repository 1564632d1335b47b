"""DeepLIFT with the Rescale rule (Shrikumar et al. 2017, arXiv:1704.02685, section 3.5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Composite
from zennit.layer import Sum
from zennit.types import Activation, AvgPool, BatchNorm, Convolution, MaxPool

from signxai_torch.families.gradients import baseline_like
from signxai_torch.lrp.layers import DROPOUT
from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.hook import RelevanceHook
from signxai_torch.operations.unhooked import BENDS, calls_of

# The powers of a dtype's rounding that a map's sum may be off by: half of the digits of all that is added up, because
# what cancels rounds no better, and three quarters of those of the logits, which a forward pass rounds to.
HALF_OF_THE_DIGITS, MOST_OF_THE_DIGITS = 0.5, 0.75
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


class SummationToDeltaError(ValueError):
    """A DeepLIFT map does not sum to the change of the logit, which is what defines it."""


# Layers whose gradient is their multiplier: linear up to a constant.
_LINEAR = (nn.Linear, Convolution, AvgPool, BatchNorm, Sum, nn.Identity, nn.Flatten, nn.Unflatten, *DROPOUT)
_ELEMENTWISE = (Activation, nn.Mish)


def _map(ctx: dict[str, Any], name: str, module: nn.Module) -> RelevanceHook | None:
    if isinstance(module, _ELEMENTWISE):
        return Rescale()
    return RescalePool() if isinstance(module, MaxPool) else None


def deep_lift(model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return (x - r) times the multipliers; the map sums to f_c(x) - f_c(r) (summation to delta).

    Raises
    ------
    SummationToDeltaError
        If it does not, because the model has a layer without a DeepLIFT rule.
    UnhookedOperationError
        If the model calls as functions what has a rule.
    """
    reference = baseline_like(x, parameters["baseline"])
    with torch.no_grad():
        indices = target_indices(model(x), target).repeat(2)
    both = torch.cat([x, reference]).requires_grad_()
    with Composite(module_map=_map).context(model), calls_of(model) as calls, torch.enable_grad():
        output = model(both)
        calls.check(output, BENDS)
        (multipliers,) = torch.autograd.grad(output, both, start(output, indices, "one"))
    result = (x - reference) * multipliers[: len(x)]
    check_sums(model, result, output.detach().gather(1, indices[:, None])[:, 0])
    return result


def check_sums(model: nn.Module, result: Tensor, logits: Tensor) -> None:
    """Refuse maps that do not sum to the change of their logit, as well as their dtype can tell.

    Parameters
    ----------
    model : torch.nn.Module
        Whose layers the message names.
    result : torch.Tensor
        The maps `(N, ...)`.
    logits : torch.Tensor
        The explained logit `(2 N,)` of the inputs, then of the baselines.

    Raises
    ------
    SummationToDeltaError
        If one map does not, or is not finite.
    """
    now, before = logits.chunk(2)
    parts = result.flatten(1)
    missing = (parts.sum(dim=1) - (now - before)).abs()
    digits = torch.finfo(result.dtype).eps
    allowed = digits**HALF_OF_THE_DIGITS * parts.abs().sum(dim=1)
    allowed += digits**MOST_OF_THE_DIGITS * (now.abs() + before.abs())
    if bool((missing <= allowed).all()):
        return
    worst = int((missing - allowed).nan_to_num(torch.inf).argmax())
    known = (*_LINEAR, *_ELEMENTWISE, MaxPool)
    leaves = {type(one).__name__ for one in model.modules() if not list(one.children()) and not isinstance(one, known)}
    names = ", ".join(sorted(leaves)) or "none, so the model computes outside its layers, or rounding is at fault"
    raise SummationToDeltaError(
        f"the map of sample {worst} sums to {float(parts[worst].sum()):.6g}, but the logit changes by "
        f"{float(now[worst] - before[worst]):.6g} from the baseline: the Rescale rule does not hold for this model. "
        f"Layers that it does not know: {names}. Replace them by others (activations and max-pooling of torch.nn have "
        "rules), or use integrated_gradients"
    )
