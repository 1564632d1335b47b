"""What moves values moves relevance, what works on each value passes it on, whoever wrote it and however."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from signxai_torch import explain, explain_many
from signxai_torch.lrp import rules
from tests.signxai_torch.nets import pictures, randomized
from tests.signxai_torch.single_layers import by_port


class Layer(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, *more, **further):
        return self.function(x)


def by_slices(x):
    out = torch.zeros_like(x)
    out[..., 1:] = x[..., :-1]
    return out


def in_place(x):
    return x.clone().clamp_(min=0)


def swapped(x):
    out = x.clone()
    out[..., 0], out[..., 1] = x[..., 1], x[..., 0]
    return out


MOVING = {
    "by slices": by_slices,
    "roll": lambda x: x.roll(1, -1),
    "circular": lambda x: F.pad(x, (1, 0, 0, 0), mode="circular")[..., :-1],
    "flip": lambda x: x.flip(1),
    "transpose": lambda x: x.transpose(1, 2).contiguous().view(x.shape),
    "sort": lambda x: x.sort(-1).values,
    "take": lambda x: x[:, torch.arange(x.shape[1] - 1, -1, -1)],
    "two of all": swapped,
    "copy": lambda x: x.clone(),
}
STAYING = {
    "relu": lambda x: x.relu(),
    "relu in place": in_place,
    "swish": lambda x: x * x.sigmoid(),
    "threshold": lambda x: F.threshold(x, 0.5, 0),
    "twice": lambda x: x.tanh().abs(),
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
}


@pytest.mark.parametrize("shape", [(1, 3), (2, 3, 4), (1, 6, 5, 4)])
@pytest.mark.parametrize("what", [*MOVING, *STAYING])
def test_what_moves_values_is_told_from_what_works_on_them(what, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if len(shape) == 2 and what in ("circular", "flip", "transpose", "take"):
        x = x.reshape(1, 1, 1, 3) if what == "circular" else x.reshape(1, 3, 1)
    function = {**MOVING, **STAYING}[what]
    point = x.clone().requires_grad_()
    made = function(point)
    R = torch.randn(made.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (moved,) = torch.autograd.grad(made, point, R) if what in MOVING else (R,)
    found = by_port(Layer(function), rules.Z(), x.numpy(), R.numpy())
    assert np.array_equal(found, moved.numpy())


pytestmark = pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")


def net(layer: nn.Module) -> nn.Sequential:
    return randomized(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), layer, nn.Flatten(), nn.Linear(144, 4)))


@pytest.mark.parametrize("method", ["lrp_z", "lrp_epsilon_0_1", "lrp_flat"])
def test_ways_to_write_one_move_are_explained_alike(method):
    padded = explain(net(Layer(lambda x: F.pad(x, (1, 0))[..., :-1])), pictures(), method, 1)
    assert explain(net(Layer(by_slices)), pictures(), method, 1) == pytest.approx(padded, rel=1e-9)
    rolled = explain(net(Layer(lambda x: x.roll(1, -1))), pictures(), method, 1)
    assert explain(net(Layer(MOVING["circular"])), pictures(), method, 1) == pytest.approx(rolled, rel=1e-9)
    assert not np.allclose(padded, explain(net(nn.Identity()), pictures(), method, 1))


class Called(nn.Module):
    """A net whose activation is called with keywords and further arguments."""

    def __init__(self, call) -> None:
        super().__init__()
        self.net, self.call = net(Layer(STAYING["swish"])), call

    def forward(self, x):
        first, tanh, swish, flat, last = self.net
        return last(flat(self.call(swish, tanh(first(x)))))


@pytest.mark.parametrize("method", ["lrp_z", "lrp_epsilon_0_1", "lrp.alpha_1_beta_0"])
def test_how_a_layer_is_called_does_not_change_its_rule(method):
    expected = explain(net(Layer(STAYING["swish"])), pictures(), method, 1)
    for call in (lambda layer, x: layer(x=x), lambda layer, x: layer(x, True), lambda layer, x: layer(x, flag=True)):
        model = Called(call)
        assert np.array_equal(explain(model, pictures(), method, 1), expected)


@pytest.mark.parametrize("method", ["lrpsign_z", "flatlrp_z", "lrp_z"])
def test_a_layer_that_returns_its_very_input_hides_no_input_layer(method):
    model = net(nn.Tanh())
    ahead = nn.Sequential(nn.Sequential(), Layer(lambda x: x), *model)
    assert np.array_equal(explain(ahead, pictures(), method, 1), explain(model, pictures(), method, 1))


@pytest.mark.parametrize(
    "method",
    ["gradient", "lrpsign_z", "flatlrp_z", "lrp_z_IB", "deep_taylor", "grad_cam", "guided_grad_cam", "guided_backprop"],
)
@pytest.mark.parametrize("where", ["leaves", "root", "container"])
def test_full_backward_hooks_of_the_user_change_no_map(method, where):
    inner = nn.Sequential(nn.Sigmoid(), nn.Conv2d(3, 3, 3))
    model = randomized(nn.Sequential(nn.Conv2d(2, 3, 3), inner, nn.Tanh(), nn.Flatten(), nn.Linear(24, 4)))
    targets = range(4)
    plain = [explain(model, pictures(), method, target) for target in targets]
    assert any(one.any() for one in plain)
    hooked = {"leaves": [*inner, *(one for one in model if one is not inner)], "root": [model], "container": [inner]}
    seen = []
    for module in hooked[where]:
        module.register_full_backward_hook(lambda *_: seen.append(1))
    found = [explain(model, pictures(), method, target) for target in targets]
    assert not seen, "a hook that watches training sees no explanation"
    assert all(np.array_equal(one, other) for one, other in zip(plain, found, strict=True))


class Counting(nn.Module):
    """An activation that counts how often it is called."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.function(x)


@pytest.mark.parametrize("function", [torch.relu, by_slices, lambda x: x * x.sigmoid()])
def test_a_layer_is_asked_once_whoever_asks_and_its_count_stays(function):
    calls = []
    layer = Counting(lambda x: calls.append(1) or function(x))
    model = net(layer)
    explain_many(model, pictures(), ["lrp_z", "lrp_epsilon_0_1", "lrp_flat", "lrp_alpha_1_beta_0"], 1)
    assert len(calls) == 1
    assert layer.calls == 0


class Sign(nn.Module):
    def forward(self, x):
        return x > 0


class WithSign(nn.Module):
    """A net with a layer beside it whose result has no gradient, and may not have one."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.sign = net(nn.Tanh()), Sign()

    def forward(self, x):
        return self.net(x) if self.sign(x).any() else x


@pytest.mark.parametrize("method", ["lrp_z", "lrp_flat"])
def test_a_layer_without_a_gradient_gets_no_rule(method):
    expected = explain(net(nn.Tanh()), pictures(), method)
    assert np.array_equal(explain(WithSign(), pictures(), method), expected)
