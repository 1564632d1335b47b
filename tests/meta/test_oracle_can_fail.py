"""For every mistake a rule could have a mutant of it, and the oracle notices each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from signxai_torch.lrp import rule as rule_module
from signxai_torch.lrp import rules, weightless
from signxai_torch.lrp.rule import LinearRule, Pass, Term
from signxai_torch.operations import linear
from tests.signxai_torch.oracles import formulas, matrices
from tests.signxai_torch.single_layers import DATA, RULES, Rule, by_port, disagreement, distance, relevance_like

Patch = Callable[[pytest.MonkeyPatch], None]
SOME_LAYERS = ("dense", "conv1d", "conv2d_stride")
FAR = 1e-6  # a million times what the oracle's tests let pass


def _replace(target: object, name: str, value: object) -> Patch:
    return lambda patch: patch.setattr(target, name, value)


def _passes(rule: type[LinearRule], *passes: Pass) -> Patch:
    return _replace(rule, "passes", property(lambda self: passes))


def _signs(sign: Callable[[Tensor], Tensor]) -> Patch:
    return _passes(rules.SIGN, Pass((Term(bias="all", multiplier=sign),)))


def _stabilizer(rule: type[LinearRule], stabilizer: Callable[[Tensor, Tensor], Tensor]) -> Patch:
    return _replace(rule, "stabilizer", property(lambda self: stabilizer))


def _sample_std(x: Tensor, dimensions: int) -> Tensor:
    return 0.25 * x.flatten(1).std(dim=1, unbiased=True).reshape(-1, *[1] * (dimensions - 1))


def _ones_padded(patch: pytest.MonkeyPatch) -> None:
    """The border is counted as if the ones went on behind it."""

    def inside(self: linear.ConvolutionMap, axis: int, like: Tensor) -> Tensor:
        return torch.ones_like(whole(self, axis, like))

    whole = linear.ConvolutionMap._inside
    patch.setattr(linear.ConvolutionMap, "_inside", inside)


UP, DOWN = Term(rules.positive, "positive", "positive"), Term(rules.negative, "negative", "negative")
DOWN_UP, UP_DOWN = Term(rules.positive, "negative"), Term(rules.negative, "positive")

# name: (rules that must notice, what is done to the port)
MUTANTS: dict[str, tuple[tuple[str, ...], Patch]] = {
    "sign_of_zero_is_zero": (("SIGN",), _signs(torch.sign)),
    "sign_of_minus_zero_is_minus": (
        ("SIGN",),
        _signs(lambda x: torch.copysign(torch.ones_like(x), x)),
    ),
    "mu_itself_is_below": (
        ("SIGNmu_0", "SIGNmu_0_5"),
        _replace(rules, "sign_mu", lambda x, mu: torch.where(x > mu, 1.0, -1.0).to(x.dtype)),
    ),
    "mu_below_low_compares_once": (
        ("SIGNmu_neg_2",),
        _replace(rules, "sign_mu", lambda x, mu: torch.where(x >= -mu, 1.0, -1.0).to(x.dtype)),
    ),
    "zero_denominator_gives_zero": (
        ("Z", "SIGN", "AlphaBeta_1_0"),
        _replace(rule_module, "divide", lambda r, z, guard: torch.where(z == 0, 0.0, r / torch.where(z == 0, 1.0, z))),
    ),
    "small_value_is_added_always": (
        ("Z", "Flat", "AlphaBeta_2_1"),
        _replace(rule_module, "divide", lambda r, z, guard: r / (z + 1e-3)),
    ),
    "zero_counts_as_negative": (
        ("Epsilon_0_1",),
        _replace(rules, "stabilize", lambda z, e: torch.where(z > 0, z + e, z - e)),
    ),
    "zero_gets_no_epsilon": (
        ("Epsilon_0_1",),
        _replace(rules, "stabilize", lambda z, e: z + e * torch.sign(z) + 1e-7 * (z == 0)),
    ),
    "epsilon_without_sign": (("Epsilon_0_1",), _replace(rules, "stabilize", lambda z, e: z + e)),
    "bias_forgotten": (("Z", "Epsilon_0_1"), _replace(rules, "_bias", lambda bias: "none")),
    "bias_in_spite_of_IB": (("Z_IB", "Epsilon_0_1_IB"), _replace(rules, "_bias", lambda bias: "all")),
    "sample_std": (
        ("StdxEpsilon",),
        _stabilizer(rules.StdxEpsilon, lambda x, z: rules.stabilize(z, _sample_std(x, z.dim()))),
    ),
    "std_over_the_batch": (
        ("StdxEpsilon",),
        _stabilizer(rules.StdxEpsilon, lambda x, z: rules.stabilize(z, 0.25 * x.std(unbiased=False))),
    ),
    "ones_padded": (("Flat", "WSquare"), _ones_padded),
    "bias_in_flat": (("Flat",), _passes(rules.Flat, Pass((Term(torch.ones_like, "ones", "all"),)))),
    "absolute_weights_in_w_square": (
        ("WSquare",),
        lambda patch: patch.setitem(linear.PARTS, "square", torch.abs),
    ),
    "bias_in_one_term_only": (
        ("AlphaBeta_1_0",),
        _passes(rules.AlphaBeta, Pass((UP, Term(rules.negative, "negative", "none")))),
    ),
    "bias_counted_twice": (
        ("AlphaBeta_1_0",),
        _passes(
            rules.AlphaBeta,
            Pass((Term(rules.positive, "positive", "all"), Term(rules.negative, "negative", "all"))),
        ),
    ),
    "beta_added": (
        ("AlphaBeta_2_1_IB",),
        _passes(
            rules.AlphaBeta,
            Pass((Term(rules.positive, "positive"), Term(rules.negative, "negative")), 2.0),
            Pass((DOWN_UP, UP_DOWN), 1.0),
        ),
    ),
    "negative_inputs_dropped": (
        ("ZPlus",),
        _passes(rules.ZPlus, Pass((Term(rules.positive, "positive"),))),
    ),
    "inputs_split_where_they_are_not": (
        ("ZPlusFast",),
        _passes(rules.ZPlusFast, Pass((Term(rules.positive, "positive"),))),
    ),
    "gamma_of_the_literature": (
        ("Gamma_0_5_IB",),
        _passes(
            rules.Gamma,
            Pass((Term(None, "all"), Term(None, "positive", multiplier=lambda x: 0.5 * x))),
        ),
    ),
    "bounds_swapped": (
        ("Bounded_neg_3_2_5",),
        _passes(
            rules.Bounded,
            Pass((
                Term(),
                Term(lambda x: torch.full_like(x, -2.5), "positive"),
                Term(lambda x: torch.full_like(x, 3.0), "negative"),
            )),
        ),
    ),
    "factors_of_bounded_missing": (
        ("Bounded_neg_3_2_5",),
        _passes(
            rules.Bounded,
            Pass((
                Term(multiplier=torch.ones_like),
                Term(lambda x: torch.full_like(x, 3.0), "positive", multiplier=lambda x: -torch.ones_like(x)),
                Term(lambda x: torch.full_like(x, -2.5), "negative", multiplier=lambda x: -torch.ones_like(x)),
            )),
        ),
    ),
}  # fmt: skip


def worst(rule: Rule) -> float:
    return max(disagreement(layer, rule, data) for layer in SOME_LAYERS for data in DATA)


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    return lambda name: MUTANTS[name][1](monkeypatch)


@pytest.mark.parametrize(
    ("name", "rule"),
    [pytest.param(name, rule, id=f"{name}-{rule}") for name, (seen, _) in MUTANTS.items() for rule in seen],
)
def test_the_oracle_notices(name, rule, mutate):
    assert worst(RULES[rule]) <= 1e-12
    mutate(name)
    assert worst(RULES[rule]) > FAR


def test_the_oracle_notices_a_wrong_share_of_a_tie(monkeypatch):
    x = np.zeros((1, 1, 2, 2))
    x[0, 0, 0] = 1.0
    R = relevance_like(np.ones((1, 1, 1, 1)))
    expected = matrices.max_pool(x[0], R[0], (2, 2), (2, 2))
    shared = np.where(x[0] == 1, R[0] / 2, 0.0)
    assert distance(shared[None], expected[None]) > FAR


def test_the_oracle_notices_batch_norm_without_its_mean(monkeypatch):
    x = np.array([0.5, -1.0, 2.0])
    facts = {"weight": 1.5, "beta": 0.25, "variance": 0.8, "eps": 1e-3}
    right = formulas.batch_norm(x, np.ones(3), mean=0.75, **facts)
    module = nn.BatchNorm1d(1, eps=1e-3).double().eval()
    with torch.no_grad():
        module.weight.fill_(1.5)
        module.bias.fill_(0.25)
        module.running_mean.fill_(0.75)
        module.running_var.fill_(0.8)
    found = by_port(module, rules.Z(), x[:, None], np.ones((3, 1)))[:, 0]
    assert distance(found[None], right[None]) <= 1e-12

    def forgetful(self, operation, arriving):
        x, output, beta = operation.inputs[0], operation.output, operation.argument("bias")
        return (rule_module.divide(x * (output - beta) * arriving, rules.stabilize(x * output, 1e-7)),)

    monkeypatch.setattr(weightless.BatchNorm, "relevance", forgetful)
    assert distance(by_port(module, rules.Z(), x[:, None], np.ones((3, 1)))[:, 0][None], right[None]) > FAR


def test_a_map_with_nan_is_far_from_everything():
    finite = np.ones((1, 3))
    broken = np.array([[1.0, np.nan, 1.0]])
    assert distance(broken, finite) == distance(finite, broken) == float("inf")
    assert distance(finite, finite[:, :2]) == float("inf")
