"""Maps as arrays, or as tensors on the device of the input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import Explainer, explain, explain_many

METHODS = ["gradient", "lrp_z", "lrp.z", "lrp_flat", "smoothgrad", "grad_cam", "lrpsign_epsilon_0_25_std_x"]
X = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_holds_what_the_array_holds(model: nn.Module, method: str) -> None:
    params = {"seed": 1} if method == "smoothgrad" else {}
    there = explain(model, X, method, 1, to="torch", **params)
    assert isinstance(there, torch.Tensor)
    assert (there.device, there.requires_grad, there.grad_fn) == (X.device, False, None)
    np.testing.assert_array_equal(there.numpy(), explain(model, X, method, 1, **params))


def test_tensors_of_many_methods_share_no_memory(model: nn.Module) -> None:
    maps = explain_many(model, X, METHODS, 1, seed=1, to="torch")
    arrays = explain_many(model, X, METHODS, 1, seed=1)
    assert len({one.untyped_storage().data_ptr() for one in maps.values()}) == len(METHODS)
    for name, values in arrays.items():
        np.testing.assert_array_equal(maps[name].numpy(), values)
        maps[name].fill_(0)
    np.testing.assert_array_equal(explain(model, X, "lrp_z", 1), arrays["lrp_z"])


def test_an_explainer_hands_them_over_and_writes_files_all_the_same(model: nn.Module, tmp_path: Path) -> None:
    explainer = Explainer(model, ["gradient", "lrp_z"], to="torch")
    for _ in range(3):
        assert {type(one) for one in explainer(X, 1).values()} == {torch.Tensor}
    assert all(isinstance(one["lrp_z"], torch.Tensor) for one in explainer.map(X, 1, batch_size=1))
    path = Explainer(model, "lrp_z", to="torch").write(X, tmp_path / "maps.npy", target=1)
    np.testing.assert_array_equal(np.load(path), explain(model, X, "lrp_z", 1))


def test_several_inputs_are_held_as_they_came() -> None:
    torch.manual_seed(1)
    pair = nn.Bilinear(4, 5, 3)
    maps = explain(pair, (torch.ones(2, 4), torch.ones(2, 5)), "gradient", 0, to="torch")
    assert [(type(one), one.shape) for one in maps] == [(torch.Tensor, (2, 4)), (torch.Tensor, (2, 5))]


@pytest.mark.parametrize("to", ["cuda", None, "Torch"])
def test_other_places_are_refused_before_anything_is_computed(model: nn.Module, to: Any) -> None:
    for call in (
        lambda: explain(model, X, "gradient", 1, to=to),
        lambda: explain_many(model, X, ["gradient"], 1, to=to),
        lambda: Explainer(model, "gradient", to=to),
    ):
        with pytest.raises(ValueError, match="'numpy' arrays, or as 'torch' tensors"):
            call()
