"""Functions get the rules of the modules of the same name, and what is no layer gets a rule of its own."""

from __future__ import annotations

import operator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zennit.layer import Sum

from signxai_torch import explain, explain_many
from signxai_torch.families.deep_lift import SummationToDeltaError
from tests.signxai_torch.nets import cnn, pictures, randomized

LRP = ("lrp_z", "lrpsign_epsilon_0_1", "lrp.alpha_2_beta_1", "flatlrp_z", "lrp_gamma")
METHODS = (*LRP, "guided_backprop", "deconvnet", "deep_taylor", "deep_lift", "gradient", "grad_cam")

pytestmark = pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")


class Net(nn.Module):
    """For inputs (N, 2, 8, 6): `between` stands between two layers; it may be a module of the model."""

    def __init__(self, between) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 2, 3, padding=1), nn.LazyLinear(4)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x), x).flatten(1))


def net(between) -> nn.Module:
    model = Net(between)
    model(torch.zeros(1, 2, 8, 6))
    return randomized(model)


class Unary(nn.Module):
    """A module of torch in the place of `between`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        return self.module(h)


class Added(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sum = Sum()

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        return self.sum(torch.stack([h, x], -1))


TWINS = {
    "F.relu": (lambda h, x: F.relu(h), nn.ReLU()),
    "torch.relu": (lambda h, x: torch.relu(h), nn.ReLU()),
    "method relu": (lambda h, x: h.relu(), nn.ReLU()),
    "relu_": (lambda h, x: torch.relu_(h), nn.ReLU()),
    "relu in place": (lambda h, x: F.relu(h, inplace=True), nn.ReLU()),
    "relu6": (lambda h, x: F.relu6(h), nn.ReLU6()),
    "sigmoid": (lambda h, x: h.sigmoid(), nn.Sigmoid()),
    "tanh": (lambda h, x: torch.tanh(h), nn.Tanh()),
    "gelu": (lambda h, x: F.gelu(h), nn.GELU()),
    "silu": (lambda h, x: F.silu(h), nn.SiLU()),
    "hardswish": (lambda h, x: F.hardswish(h), nn.Hardswish()),
    "adaptive pooling": (lambda h, x: F.adaptive_avg_pool2d(h, 2), nn.AdaptiveAvgPool2d(2)),
    "average pooling": (lambda h, x: F.avg_pool2d(h, 2), nn.AvgPool2d(2)),
    "max pooling": (lambda h, x: F.max_pool2d(h, 2), nn.MaxPool2d(2)),
    "dropout": (lambda h, x: F.dropout(h), nn.Dropout()),
    "flatten": (lambda h, x: torch.flatten(h, 1), nn.Flatten()),
    "pad": (lambda h, x: F.pad(h, (1, 1, 1, 1)), nn.ZeroPad2d(1)),
    "shuffle": (lambda h, x: F.pixel_unshuffle(h, 2), nn.PixelUnshuffle(2)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", TWINS)
def test_a_function_is_explained_as_its_module(what, method):
    function, module = TWINS[what]
    expected = explain(net(Unary(module)), pictures(), method, 1)
    assert np.array_equal(explain(net(function), pictures(), method, 1), expected)


SUMS = {
    "+": operator.add,
    "+=": operator.iadd,
    "torch.add": torch.add,
    "add": lambda h, x: h.add(x),
    "add_": lambda h, x: h.add_(x),
    "sum": lambda h, x: torch.stack([h, x], -1).sum(-1),
    "builtin": lambda h, x: sum([h, x]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", SUMS)
def test_a_sum_of_branches_is_explained_as_the_layer_of_zennit(what, method):
    expected = explain(net(Added()), pictures(), method, 1)
    assert explain(net(SUMS[what]), pictures(), method, 1) == pytest.approx(expected, rel=1e-9, abs=1e-12)


class Functional(nn.Module):
    """The weights of a net of modules, and functions that use them."""

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.weights = nn.ParameterList(model.parameters())

    def forward(self, x: Tensor) -> Tensor:
        w = self.weights
        x = F.relu(F.conv2d(x, w[0], w[1], padding=1))
        x = torch.relu(torch.conv2d(x, weight=w[2], bias=w[3], padding=1))
        x = F.max_pool2d(x, 2)
        x = F.linear(x.reshape(len(x), -1), w[4], w[5]).clamp_min(0)
        return F.linear(x, bias=w[7], weight=w[6])


@pytest.mark.parametrize("method", METHODS)
def test_a_net_without_any_layers_is_explained_as_one_of_layers(method):
    plain = cnn()
    assert np.array_equal(explain(Functional(plain), pictures(), method, 1), explain(plain, pictures(), method, 1))


@pytest.mark.parametrize("method", LRP)
def test_products_of_matrices_with_a_weight_are_dense_layers(method):
    weight = torch.randn(96, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    ways = (lambda h, x: h.flatten(1) @ weight.to(h.dtype), lambda h, x: torch.mm(h.flatten(1), weight.to(h.dtype)),
            lambda h, x: torch.addmm(h.new_zeros(5), h.flatten(1), weight.to(h.dtype)),
            lambda h, x: torch.einsum("nf,fo->no", h.flatten(1), weight.to(h.dtype)))  # fmt: skip
    linear = net(lambda h, x: F.linear(h.flatten(1), weight.T.contiguous().to(h.dtype)))
    expected = explain(linear, pictures(), method, 1)
    assert expected.any()
    for way in ways:
        assert explain(net(way), pictures(), method, 1) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_value_times_itself_is_its_square(method):
    expected = explain(net(lambda h, x: h.square()), pictures(), method, 1)
    ways = [lambda h, x: h * h, lambda h, x: torch.mul(h, other=h)]
    ways += [lambda h, x: h.mul_(h)] if method != "gradient" else []  # autograd cannot
    for way in ways:
        assert np.array_equal(explain(net(way), pictures(), method, 1), expected)


RECTIFIERS = {
    "maximum": lambda h, x: torch.maximum(h, h.new_zeros(1)),
    "clamp": lambda h, x: h.clamp(min=0),
    "clamp_min": lambda h, x: torch.clamp_min(h, 0),
    "clamp with a tensor": lambda h, x: h.clamp(min=h.new_zeros(2, 1, 1)),
    "threshold": lambda h, x: F.threshold(h, 0, 0),
    "leaky": lambda h, x: F.leaky_relu(h, 0.0),
}
OTHERS = {
    "maximum of two": lambda h, x: torch.maximum(h, x),
    "maximum with one": lambda h, x: torch.maximum(h, h.new_ones(1)),
    "clamp to one": lambda h, x: h.clamp(0, 1),
    "hardtanh": lambda h, x: F.hardtanh(h),
    "celu": lambda h, x: F.celu(h),
    "threshold with another value": lambda h, x: F.threshold(h, 0.5, 0.25),
}


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
@pytest.mark.parametrize("what", RECTIFIERS)
def test_rectifiers_by_other_names(what, method):
    """The gradient of `maximum` at a tie is a half, and that of a clamp one; so the tie is taken off."""
    expected = explain(net(lambda h, x: F.relu(h - 0.01)), pictures(), method, 1)
    function = RECTIFIERS[what]
    assert explain(net(lambda h, x: function(h - 0.01, x)), pictures(), method, 1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_rectifier_takes_its_gradient(what, method):
    model = randomized(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Flatten(), nn.Linear(96, 4)))
    first, flat, last = model

    class Bent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = first, last

        def forward(self, x):
            return self.last(flat(OTHERS[what](self.first(x), x)))

    bent, x = Bent().eval(), pictures()
    logit = bent(x)[:, 1].detach().numpy()[:, None, None, None]
    assert explain(bent, x, method, 1) == pytest.approx(explain(bent, x, "gradient", 1) * logit, rel=1e-9, abs=1e-12)


MOVES = {
    "view": lambda h, x: h.view(len(h), -1),
    "reshape": lambda h, x: h.transpose(1, 3).reshape(len(h), 4, -1),
    "permute": lambda h, x: h.permute(0, 2, 3, 1).contiguous(),
    "cat": lambda h, x: torch.cat([h, x], 1),
    "slice": lambda h, x: h[:, :1, 2:, ::2],
    "index": lambda h, x: h[:, [1, 0]],
    "amax": lambda h, x: h.amax((2, 3)),
    "squeeze": lambda h, x: h.unsqueeze(1).squeeze(1).clone(),
    "expand": lambda h, x: h[:, :, None].expand(-1, -1, 2, -1, -1),
    "sort": lambda h, x: h.sort(-1).values,
    "rot90": lambda h, x: h.rot90(1, (2, 3)),
    "interpolate": lambda h, x: F.interpolate(h, scale_factor=2, mode="bilinear"),
    "circular": lambda h, x: F.pad(h, (1, 0, 0, 0), mode="circular"),
    "where": lambda h, x: torch.where(x > 0, h, x),
    "masked_fill": lambda h, x: h.masked_fill(h < 0.5, 0),
}


@pytest.mark.parametrize("method", [*METHODS[:-1]])
@pytest.mark.parametrize("what", MOVES)
def test_what_moves_values_may_be_a_function(what, method):
    if method == "deep_lift" and what in ("where", "masked_fill"):
        with pytest.raises(SummationToDeltaError, match=f"{what} in the model"):  # which way is no matter of degree
            explain(net(MOVES[what]), pictures(), method)
        return
    if method in ("guided_backprop", "deconvnet") and what in ("where", "masked_fill"):
        return  # see test_refusals: it may be a ReLU
    assert explain(net(MOVES[what]), pictures(), method).any()


@pytest.mark.parametrize("what", MOVES)
def test_what_moves_values_keeps_the_sum(what):
    """Without biases: LRP-0 of the logit is the logit, whatever goes where."""
    model = net(MOVES[what])
    with torch.no_grad():
        model.first.bias.zero_()
        model.last.bias.zero_()
    found = explain(model, pictures(), "lrp_z", 1).sum((1, 2, 3))
    assert found == pytest.approx(model(pictures())[:, 1].detach().numpy(), rel=1e-9)


class Joined(nn.Module):
    def forward(self, one, other):
        return torch.cat([one, other], 1)


class Plus(nn.Module):
    def forward(self, one, other):
        return one + other


class Gate(nn.Module):
    def forward(self, one, other):
        return one * other


@pytest.mark.parametrize("method", METHODS[:-1])
@pytest.mark.parametrize(
    ("layer", "function"),
    [(Joined(), MOVES["cat"]), (Plus(), operator.add), (Gate(), operator.mul)],
    ids=["cat", "add", "mul"],
)
def test_a_layer_that_joins_tensors_is_looked_into(layer, function, method):
    assert np.array_equal(explain(net(layer), pictures(), method), explain(net(function), pictures(), method))


def test_modules_may_compute_what_they_like():
    class Swish(nn.Module):
        def forward(self, x):
            return x * x.sigmoid()

    for between in (Swish(), nn.GLU(1), nn.Mish(), nn.LocalResponseNorm(2)):
        for method in (*LRP, "guided_backprop", "deep_taylor"):
            assert explain(net(Unary(between)), pictures(), method).any()


def test_all_methods_at_once():
    names = ["gradient", "lrp_z", "guided_backprop", "lrp_flat"]
    together = explain_many(net(operator.add), pictures(), names, 1)
    for name in names:
        assert np.array_equal(together[name], explain(net(operator.add), pictures(), name, 1))
