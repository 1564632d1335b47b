"""Activations that are computed otherwise than by torch, as TensorFlow rounds them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from parity.keras.modules.activations import HardSigmoid, Sigmoid, Tanh
from parity.keras.modules.pointwise import POINTWISE, Pointwise
from signxai_torch.operations.declared import declared_function

FROM_5_TO_20 = np.linspace(5, 20, 2001)


def digits_off(x: np.ndarray, y: np.ndarray) -> float:
    """Return by how many last digits a sigmoid is off at most."""
    exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    return float((np.abs(y - exact) / np.spacing(y)).max())


def test_a_sigmoid_near_1_is_right_to_half_a_last_digit() -> None:
    x = torch.from_numpy(FROM_5_TO_20)
    assert digits_off(FROM_5_TO_20, Sigmoid()(x).numpy()) <= 0.501
    assert digits_off(FROM_5_TO_20, torch.sigmoid(x).numpy()) > 1, "torch is as exact: nn.Sigmoid would do"


def test_a_tanh_beyond_3_is_right_to_half_a_last_digit() -> None:
    x = np.concatenate([FROM_5_TO_20, -FROM_5_TO_20])
    y = Tanh()(torch.from_numpy(x)).numpy()
    exact = np.tanh(x.astype(np.longdouble))
    assert (np.abs(y - exact) / np.spacing(np.abs(y))).max() <= 0.501


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_tanh_is_torchs_up_to_rounding_and_takes_its_gradient_from_the_output(dtype: torch.dtype) -> None:
    x = torch.tensor([-800.0, -30, -3, -0.0, 0, 0.2, 3, 7.6, 800, torch.inf, -torch.inf], dtype=dtype)
    x.requires_grad_()
    y = Tanh()(x)
    torch.testing.assert_close(y, torch.tanh(x), rtol=4 * torch.finfo(dtype).eps, atol=0)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, (1 - y * y).detach())
    assert Tanh()(torch.tensor(torch.nan)).isnan()
    assert torch.autograd.gradcheck(Tanh(), torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_sigmoid_is_torchs_up_to_rounding_and_takes_its_gradient_from_the_output(dtype: torch.dtype) -> None:
    x = torch.tensor([-800.0, -30, -3, -0.0, 0, 0.2, 3, 17.5, 800, torch.inf, -torch.inf], dtype=dtype)
    x.requires_grad_()
    y = Sigmoid()(x)
    torch.testing.assert_close(y, torch.sigmoid(x), rtol=4 * torch.finfo(dtype).eps, atol=0)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, (y * (1 - y)).detach())
    assert Sigmoid()(torch.tensor(torch.nan)).isnan()


def test_a_sigmoid_has_derivatives_of_every_order() -> None:
    x = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Sigmoid(), x)
    assert torch.autograd.gradgradcheck(Sigmoid(), x)
    batch = torch.linspace(-4, 4, 9).reshape(3, 3)
    slopes = torch.func.vmap(torch.func.grad(lambda one: Sigmoid()(one).sum()))(batch)
    torch.testing.assert_close(slopes, torch.sigmoid(batch) * torch.sigmoid(-batch))


@pytest.mark.parametrize("module", [Sigmoid(), Tanh(), HardSigmoid(0.2), HardSigmoid(1 / 6)])
def test_what_squashes_is_a_gate_as_torchs_own_is(module: nn.Module) -> None:
    function = declared_function(module)
    assert function is not None
    assert function.gate


@pytest.mark.parametrize("function", ["math.sqrt", "math.rsqrt", "math.reciprocal"])
def test_where_no_gradient_arrives_none_goes_on_from_a_root_of_0(function: str) -> None:
    """As in TensorFlow; torch's own root says that it is no number."""
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(Pointwise(function)(x), x, torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert gradient[0] == 0
    assert gradient[1].isinf()
    (of_torch,) = torch.autograd.grad(torch.sqrt(x), x, torch.zeros(2, dtype=torch.float64))
    assert of_torch.isnan().all()


def test_a_gradient_that_is_stopped_is_zero_and_no_missing_one() -> None:
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    y = Pointwise("stop_gradient")(x)
    assert torch.equal(y, x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, torch.zeros(5, dtype=torch.float64))


@pytest.mark.parametrize("function", [name for name in POINTWISE if name != "stop_gradient"])
def test_functions_of_each_value_have_derivatives_of_every_order(function: str) -> None:
    low = 1.2 if function == "math.acosh" else 0.2
    x = torch.linspace(low, low + 0.5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Pointwise(function), x)
    assert torch.autograd.gradgradcheck(Pointwise(function), x)
