"""Layers and models that change values in place: explained as if they did not, or refused in a sentence."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from signxai_torch import explain, explain_many
from tests.signxai_torch.nets import pictures, randomized

pytestmark = pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")

LRP = ["lrp_z", "lrp_epsilon_0_1", "lrp_flat", "lrp_alpha_1_beta_0"]


class Layer(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def swapped_in_place(x):
    x[..., 0], x[..., 1] = x[..., 1].clone(), x[..., 0].clone()
    return x


def swapped(x):
    return torch.cat([x[..., 1:2], x[..., :1], x[..., 2:]], -1)


PAIRS = {
    "another shape": (lambda x: x.mul_(2).transpose(1, 2), lambda x: (x * 2).transpose(1, 2)),
    "moves values": (swapped_in_place, swapped),
    "works on values": (lambda x: x.sigmoid_(), lambda x: x.sigmoid()),
    "relu": (F.relu_, F.relu),
    "copied back": (lambda x: x.copy_(x.flip(-1)), lambda x: x.flip(-1)),
    "multiplied by a copy": (lambda x: x.mul_(x.clone()), lambda x: x * x.clone()),
    "input changed, another returned": (lambda x: x.mul_(2) + 1, lambda x: x * 2 + 1),
}


def net(*layers: nn.Module) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), *layers, nn.Flatten(), nn.Linear(144, 4))
    return randomized(model)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("before", [nn.Identity(), nn.MaxPool2d(1)], ids=["behind a rule", "behind a gradient"])
def test_a_layer_of_ones_own_may_work_in_place(name, before):
    in_place, out_of_place = (net(before, Layer(function)) for function in PAIRS[name])
    for method in (*LRP, "gradient", "guided_backprop", "deep_taylor"):
        expected = explain(out_of_place, pictures(), method)
        assert expected.any()
        assert explain(in_place, pictures(), method) == pytest.approx(expected, rel=1e-9), method
    names = [*LRP, "gradient", "guided_backprop"]
    alone = explain_many(out_of_place, pictures(), names)
    together = explain_many(in_place, pictures(), names)
    assert all(together[method] == pytest.approx(alone[method], rel=1e-9) for method in names)


@pytest.mark.parametrize("kind", [nn.ELU, nn.ReLU, nn.Hardtanh, nn.SiLU, nn.LeakyReLU])
@pytest.mark.parametrize("where", ["after a kernel", "after another layer"])
def test_activations_of_torch_may_work_in_place(kind, where):
    ahead = [nn.AvgPool2d(1)] if where == "after another layer" else []
    plain, in_place = (net(*ahead, kind(inplace=flag)) for flag in (False, True))
    for method in (*LRP, "deep_taylor", "guided_backprop", "deep_lift"):
        expected = explain(plain, pictures(), method)
        assert np.array_equal(explain(in_place, pictures(), method), expected), method
    # autograd takes the derivative of an ELU in place from its result, which rounds
    expected = explain(plain, pictures(), "gradient")
    assert explain(in_place, pictures(), "gradient") == pytest.approx(expected, rel=1e-12)


class Later(nn.Module):
    """Changes what an activation returned, which its gradient needs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net(nn.Tanh())

    def forward(self, x):
        first, tanh, flat, last = self.net
        h = tanh(first(x))
        h += 1
        return last(flat(h))


@pytest.mark.parametrize("method", ["gradient", "smoothgrad"])
def test_what_autograd_needs_must_not_be_changed(method):
    with pytest.raises(RuntimeError, match=r"in ?place"):
        explain(Later(), pictures(), method)


@pytest.mark.parametrize("method", [*LRP, "guided_backprop", "deep_lift", "grad_cam"])
def test_what_rules_need_may_be_changed(method):
    """They have a copy where they need one."""
    found = explain(Later(), pictures(), method)
    assert np.array_equal(found, explain(net(nn.Tanh(), Layer(lambda h: h + 1)), pictures(), method))


class Between(nn.Module):
    """Two convolutions and a ReLU, and what a model's own code does with the output of that."""

    def __init__(self, change) -> None:
        super().__init__()
        self.first, self.relu, self.second = nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)
        self.change, self.last = change, nn.Linear(144, 4)

    def forward(self, x):
        h = self.change(self.relu(self.first(x)))
        return self.last(self.second(h).flatten(1))


@pytest.mark.parametrize(
    ("in_place", "out_of_place"),
    [
        (lambda h: h.transpose_(2, 3), lambda h: h.transpose(2, 3)),
        (lambda h: h.unsqueeze_(1).squeeze_(1), lambda h: h),
        (Layer(swapped_in_place), Layer(swapped)),
    ],
    ids=["transposed", "squeezed", "a layer"],
)
def test_the_output_of_a_relu_may_be_moved_in_place(in_place, out_of_place):
    """It is kept as a rule's input, and not made again from the ReLU's input, which knows nothing of the move."""
    plain, moved = (randomized(Between(change)) for change in (out_of_place, in_place))
    for method in (*LRP, "lrpsign_z"):
        expected = explain(plain, pictures(), method)
        assert explain(moved, pictures(), method) == pytest.approx(expected, rel=1e-9), method


class WithAnotherHead(nn.Module):
    """Calls a head whose output nobody asks for, so that no backward pass frees it."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.head = net(nn.Tanh()), nn.Sigmoid()

    def forward(self, x):
        self.head(x)
        return self.net(x)


@pytest.mark.parametrize("method", ["gradient", "deep_taylor", "lrp_z"])
@pytest.mark.parametrize("target", [1, 99])
def test_no_tensor_outlives_a_call(method, target):
    model, made = WithAnotherHead(), []
    for module in (model.head, model.net[0], model.net[1]):
        module.register_forward_hook(lambda module, inputs, output: made.append(weakref.ref(output)))
    try:
        explain(model, pictures(), method, target)
    except (ValueError, IndexError):
        assert target == 99
    gc.collect()
    assert made
    assert not [one for one in made if one() is not None]
