"""Single layers and rules, each as the port has it and as the oracle has it, and the data they are held to.

All weights and inputs are multiples of a power of two, so that sums of products are exact in float64: the two
sides see the very same denominators, zeros included, and what remains is the rounding of divisions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from parity.keras.modules.kernels import ChannelLinear, PaddedConv1d, PaddedConv2d, SeparableConv
from signxai_torch.lrp import rules
from signxai_torch.lrp.assignment import assign
from signxai_torch.lrp.backward import backward
from signxai_torch.lrp.composites import RuleComposite
from signxai_torch.lrp.passes import keeping, recorded
from signxai_torch.lrp.rule import LinearRule
from signxai_torch.lrp.rule import Rule as RuleOfAnOperation
from signxai_torch.operations.model import Model
from tests.signxai_torch.oracles import formulas, matrices
from tests.signxai_torch.oracles.formulas import Affine, Array


@dataclass(frozen=True)
class Layer:
    """A torch module without weights worth keeping, the shape of its input, and its matrix."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    matrix: Callable[[Any, tuple[int, ...]], Affine]


@dataclass(frozen=True)
class Rule:
    """A rule of the port and the oracle's function of the same formula.

    `needs_spread`: a sample without any spread would be divided by zero, and has a test of its own.
    """

    build: Callable[[], LinearRule]
    oracle: Callable[..., Array]
    needs_spread: bool = False


def numbers(tensor: torch.Tensor | None) -> Array | None:
    return None if tensor is None else tensor.detach().numpy().astype(np.float64)


def _dense(m: Any, shape: tuple[int, ...]) -> Affine:
    return matrices.dense(numbers(m.weight), numbers(m.bias))


def _channels(m: Any, shape: tuple[int, ...]) -> Affine:
    return matrices.dense_on_channels(numbers(m.weight), numbers(m.bias), shape)


def _convolution(m: Any, shape: tuple[int, ...]) -> Affine:
    margins = getattr(m, "margins", None) or [(size, size) for size in m.padding]
    return matrices.convolution(numbers(m.weight), numbers(m.bias), shape, m.stride, margins, m.dilation, m.groups)


def _separable(m: Any, shape: tuple[int, ...]) -> Affine:
    return matrices.separable(
        numbers(m.depthwise_weight),
        numbers(m.pointwise_weight),
        numbers(m.bias),
        shape,
        m.stride,
        m.margins,
        m.dilation,
    )


def _separable_module(spatial: tuple[int, ...], **options: Any) -> SeparableConv:
    ones = [1] * len(spatial)
    return SeparableConv(torch.ones(6, 1, *spatial), torch.ones(4, 6, *ones), torch.ones(4), **options)


LAYERS: dict[str, Layer] = {
    "dense": Layer(lambda: nn.Linear(12, 9), (12,), _dense),
    "dense_no_bias": Layer(lambda: nn.Linear(12, 9, bias=False), (12,), _dense),
    "dense_on_channels": Layer(lambda: ChannelLinear(3, 4), (3, 2, 3), _channels),
    "conv1d": Layer(lambda: nn.Conv1d(3, 4, 3, padding=1), (3, 6), _convolution),
    "conv1d_stride_dilation": Layer(
        lambda: nn.Conv1d(2, 4, 3, stride=2, dilation=2, padding=2), (2, 19), _convolution
    ),
    "conv1d_causal": Layer(lambda: PaddedConv1d(((2, 0),), 2, 4, 3), (2, 6), _convolution),
    "conv2d": Layer(lambda: nn.Conv2d(2, 3, (3, 2)), (2, 5, 4), _convolution),
    "conv2d_no_bias": Layer(lambda: nn.Conv2d(2, 3, 3, padding=1, bias=False), (2, 4, 3), _convolution),
    "conv2d_stride": Layer(lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1), (2, 6, 5), _convolution),
    "conv2d_dilation": Layer(lambda: nn.Conv2d(2, 3, 2, dilation=(1, 2), padding=(1, 2)), (2, 4, 4), _convolution),
    "conv2d_groups": Layer(lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 4, 3), _convolution),
    "conv2d_depthwise": Layer(lambda: nn.Conv2d(3, 6, 3, stride=(1, 2), groups=3), (3, 5, 5), _convolution),
    "conv2d_same_uneven": Layer(
        lambda: PaddedConv2d(((0, 1), (1, 2)), 2, 3, (2, 4), stride=(2, 1)), (2, 5, 4), _convolution
    ),
    "separable1d": Layer(
        lambda: _separable_module((3,), stride=(2,), dilation=(1,), margins=((0, 1),)), (3, 25), _separable
    ),
    "separable2d": Layer(
        lambda: _separable_module((3, 2), stride=(1, 2), dilation=(1, 1), margins=((1, 1), (0, 1))),
        (3, 4, 5), _separable,
    ),
}  # fmt: skip


def _pair(rule: type[LinearRule], function: Callable[..., Array], **parameters: Any) -> Rule:
    return Rule(lambda: rule(**parameters), functools.partial(function, **parameters))


RULES: dict[str, Rule] = {
    "Z": _pair(rules.Z, formulas.z),
    "Z_IB": _pair(rules.Z, formulas.z, bias=False),
    "Epsilon_0_1": _pair(rules.Epsilon, formulas.epsilon, epsilon=0.1),
    "Epsilon_20": _pair(rules.Epsilon, formulas.epsilon, epsilon=20.0),
    "Epsilon_1e-7": Rule(rules.Epsilon, functools.partial(formulas.epsilon, epsilon=1e-7)),
    "Epsilon_0_1_IB": _pair(rules.Epsilon, formulas.epsilon, epsilon=0.1, bias=False),
    "StdxEpsilon": Rule(rules.StdxEpsilon, functools.partial(formulas.stdx_epsilon, stdfactor=0.25), True),
    "StdxEpsilon_2_IB": Rule(
        lambda: rules.StdxEpsilon(2.0, bias=False),
        functools.partial(formulas.stdx_epsilon, stdfactor=2.0, bias=False),
        True,
    ),
    "SIGN": _pair(rules.SIGN, formulas.sign),
    "SIGN_IB": _pair(rules.SIGN, formulas.sign, bias=False),
    "SIGNmu_0": _pair(rules.SIGNmu, formulas.sign_mu, mu=0.0),
    "SIGNmu_0_5": _pair(rules.SIGNmu, formulas.sign_mu, mu=0.5),
    "SIGNmu_neg_0_5": _pair(rules.SIGNmu, formulas.sign_mu, mu=-0.5),
    "SIGNmu_neg_2": _pair(rules.SIGNmu, formulas.sign_mu, mu=-2.0),
    "SIGNmu_0_5_IB": _pair(rules.SIGNmu, formulas.sign_mu, mu=0.5, bias=False),
    "WSquare": _pair(rules.WSquare, formulas.w_square),
    "Flat": _pair(rules.Flat, formulas.flat),
    "AlphaBeta_1_0": _pair(rules.AlphaBeta, formulas.alpha_beta, alpha=1.0, beta=0.0),
    "AlphaBeta_1_0_IB": _pair(rules.AlphaBeta, formulas.alpha_beta, alpha=1.0, beta=0.0, bias=False),
    "AlphaBeta_2_1": _pair(rules.AlphaBeta, formulas.alpha_beta, alpha=2.0, beta=1.0),
    "AlphaBeta_2_1_IB": _pair(rules.AlphaBeta, formulas.alpha_beta, alpha=2.0, beta=1.0, bias=False),
    "AlphaBeta_1_5_0_5": _pair(rules.AlphaBeta, formulas.alpha_beta, alpha=1.5, beta=0.5),
    "Gamma_0_5": Rule(rules.Gamma, functools.partial(formulas.gamma, gamma=0.5)),
    "Gamma_2": _pair(rules.Gamma, formulas.gamma, gamma=2.0),
    "Gamma_0_5_IB": _pair(rules.Gamma, formulas.gamma, gamma=0.5, bias=False),
    "ZPlus": _pair(rules.ZPlus, formulas.z_plus),
    "ZPlusFast": _pair(rules.ZPlusFast, formulas.z_plus_fast),
    # Bounds that the coarse inputs do not touch: there the terms cancel, and only rounding would be compared.
    "Bounded_neg_3_2_5": _pair(rules.Bounded, formulas.bounded, low=-3.0, high=2.5),
    "Bounded_photo": _pair(rules.Bounded, formulas.bounded, low=-123.68, high=151.061),
}
"""Ids name the rule and its parameters; IB ignores the bias."""


def dyadic(random: np.random.RandomState, shape: tuple[int, ...], grain: int, spread: float) -> Array:
    """Normal values rounded to multiples of 1 / grain."""
    return np.round(random.normal(0, spread, shape) * grain) / grain


def special(x: Array) -> Array:
    """Put 0.0 and -0.0 at known places of a sample."""
    flat = x.reshape(-1)
    flat[1::5] = 0.0
    flat[3::7] = -0.0
    return x


DATA: Mapping[str, tuple[int, float]] = {
    "fine": (512, 1.0),  # denominators of all sizes, hardly ever zero
    "coarse": (1, 0.7),  # small whole numbers: sums cancel to exactly zero again and again
}


def weighted(layer: Layer, data: str, seed: int = 0) -> nn.Module:
    """Return the layer with weights and biases of both signs and exact zeros; one filter and its bias are zero."""
    random = np.random.RandomState(seed)
    module = layer.build().double()
    grain, spread = DATA[data]
    with torch.no_grad():
        for parameter in module.parameters():
            values = special(dyadic(random, tuple(parameter.shape), grain, spread))
            values[0] = 0.0
            parameter.copy_(torch.as_tensor(values))
            parameter.requires_grad_(False)
    return module


def inputs(layer: Layer, data: str, seed: int = 1) -> Array:
    """Return five samples: three of both signs with zeros, one never negative (as behind a ReLU), one all zero."""
    random = np.random.RandomState(seed)
    grain, spread = DATA[data]
    signed = [special(dyadic(random, layer.shape, grain, spread)) for _ in range(3)]
    if data == "fine":
        signed[0].reshape(-1)[2::9] = 0.5  # exactly at the thresholds of SIGNmu
        signed[0].reshape(-1)[4::11] = -0.5
    rectified = dyadic(random, layer.shape, grain, spread).clip(min=0)
    return np.stack([*signed, rectified, np.zeros(layer.shape)])


def relevance_like(output: Array, seed: int = 2) -> Array:
    return np.stack(
        [special(dyadic(np.random.RandomState(seed + i), one.shape, 512, 1.0)) for i, one in enumerate(output)]
    )


def by_port(module: nn.Module, rule: RuleOfAnOperation, x: Array, R: Array) -> Array:
    """Return the relevance that arrives at a module's input; layers with weights have the rule, others their own."""
    composite = RuleComposite({"kernel": rule})
    recorder, _, output = recorded(Model(module), torch.as_tensor(x), keeping([composite]))
    assigned = assign(recorder.operations, output, composite)
    assert not [*recorder.obstacles, *assigned.obstacles]
    start = {output: torch.as_tensor(R).flatten(1)}
    return backward(recorder.operations, start, (recorder.input,), assigned)[recorder.input].numpy()


def distance(found: Array, expected: Array) -> float:
    """Return the largest relative error, per sample and relative to the sample's largest value.

    Values that are not finite must stand at the same places: elsewhere the distance is infinite.
    """
    if found.shape != expected.shape or not np.array_equal(np.isfinite(found), np.isfinite(expected)):
        return float("inf")
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        finite = np.isfinite(other)
        if finite.any():
            scale = np.abs(other[finite]).max()
            error = np.abs(one[finite] - other[finite]).max()
            worst = max(worst, float(error / scale if scale else error))
    return worst


@functools.cache
def prepared(name: str, data: str) -> tuple[nn.Module, Affine, Array, Array]:
    """Return a layer of `LAYERS` with its weights, its matrix, inputs and the relevance of its outputs."""
    layer = LAYERS[name]
    module = weighted(layer, data)
    x = inputs(layer, data)
    affine = layer.matrix(module, layer.shape)
    matrix = functools.cache(affine.matrix)  # parts are functions, so each is filled in once
    with torch.no_grad():
        output = module(torch.as_tensor(x)).numpy()
    return module, Affine(matrix, affine.bias), x, relevance_like(output)


def disagreement(name: str, rule: Rule, data: str) -> float:
    """Return how far the port is from the oracle for one layer, rule and kind of data."""
    module, affine, x, R = prepared(name, data)
    if rule.needs_spread:
        x, R = x[:-1], R[:-1]
    found = by_port(module, rule.build(), x, R)
    expected = [rule.oracle(affine, u.ravel(), r.ravel()).reshape(u.shape) for u, r in zip(x, R, strict=True)]
    return distance(found, np.stack(expected))
