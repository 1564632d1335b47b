"""Every rule on every kind of layer, held to an oracle that shares nothing with torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from zennit.layer import Sum

from parity.keras.modules.activations import Exponential
from parity.keras.modules.pooling import (
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalMaxPool,
    PaddedAvgPool1d,
    PaddedAvgPool2d,
    PaddedMaxPool1d,
    PaddedMaxPool2d,
)
from signxai_torch.lrp import rules
from tests.signxai_torch.oracles import formulas, matrices
from tests.signxai_torch.single_layers import (
    DATA,
    LAYERS,
    RULES,
    by_port,
    disagreement,
    distance,
    dyadic,
    prepared,
    relevance_like,
    special,
)

EXACT = 1e-12


@pytest.mark.parametrize(
    ("layer", "rule"),
    [pytest.param(layer, RULES[rule], id=f"{layer}-{rule}") for layer in LAYERS for rule in RULES],
)
def test_rule(layer, rule):
    for data in DATA:
        assert disagreement(layer, rule, data) <= EXACT, data


def test_every_rule_of_the_port_is_held():
    assert {type(rule.build()) for rule in RULES.values()} == set(rules.RULES.values())


@pytest.mark.parametrize("name", LAYERS)
def test_the_explicit_matrix_is_the_layer(name):
    """Or the oracle would speak about another layer."""
    for data in DATA:
        module, affine, x, _ = prepared(name, data)
        with torch.no_grad():
            output = module(torch.as_tensor(x)).numpy()
        for u, y in zip(x, output, strict=True):
            assert np.array_equal(affine.matrix(formulas.whole) @ u.ravel() + affine.bias, y.ravel())


@pytest.mark.parametrize("name", LAYERS)
def test_the_data_hold_what_rules_trip_over(name):
    _, affine, x, R = prepared(name, "coarse")
    signed = x[:3].reshape(3, -1)
    assert (signed < 0).any()
    assert ((signed == 0) & np.signbit(signed)).any()
    assert ((signed == 0) & ~np.signbit(signed)).any()
    W = affine.matrix(formulas.whole)
    denominators = signed @ W.T + affine.bias
    terms = np.abs(signed) @ np.abs(W).T
    relevance = R[:3].reshape(3, -1)
    assert (denominators < 0).any()
    assert (relevance == 0).any()
    assert ((denominators == 0) & (terms > 0) & (relevance != 0)).any(), "no sum cancels to exactly zero"


def test_stdx_over_the_batch_is_an_option():
    module, affine, x, R = prepared("conv2d_stride", "fine")
    found = by_port(module, rules.StdxEpsilon(0.25, use_global_std=True), x, R)
    whole = 0.25 * formulas.population_std(x)
    expected = [formulas.epsilon(affine, u.ravel(), r.ravel(), epsilon=whole) for u, r in zip(x, R, strict=True)]
    assert distance(found, np.stack(expected).reshape(x.shape)) <= EXACT


def test_an_input_without_spread_gives_stdx_no_stabilizer():
    """The formula says 0 / 0 there; the port puts 1e-7 in place of a zero, as everywhere else."""
    for name in ("dense", "conv2d_stride", "conv2d_no_bias"):
        module, affine, x, R = prepared(name, "coarse")
        found = by_port(module, rules.StdxEpsilon(0.25), x, R)
        assert np.isfinite(found).all()
        assert not found[-1].any()
        constant = np.full_like(x[:1], 2.0)
        expected = formulas.z(affine, constant[0].ravel(), R[0].ravel()).reshape(constant.shape)
        assert distance(by_port(module, rules.StdxEpsilon(0.25), constant, R[:1]), expected) <= EXACT


# Layers without a kernel: what a composite makes of them.


def through(module: nn.Module, x: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Return the relevance that passes a layer in a model, whatever rule the composite has for its operations."""
    return by_port(module.double(), rules.Z(), x, R)


def samples(shape: tuple[int, ...], data: str) -> np.ndarray:
    """Two samples: one with both signs and zeros, one rectified with large dark areas (ties at zero)."""
    random = np.random.RandomState(5)
    grain, spread = DATA[data]
    signed = special(dyadic(random, shape, grain, spread))
    dark = dyadic(random, shape, grain, spread).clip(min=0)
    dark[..., : shape[-1] // 2 + 1] = 0.0
    return np.stack([signed, dark])


AVERAGES = {
    "avgpool1d": (lambda: nn.AvgPool1d(2), (3, 6), ((2,), (2,), None)),
    "avgpool1d_overlap": (lambda: nn.AvgPool1d(3, stride=2), (2, 7), ((3,), (2,), None)),
    "avgpool1d_same": (lambda: PaddedAvgPool1d(((0, 1),), 2, stride=2), (2, 5), ((2,), (2,), [(0, 1)])),
    "avgpool2d": (lambda: nn.AvgPool2d(2), (3, 4, 6), ((2, 2), (2, 2), None)),
    "avgpool2d_stride": (lambda: nn.AvgPool2d((2, 3), stride=(1, 2)), (2, 4, 7), ((2, 3), (1, 2), None)),
    "avgpool2d_padding": (
        lambda: nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 5, 4),
        ((3, 3), (2, 2), [(1, 1), (1, 1)]),
    ),
    "avgpool2d_same": (
        lambda: PaddedAvgPool2d(((0, 1), (1, 1)), (2, 3), stride=(2, 1)), (2, 5, 4), ((2, 3), (2, 1), [(0, 1), (1, 1)]),
    ),
    "global_avgpool1d": (GlobalAvgPool1d, (3, 6), ((6,), (1,), None)),
    "global_avgpool2d": (GlobalAvgPool2d, (3, 4, 5), ((4, 5), (1, 1), None)),
    "adaptive_avgpool2d": (lambda: nn.AdaptiveAvgPool2d(2), (2, 4, 6), ((2, 3), (2, 3), None)),
}  # fmt: skip


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", AVERAGES)
def test_average_pooling(name, data):
    build, shape, window = AVERAGES[name]
    module, x = build().double(), samples(shape, data)
    affine = matrices.average_pool(shape, *window)
    R = relevance_like(module(torch.as_tensor(x)).numpy())
    expected = [formulas.z(affine, u.ravel(), r.ravel()).reshape(u.shape) for u, r in zip(x, R, strict=True)]
    assert distance(through(module, x, R), np.stack(expected)) <= EXACT


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("count", [2, 3])
def test_sum(count, data):
    x = samples((2, 3, count), data)
    affine = matrices.total(count, 6)
    R = relevance_like(x.sum(-1))
    expected = [formulas.z(affine, u.ravel(), r.ravel()).reshape(u.shape) for u, r in zip(x, R, strict=True)]
    assert distance(through(Sum(dim=-1), x, R), np.stack(expected)) <= EXACT


MAXIMA = {
    "maxpool1d": (lambda: nn.MaxPool1d(2), (3, 6), ((2,), (2,), None)),
    "maxpool1d_overlap": (lambda: nn.MaxPool1d(3, stride=2), (3, 7), ((3,), (2,), None)),
    "maxpool1d_same": (lambda: PaddedMaxPool1d(((0, 1),), 2, stride=2), (3, 5), ((2,), (2,), [(0, 1)])),
    "maxpool2d": (lambda: nn.MaxPool2d(2), (3, 4, 6), ((2, 2), (2, 2), None)),
    "maxpool2d_overlap": (lambda: nn.MaxPool2d(3, stride=2), (2, 5, 7), ((3, 3), (2, 2), None)),
    "maxpool2d_padding": (
        lambda: nn.MaxPool2d(3, stride=2, padding=1), (2, 5, 4), ((3, 3), (2, 2), [(1, 1), (1, 1)])
    ),
    "maxpool2d_same": (
        lambda: PaddedMaxPool2d(((0, 1), (1, 1)), (2, 3), stride=(2, 1)), (2, 5, 4), ((2, 3), (2, 1), [(0, 1), (1, 1)]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", MAXIMA)
def test_max_pooling_gives_a_tie_to_the_first(name, data):
    build, shape, window = MAXIMA[name]
    x = samples(shape, data)
    x = np.concatenate([x, np.zeros_like(x[:1]), -np.abs(x[:1])])
    module = build().double()
    R = relevance_like(module(torch.as_tensor(x)).numpy())
    expected = np.stack([matrices.max_pool(u, r, *window) for u, r in zip(x, R, strict=True)])
    assert distance(through(module, x, R), expected) <= EXACT


@pytest.mark.parametrize("shape", [(3, 7), (3, 4, 5)])
def test_global_max_pooling_shares_a_tie(shape):
    x = samples(shape, "coarse")
    R = relevance_like(x.reshape(2, 3, -1).max(-1))
    expected = np.stack([matrices.global_max_pool(u, r) for u, r in zip(x, R, strict=True)])
    assert distance(through(GlobalMaxPool(), x, R), expected) <= EXACT


@pytest.mark.parametrize(
    "build", [lambda: nn.MaxPool2d(3, 1, 1), lambda: nn.AvgPool2d(3, 1, 1)], ids=["max", "average"]
)
def test_pooling_that_keeps_the_shape(build):
    """SIGN-XAI hands relevance on where the shapes agree; averages keep their own rule."""
    module, x = build().double(), samples((2, 4, 5), "fine")
    R = relevance_like(x)
    found = through(module, x, R)
    if isinstance(module, nn.MaxPool2d):
        assert np.array_equal(found, R)
    else:
        assert not np.array_equal(found, R)


class Own(nn.Module):
    """A Swish of one's own: the factor that went through the sigmoid is a gate and takes nothing."""

    def forward(self, x):
        return x * torch.sigmoid(x)


class OwnInPlace(nn.Module):
    def forward(self, x):
        return x.tanh_().clamp_(min=0)


class Swapped(nn.Module):
    """Moves values and keeps the shape of a square."""

    def forward(self, x):
        return x.transpose(-1, -2).flip(-1).clone()


PASSING = [nn.ReLU(), nn.LeakyReLU(), nn.ELU(), nn.Tanh(), nn.Sigmoid(), nn.Dropout(0.5), nn.Identity(), nn.Softmax(1),
           nn.Mish(), Own(), OwnInPlace(), Exponential(), nn.LogSoftmax(1)]  # fmt: skip


def test_a_module_of_ones_own_moves_the_relevance_of_what_it_moves():
    x = samples((2, 5, 5), "fine")
    R = relevance_like(x)
    assert np.array_equal(through(Swapped(), x, R), R[..., ::-1].swapaxes(-1, -2))


class Odd(nn.Module):
    """Calls layers of its own with further arguments, with two tensors, for a tuple, for nothing."""

    def __init__(self):
        super().__init__()
        self.scale, self.both, self.pair, self.none = Scale(), Both(), Pair(), Nothing()

    def forward(self, x):
        first, second = self.pair(self.scale(x, by=2.0))
        return self.both(first, second) + 0 * self.none()


class Scale(nn.Module):
    def forward(self, x, by):
        return x * by


class Both(nn.Module):
    def forward(self, one, other):
        return one + 3 * other


class Pair(nn.Module):
    def forward(self, x):
        return x, 5 * x


class Nothing(nn.Module):
    def forward(self):
        return torch.ones(())


def test_sums_and_scales_conserve_whatever_modules_they_stand_in():
    """All of it is a sum of multiples of x, of which the Z rule gives x all there is, and nothing to a zero."""
    x = samples((2, 5, 5), "fine")
    R = relevance_like(x)
    assert through(Odd(), x, R) == pytest.approx(np.where(x == 0, 0, R), rel=1e-12)


@pytest.mark.parametrize("module", PASSING, ids=lambda module: type(module).__name__)
def test_activations_and_dropout_pass_relevance_on(module):
    x = samples((2, 4, 5), "fine")
    R = relevance_like(x)
    assert np.array_equal(through(module, x, R), R)


@pytest.mark.parametrize(
    ("module", "shape"),
    [(nn.Flatten(), (2, 3, 4)), (nn.ZeroPad2d((1, 2, 0, 3)), (2, 3, 4))],
    ids=["flatten", "zero_pad"],
)
def test_what_only_moves_values_moves_relevance_back(module, shape):
    x = samples(shape, "fine")
    R = relevance_like(module(torch.as_tensor(x)).numpy())
    expected = R.reshape(x.shape) if isinstance(module, nn.Flatten) else R[..., 0:3, 1:5]
    assert np.array_equal(through(module, x, R), expected)


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 4, 5)], ids=["1d_features", "1d_series", "2d"])
def test_batch_norm(shape, affine):
    random = np.random.RandomState(7)
    build = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    module = build(3, eps=1e-3, affine=affine).double().eval()
    x = samples(shape, "coarse")
    with torch.no_grad():
        module.running_mean.copy_(torch.tensor([0.0, 1.0, -0.75]))  # x equal to the mean: a denominator of zero
        module.running_var.copy_(torch.as_tensor(random.uniform(0.5, 2, 3)))
        if affine:
            module.weight.copy_(torch.tensor([1.5, -0.5, 0.0]))
            module.bias.copy_(torch.tensor([0.25, 0.0, -1.0]))
    R = relevance_like(x)
    expected = np.empty_like(x)
    for sample in range(len(x)):
        for channel in range(3):
            expected[sample, channel] = formulas.batch_norm(
                np.atleast_1d(x[sample, channel]), np.atleast_1d(R[sample, channel]),
                weight=module.weight[channel].item() if affine else 1.0,
                beta=module.bias[channel].item() if affine else 0.0,
                mean=module.running_mean[channel].item(), variance=module.running_var[channel].item(), eps=module.eps,
            ).reshape(x[sample, channel].shape)  # fmt: skip
    assert distance(through(module, x, R), expected) <= EXACT
