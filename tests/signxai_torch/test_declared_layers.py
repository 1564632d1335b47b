"""Modules that declare themselves to be one layer to LRP, whatever they compute."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import signxai_torch
from signxai_torch.operations import linear


class Standardized(nn.Module):
    signxai_operation: ClassVar[str] = "unchanged"

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * x.exp()


class Product(nn.Module):
    signxai_operation: ClassVar[str] = "derivative"

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(n, m).double() for n, m in ((4, 5), (4, 5), (5, 3)))
        self.product, self.norm = Product(), Standardized()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.product(self.first(x), self.second(x))))


@pytest.fixture
def case() -> tuple[Network, Tensor]:
    torch.manual_seed(0)
    return Network(), torch.randn(2, 4, dtype=torch.float64)


def test_lrp_passes_unchanged_layers_and_differentiates_the_others(case):
    model, x = case
    a, b = model.first(x), model.second(x)
    h = model.norm(a * b)
    arriving = h * model.last.weight[1]  # the Z rule, from the logit itself
    # The product's derivative, not a share: relevance of each factor is the arriving one times the other factor.
    expected = sum(
        x * ((arriving * other / layer(x)) @ layer.weight) for layer, other in ((model.first, b), (model.second, a))
    )
    np.testing.assert_allclose(
        signxai_torch.explain(model, x, "lrp_z", target=1), expected.detach().numpy(), rtol=1e-10
    )


def test_no_literature_is_needed(case, recwarn):
    signxai_torch.explain(*case, "lrp_epsilon_0_1", target=0, strict=True)
    assert not recwarn.list


def test_deep_lift_follows_what_they_compute(case):
    model, x = case
    relevance = signxai_torch.explain(model, x, "deep_lift", target=2)
    change = (model(x) - model(torch.zeros_like(x)))[:, 2]
    np.testing.assert_allclose(relevance.sum(axis=1), change.detach().numpy(), rtol=1e-9)


def test_the_gradient_is_that_of_the_function(case):
    model, x = case
    expected = torch.autograd.functional.jacobian(lambda point: model(point)[:, 0].sum(), x)
    np.testing.assert_allclose(signxai_torch.explain(model, x, "gradient", target=0), expected.numpy(), rtol=1e-10)


class TwoBiases(nn.Module):
    """One kernel layer to rules, with a bias in its middle that goes through the weights behind it."""

    signxai_operation: ClassVar[str] = "dense"

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(1, 1).double(), nn.Linear(1, 1).double()
        for layer, weight, bias in ((self.inner, 1.0, 1.0), (self.outer, -2.0, 0.5)):
            nn.init.constant_(layer.weight, weight)
            nn.init.constant_(layer.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))


@pytest.mark.parametrize("x", [1.0, 1e-9, -1e-9, -1.0])
def test_a_bias_in_the_middle_of_a_layer_counts_whole_whatever_the_sign_of_the_input(x):
    layer, point = TwoBiases(), torch.tensor([[x]], dtype=torch.float64)
    operation = linear.ModuleMap(layer)
    whole = layer(torch.zeros_like(point))
    for part in ("positive", "negative"):
        made = operation.apply(point, part, ("positive", "negative"))
        np.testing.assert_allclose((made - operation.apply(point, part)).detach(), whole.detach(), rtol=1e-15)


class _Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * 3 * x**2


class Cube(nn.Module):
    signxai_operation: ClassVar[str] = "function"

    def forward(self, x: Tensor) -> Tensor:
        return _Cube.apply(x)


def test_deep_lift_takes_a_function_of_each_value_for_one_wherever_it_is_computed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), Cube(), nn.Linear(5, 3)).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    change = (model(x) - model(torch.zeros_like(x)))[:, 1].detach().numpy()
    np.testing.assert_allclose(signxai_torch.explain(model, x, "deep_lift", target=1).sum(1), change, rtol=1e-10)
    kept = signxai_torch.explain(model, x, "lrp_z", target=1).sum(1)
    assert np.isfinite(kept).all()
