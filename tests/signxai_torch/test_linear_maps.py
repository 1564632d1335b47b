"""What rules ask of a dense layer and of a stabilizer where the numbers are of an odd kind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from signxai_torch import explain
from signxai_torch.lrp.arithmetic import divide, stabilize
from signxai_torch.operations import linear


class Biased(nn.Module):
    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4))
        self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


@pytest.mark.parametrize("block", [2**20, 6])
@pytest.mark.parametrize("shape", [(), (1,), (1, 3), (2, 3)])
@pytest.mark.parametrize("method", ["lrp_alpha_2_beta_1", "lrp_gamma", "lrp_z"])
def test_a_bias_of_any_shape_that_torch_takes(
    method: str, shape: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "BLOCK", block)  # so few weights at a time that the layer takes several
    x = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 0.25, 2.0, -0.5]], dtype=torch.float64)
    odd, plain = torch.full(shape, 0.3, dtype=torch.float64), torch.full((3,), 0.3, dtype=torch.float64)
    expected = explain(Biased(plain), x, method, target=1)
    np.testing.assert_allclose(explain(Biased(odd), x, method, target=1), expected, rtol=1e-12)


@pytest.mark.parametrize("epsilon", [math.inf, torch.tensor(math.inf)])
def test_an_epsilon_that_overflowed_leaves_no_relevance_and_no_nan(epsilon: float | Tensor) -> None:
    moved = stabilize(torch.tensor([2.0, -2.0, 0.0, -0.0]), epsilon)
    assert moved.tolist() == [math.inf, -math.inf, math.inf, math.inf]
    assert divide(torch.ones(4), moved).tolist() == [0.0] * 4
