"""Occlusion against the sentence that defines it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import explain
from tests.signxai_torch.nets import cnn, curves, pictures, randomized, series


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 2), (2, 2), (5, 4), (6, 1), (100, 1)])
def test_occlusion_is_the_mean_fall_of_the_logit(window, stride):
    """Windows start every `stride` positions, and one more reaches the end."""
    model, x = cnn(), pictures(2)
    found = explain(model, x, "occlusion", 1, window=window, stride=stride, baseline=0.3)
    starts = [sorted({*range(0, max(size - window, 0), stride), max(size - window, 0)}) for size in (8, 6)]
    total, count = np.zeros((2, 8, 6)), np.zeros((8, 6))
    for top in starts[0]:
        for left in starts[1]:
            covered = x.clone()
            covered[:, :, top : top + window, left : left + window] = 0.3
            with torch.no_grad():
                fall = (model(x) - model(covered))[:, 1].numpy()
            total[:, top : top + window, left : left + window] += fall[:, None, None]
            count[top : top + window, left : left + window] += 1
    assert (count > 0).all()
    expected = np.repeat((total / count)[:, None], 2, axis=1)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_on_a_linear_net_a_window_of_one_is_input_times_gradient_summed_over_channels():
    model = randomized(nn.Sequential(nn.Flatten(), nn.Linear(96, 4)))
    x = pictures()
    expected = explain(model, x, "input_t_gradient", 2).sum(1, keepdims=True).repeat(2, axis=1)
    assert explain(model, x, "occlusion", 2, window=1, stride=1) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_series_and_features():
    assert explain(series(), curves(), "occlusion").shape == (3, 2, 12)
    dense = randomized(nn.Linear(9, 4))
    x = torch.as_tensor(np.random.RandomState(0).normal(size=(3, 9)))
    found = explain(dense, x, "occlusion", 0, window=1, stride=1)
    assert found == pytest.approx(x.numpy() * dense.weight[0].detach().numpy(), rel=1e-9, abs=1e-12)
