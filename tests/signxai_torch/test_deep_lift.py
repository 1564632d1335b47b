"""DeepLIFT (Rescale): what its paper promises, whatever the implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import BeyondReferenceWarning, UnhookedOperationError, explain
from signxai_torch.families.deep_lift import SummationToDeltaError, check_sums
from signxai_torch.lrp.assignment import Assignment
from tests.signxai_torch.nets import TorchvisionLike, cnn, curves, mlp, pictures, randomized, series

SMOOTH = nn.Sequential(
    nn.Conv2d(2, 3, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 6), nn.Sigmoid(), nn.Linear(6, 4)
)
OVERLAPPING = nn.Sequential(
    nn.Conv2d(2, 3, 3),
    nn.LeakyReLU(),
    nn.MaxPool2d(3, 2, 1),
    nn.ELU(),
    nn.MaxPool2d(2, 1),
    nn.Flatten(),
    nn.Linear(6, 4),
)
NETS = {
    "cnn": (cnn, pictures),
    "mlp": (mlp, pictures),
    "series": (series, curves),
    "torchvision": (lambda: randomized(TorchvisionLike()), pictures),
    "smooth": (lambda: randomized(SMOOTH), pictures),
    "overlapping_pools": (lambda: randomized(OVERLAPPING), pictures),
}
BASELINES = {
    "zero": 0.0,
    "number": -0.4,
    "sample": lambda x: x[:1].flip(-1),
    "batch": lambda x: x.flip(0) * 0.5,
}


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("net", NETS)
def test_the_map_sums_to_the_change_of_the_logit(net, baseline):
    """Summation to delta, through biases, max-pooling with changing winners, and ties."""
    build, inputs = NETS[net]
    model, x = build(), inputs()
    chosen = BASELINES[baseline]
    reference = (chosen(x) if callable(chosen) else torch.full_like(x, chosen)).expand_as(x)
    for target in range(4):
        found = explain(model, x, "deep_lift", target, baseline=chosen)
        with torch.no_grad():
            change = (model(x) - model(reference))[:, target].numpy()
        assert found.reshape(3, -1).sum(1) == pytest.approx(change, rel=1e-9, abs=1e-11)


def convolutional() -> nn.Sequential:
    layers = [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 3, 2), nn.ELU(), nn.AvgPool2d(2)]
    return randomized(nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 4)))


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("baseline", [0.0, -0.4])
@pytest.mark.parametrize(
    "build", [mlp, convolutional, NETS["smooth"][0], NETS["overlapping_pools"][0]], ids=lambda one: one.__name__
)
def test_it_is_captums(build, baseline):
    """Not where a pool follows a ReLU, see `test_a_window_whose_maximum_moves`."""
    captum = pytest.importorskip("captum.attr")
    model, x = build(), pictures()
    for target in range(4):
        expected = captum.DeepLift(model).attribute(x, torch.full_like(x, baseline), target).detach().numpy()
        assert expected.any()
        assert explain(model, x, "deep_lift", target, baseline=baseline) == pytest.approx(
            expected, rel=1e-12, abs=1e-14
        )


def test_a_window_whose_maximum_moves():
    """Only the first value changes, by 3, and the maximum from 1 to 3: it is owed 2 (captum 0.9.0 gives it 3)."""
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1)).double()
    with torch.no_grad():
        model[3].weight.fill_(1.0)
    x, before = (torch.tensor([[[[first, 1.0], [0.0, 0.0]]]], dtype=torch.float64) for first in (3.0, 0.0))
    assert explain(model, x, "deep_lift", 0, baseline=lambda _: before).ravel().tolist() == [2.0, 0.0, 0.0, 0.0]


def test_on_a_linear_net_it_is_input_times_gradient():
    model = randomized(nn.Sequential(nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 4)))
    x = pictures()
    expected = explain(model, x, "input_t_gradient", 1)
    assert explain(model, x, "deep_lift", 1) == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_it_sees_what_saturates():
    """The paper's own example: 1 - relu(1 - a - b) has no gradient at a = b = 1, yet both inputs matter."""
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    with torch.no_grad():
        model[0].weight.fill_(-1.0)
        model[0].bias.fill_(1.0)
        model[2].weight.fill_(-1.0)
        model[2].bias.fill_(1.0)
    x = torch.ones(1, 2, dtype=torch.float64)
    assert not explain(model, x, "input_t_gradient", 0).any()
    assert explain(model, x, "deep_lift", 0) == pytest.approx(np.array([[0.5, 0.5]]))


def test_an_input_equal_to_the_baseline_gets_nothing():
    x = pictures()
    x[:, :, 3] = 0.25
    found = explain(cnn(), x, "deep_lift", baseline=0.25)
    assert not found[:, :, 3].any()
    assert found[:, :, 4].any()
    assert not explain(cnn(), x, "deep_lift", baseline=lambda x: x).any()


def test_a_tiny_difference_through_a_pool_uses_the_gradient():
    x = pictures(1)
    found = explain(cnn(), x, "deep_lift", 2, baseline=lambda x: x - 1e-9)
    assert found == pytest.approx(explain(cnn(), x, "gradient", 2) * 1e-9, rel=1e-4)


def test_a_tiny_difference_through_activations_uses_the_gradient():
    x = pictures(1)
    found = explain(mlp(), x, "deep_lift", 2, baseline=lambda x: x - 1e-9)
    assert found == pytest.approx(explain(mlp(), x, "gradient", 2) * 1e-9, rel=1e-4)


def test_the_target_is_that_of_the_sample_not_of_the_baseline():
    model, x = cnn(), pictures()
    best = model(x).argmax(1)
    assert np.array_equal(
        explain(model, x, "deep_lift", baseline=0.3), explain(model, x, "deep_lift", best, baseline=0.3)
    )


class Own(nn.Module):
    """A module of somebody's own that bends and that nobody knows."""

    def forward(self, x):
        return x * torch.sigmoid(x)


FROM_THE_LITERATURE = [nn.Softmax(1), nn.GLU(1), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), Own()]


@pytest.mark.parametrize("layer", FROM_THE_LITERATURE, ids=lambda layer: type(layer).__name__)
def test_rules_of_the_literature_keep_the_sum_and_are_told(layer):
    model = nn.Sequential(nn.Conv2d(2, 4, 3), layer, nn.Flatten(), nn.LazyLinear(4))
    model(torch.zeros(1, 2, 8, 6))
    x = pictures()
    with pytest.warns(BeyondReferenceWarning, match="Lundberg and Lee 2017"):
        found = explain(randomized(model), x, "deep_lift", 1, baseline=0.3)
    with torch.no_grad():
        change = (model(x) - model(torch.full_like(x, 0.3)))[:, 1].numpy()
    assert found.reshape(3, -1).sum(1) == pytest.approx(change, rel=1e-9)
    with pytest.raises(UnhookedOperationError, match="no reference has a rule for"):
        explain(model, x, "deep_lift", 1, strict=True)


class Larger(nn.Module):
    """Takes the larger of two by a mask, whose change is no matter of degree."""

    def forward(self, x):
        return x * (x > x.flip(-1)) + torch.where(x > x.flip(-1), 0.0, x.flip(-1))


@pytest.mark.parametrize(
    ("layer", "name"), [(Larger(), "where in 1"), (nn.LocalResponseNorm(2), "local_response_norm")]
)
def test_an_operation_without_a_rule_is_named_where_the_sum_does_not_hold(layer, name):
    model = nn.Sequential(nn.Conv2d(2, 4, 3), layer, nn.Flatten(), nn.LazyLinear(4))
    model(torch.zeros(1, 2, 8, 6))
    with pytest.raises(SummationToDeltaError, match=f"without a rule of its own: .*{name}"):
        explain(randomized(model), pictures(), "deep_lift", baseline=lambda x: x.flip(0))


def test_float32_rounds_by_far_less_than_what_is_refused():
    model = nn.Sequential(*[nn.Sequential(nn.Linear(20, 20), nn.Mish()) for _ in range(30)], nn.Linear(20, 4))
    x = torch.randn(16, 20, generator=torch.Generator().manual_seed(0))
    explain(randomized(model).float(), x, "deep_lift")


def test_a_mish_has_the_rule():
    model = randomized(nn.Sequential(nn.Flatten(), nn.Linear(96, 6), nn.Mish(), nn.Linear(6, 4)))
    x = pictures()
    with torch.no_grad():
        change = (model(x) - model(torch.zeros_like(x)))[:, 1].numpy()
    assert explain(model, x, "deep_lift", 1).reshape(3, -1).sum(1) == pytest.approx(change, rel=1e-9)


def test_maps_that_are_not_finite_are_refused():
    model = randomized(nn.Sequential(nn.Flatten(), nn.Linear(96, 4)))
    found = torch.from_numpy(explain(model, pictures(), "deep_lift", 1))
    found[1] = torch.nan
    with pytest.raises(SummationToDeltaError, match="sample 1 sums to nan"):
        check_sums(Assignment(), found, torch.ones(6))


def test_a_large_logit_does_not_hide_a_wrong_sum():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), Larger(), nn.Flatten(), nn.Linear(72, 4))
    torch.manual_seed(0)
    for one in model.parameters():
        nn.init.normal_(one, std=0.1)
    nn.init.constant_(model[-1].bias, 30)
    with pytest.raises(SummationToDeltaError):
        explain(model, pictures().float(), "deep_lift", 1, baseline=lambda x: x.flip(0))
