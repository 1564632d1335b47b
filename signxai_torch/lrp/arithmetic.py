"""What rules do with single values: guarded division, stabilizers, parts, signs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

KERAS_EPSILON = 1e-7  # keras.backend.epsilon(): what both references put in place of a zero denominator


def divide(relevance: Tensor, denominator: Tensor, guard: float = KERAS_EPSILON) -> Tensor:
    """Return relevance / denominator, with `guard` in place of denominators that are exactly zero."""
    if relevance.device.type == "cpu":
        quotient = relevance / denominator
        # A division by zero is not finite. To look for one in the quotients is a single pass, and there is none mostly.
        if math.isfinite(quotient.sum()):
            return quotient
    return over(relevance, torch.where(denominator == 0, guard, denominator))


def stabilize(value: Tensor, epsilon: float | Tensor) -> Tensor:
    """Return value moved away from zero by epsilon; zero counts as positive."""
    # 1 where the value is not negative, else 0, as numbers: torch compares faster than it copies signs.
    result = torch.ge(value, 0, out=torch.empty_like(value))
    return result.sub_(0.5).mul_(2 * epsilon).add_(value)


# Layers are large: a tensor made anew costs more than the arithmetic on it, so results that nobody else has seen
# are worked on in place.


def over(relevance: Tensor, denominator: Tensor) -> Tensor:
    """Return relevance / denominator; the denominator may be overwritten."""
    if denominator.shape != relevance.shape:
        return relevance / denominator
    return torch.div(relevance, denominator, out=denominator)


def writable(value: Tensor) -> bool:
    """Return whether every place of a tensor has memory of its own."""
    strides = value.stride()
    return 0 not in strides or all(stride != 0 or size == 1 for stride, size in zip(strides, value.shape, strict=True))


def times(value: Tensor, factor: float | Tensor) -> Tensor:
    """Return value * factor; the value may be overwritten."""
    return value.mul_(factor) if writable(value) else value * factor


def plus(value: Tensor, other: Tensor) -> Tensor:
    """Return value + other; the value may be overwritten."""
    return value.add_(other) if _fits(other.shape, value.shape) and writable(value) else value + other


def _fits(shape: torch.Size, into: torch.Size) -> bool:
    """Return whether a tensor of a shape is broadcast to another shape, which stays as it is."""
    if shape == into:
        return True
    behind = into[len(into) - len(shape) :]
    return len(shape) <= len(into) and all(size in (1, other) for size, other in zip(shape, behind, strict=True))


def deviation(x: Tensor, per_sample: bool) -> Tensor:
    """Return the population standard deviation, of each sample or of the batch, as numpy.std takes it."""
    dimensions = list(range(1 if per_sample else 0, x.dim()))
    centred = x - x.mean(dim=dimensions, keepdim=True)
    return centred.square_().mean(dim=dimensions).sqrt_().reshape(-1)


def positive(x: Tensor) -> Tensor:
    """Return the positive part."""
    return x.clamp(min=0)


def negative(x: Tensor) -> Tensor:
    """Return the negative part."""
    return x.clamp(max=0)


def ones(x: Tensor) -> Tensor:
    """Return ones in the shape of x."""
    return torch.ones_like(x)


def sign(x: Tensor) -> Tensor:
    """Return the sign of x with sign(0) = +1 (also for -0.0 and NaN)."""
    return torch.where(x < 0, -1.0, 1.0).to(x.dtype)


def sign_mu(x: Tensor, mu: float | Tensor | None, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Return `high` where x >= mu, else `low`; where mu <= low everything is `high`; NaN stays NaN.

    The reference assigns `low` first and compares again, hence the rule for mu <= low; mu None is the middle of
    low and high (SIGN-XAI 1.1.9.2, `calculate_sign_mu`).
    """
    threshold = torch.as_tensor(low + abs(high - low) / 2 if mu is None else mu, dtype=x.dtype, device=x.device)
    signs = torch.where((x >= threshold) | (threshold <= low), high, low).to(x.dtype)
    return torch.where(torch.isnan(x), x, signs)
