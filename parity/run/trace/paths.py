"""Integrated gradients over other places of the path, as subject functions: which ones a port took, see `causes`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.run.mutants.mutant import SubjectFunction
from parity.run.subjects import parse
from signxai_torch.sweep.parameters import parameters_of


def quadrature(points: Callable[[int], tuple[Sequence[float], Sequence[float]]]) -> SubjectFunction:
    """Return integrated gradients over other places of the path: a function from their number to places and weights."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Tensor:
        parsed = parse(method)
        if parsed.modifiers or isinstance(x, tuple):
            raise NotImplementedError(method)
        numbers = parameters_of(parsed, parameters)
        baseline = torch.full_like(x, float(numbers["baseline"]))
        total = torch.zeros_like(x)
        for place, weight in zip(*points(int(numbers["steps"])), strict=True):
            point = (baseline + place * (x - baseline)).requires_grad_()
            chosen = model(point)[range(len(x)), target].sum()
            total += weight * torch.autograd.grad(chosen, point)[0]
        return (x - baseline) * total

    return function


def _even(count: int, first: float) -> tuple[Sequence[float], Sequence[float]]:
    return [(index + first) / count for index in range(count)], [1 / count] * count


def _gauss_legendre(count: int) -> tuple[Sequence[float], Sequence[float]]:
    places, weights = np.polynomial.legendre.leggauss(count)
    return list((places + 1) / 2), [float(one) for one in (weights / 2).astype(np.float32)]  # as captum has them


def _both_ends(count: int) -> tuple[Sequence[float], Sequence[float]]:
    return list(np.linspace(0, 1, count)), [1 / count] * count


riemann_right = quadrature(lambda count: _even(count, 1.0))
riemann_left = quadrature(lambda count: _even(count, 0.0))
gauss_legendre = quadrature(_gauss_legendre)
both_ends = quadrature(_both_ends)
