"""The channels go last in memory where a model can take it; the map comes back in the layout of the input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import signxai_torch
from signxai_torch import explain
from signxai_torch.operations.layout import NEEDS_ITS_OWN, Layout, channels_last


class Net(nn.Module):
    """Notes the memory layout of every input; `flat` says how it flattens."""

    def __init__(self, flat: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Linear(4 * 9, 5)
        self.flat, self.seen = flat, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append("first" if x.is_contiguous() else "last")
        if self.flat == "broken":
            raise RuntimeError("a model of its own kind")
        y = self.body(x)
        return self.head(y.view(len(y), -1) if self.flat == "view" else y.reshape(len(y), -1))


X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
METHODS = ("gradient", "lrp_epsilon_0_1", "flatlrp_alpha_1_beta_0", "integrated_gradients")


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_calls_view_is_explained_in_the_layout_it_needs(method):
    models = {flat: Net(flat).eval() for flat in ("view", "reshape")}
    maps = {flat: signxai_torch.explain(model, X, method, target=1) for flat, model in models.items()}
    np.testing.assert_allclose(maps["view"], maps["reshape"], rtol=1e-4, atol=1e-6 * np.abs(maps["view"]).max())
    assert set(models["reshape"].seen) == {"last"}
    assert models["view"].seen[:2] == ["last", "first"]
    assert models["view"].seen.count("last") == 1  # it is not tried again at every step


@pytest.mark.usefixtures("numpys_draws")
def test_smoothgrad_of_such_a_model_draws_its_noise_once():
    maps = []
    for flat in ("view", "reshape"):
        np.random.seed(3)
        maps.append(signxai_torch.explain(Net(flat).eval(), X, "smoothgrad", target=1))
    np.testing.assert_allclose(*maps, rtol=1e-4, atol=1e-6 * np.abs(maps[0]).max())


def test_any_other_error_is_the_models_own_and_comes_at_once():
    model = Net("broken").eval()
    with pytest.raises(RuntimeError, match="of its own kind"):
        signxai_torch.explain(model, X, "gradient", target=1)
    assert model.seen == ["last"]


@pytest.mark.parametrize("method", METHODS)
def test_maps_lie_in_memory_as_the_input_does(method):
    model = Net("reshape").eval()
    assert signxai_torch.explain(model, X, method, target=1).flags.c_contiguous
    assert signxai_torch.explain_many(model, X, [method], target=1)[method].flags.c_contiguous


@pytest.mark.parametrize(
    "x",
    [X.double(), X[0], X.contiguous(memory_format=torch.channels_last), X[:, :, ::2]],
    ids=["float64", "three axes", "last already", "strided"],
)
def test_everything_but_contiguous_float32_pictures_is_left_as_it_is(x):
    assert channels_last(x) is x


def test_the_message_of_torch_is_the_one_that_is_looked_for():
    x = X.contiguous(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match=NEEDS_ITS_OWN):
        x.view(2, -1)


def test_a_layout_stays_as_it_had_to_be():
    seen = []

    def compute(x: Tensor) -> Tensor:
        seen.append(x.is_contiguous())
        return x.view(2, -1)

    layout = Layout()
    assert torch.equal(layout.run(compute, X), X.flatten(1))
    layout.run(compute, X)
    assert seen == [False, True, True]


@pytest.mark.parametrize("shape", [(1, 3, 4, 6), (1, 1, 4, 6), (2, 3, 4, 6), (1, 3, 1, 6)])
def test_a_picture_given_its_batch_axis_by_unsqueeze_is_explained_as_any_other(shape):
    """torch's BatchNorm2d takes the stride that `unsqueeze(0)` gives for another layout, and its gradient is wrong."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(shape[1]), nn.Flatten(), nn.Linear(math.prod(shape[1:]), 3)).double().eval()
    nn.init.normal_(model[0].weight)
    pictures = torch.randn(shape[0], *shape[2:], shape[1], dtype=torch.float64)
    x = pictures[0].permute(2, 0, 1).unsqueeze(0) if shape[0] == 1 else pictures.permute(0, 3, 1, 2)
    for method in ("gradient", "lrp_z", "integrated_gradients", "smoothgrad"):
        options = {"seed": 0} if method == "smoothgrad" else {}
        expected = explain(model, x.contiguous().clone(), method, target=1, **options)
        np.testing.assert_allclose(explain(model, x, method, target=1, **options), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_convolutions_of_grey_pictures_have_the_channels_last_too(method):
    """Of one channel the same memory is both layouts, and only its strides say which is meant."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)).eval()
    lie = []
    model[0].register_forward_hook(lambda module, inputs, made: lie.append(made.is_contiguous()))
    x = torch.randn(2, 1, 8, 8)
    made = explain(model, x, method, target=1)
    assert lie
    assert not any(lie)
    assert x.is_contiguous()
    doubled = explain(model.double(), x.double(), method, target=1)
    np.testing.assert_allclose(made, doubled, rtol=1e-3, atol=1e-5 * np.abs(doubled).max())
