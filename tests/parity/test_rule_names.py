"""The one place where rule names of both sides are put side by side."""

from __future__ import annotations

import pytest

from parity.report.rule_names import NO_RULE, PORT_NAMES, PORT_SPECIAL, agreement, side_by_side
from signxai_torch.lrp import weightless
from signxai_torch.lrp.rules import RULES

BETA = "AlphaBeta(alpha=1.0, beta=0.0, bias=True)"


@pytest.mark.parametrize(
    ("subject", "reference"),
    [
        ("Z(bias=True)", "ZRule(bias=True)"),
        ("Z(bias=False)", "ZIgnoreBiasRule(bias=False)"),
        ("Epsilon(epsilon=0.1, bias=True)", "EpsilonRule(epsilon=0.10000000149011612)"),  # the float32 lane's 0.1
        ("StdxEpsilon(stdfactor=0.25, bias=True, use_global_std=False)", "StdxEpsilonRule(stdfactor=0.25, bias=True)"),
        (BETA, "Alpha1Beta0Rule(alpha=1.0, beta=0.0, bias=True)"),
        ("ZPlus()", "AlphaBetaRule(alpha=1.0, beta=0.0, bias=False)"),
        ("ZPlus()", "Alpha1Beta0IgnoreBiasRule(alpha=1.0, beta=0.0, bias=False)"),
        ("Pass()", "relevance unchanged"),
        ("gradient", "_default_reverse_mapping"),
    ],
)
def test_names_of_one_rule_are_the_same(subject, reference):
    assert agreement(subject, reference) == "same"


@pytest.mark.parametrize(
    ("subject", "reference"),
    [
        ("Flat()", "WSquareRule()"),
        ("Epsilon(epsilon=0.1, bias=True)", "EpsilonRule(epsilon=0.2, bias=True)"),
        ("Z(bias=True)", "ZIgnoreBiasRule(bias=False)"),
        (BETA, "Alpha2Beta1Rule(alpha=2.0, beta=1.0, bias=True)"),
        (BETA, "Alpha1Beta0IgnoreBiasRule(alpha=1.0, beta=0.0, bias=False)"),
        ("ZPlus()", "AlphaBetaRule(alpha=2.0, beta=1.0, bias=False)"),
        ("ZPlus()", "AlphaBetaRule(alpha=1.0, beta=0.0, bias=True)"),
        ("Pass()", "GradientReplacementLayer()"),
        ("gradient", "ReplacementLayer()"),
    ],
)
def test_other_rules_and_other_parameters_differ(subject, reference):
    assert agreement(subject, reference) == "differs"


@pytest.mark.parametrize(
    ("subject", "reference"),
    [
        ("Z(bias=True)", "BrandNewRule(bias=True)"),
        ("BrandNewRule()", "BrandNewRule()"),  # not even a name with itself
        ("Z(bias=True)", "Z(bias=True)"),  # the port's name is none of the reference's
        ("Z(bias=True)", "ZRule(bias=True) and EpsilonRule(epsilon=0.1)"),
        ("Z(bias=True)", ""),
        ("<function>", "ZRule()"),
    ],
)
def test_an_unknown_name_is_never_called_the_same(subject, reference):
    assert agreement(subject, reference) == "unknown"


def test_the_table_speaks_of_rules_that_the_port_has():
    own = {*RULES, *(name for name in vars(weightless) if name[0].isupper()), NO_RULE}
    assert {*PORT_NAMES.values(), *PORT_SPECIAL} <= own
    assert set(RULES) <= {*PORT_NAMES.values(), *PORT_SPECIAL}, "a rule of the port that could never be compared"


def test_layers_are_joined_by_name_in_the_networks_order():
    subject = [
        ("a_conv", "Conv2d", "Z(bias=True)"),
        ("a_conv_activation", "ReLU", "Pass()"),
        ("fc", "Linear", "Z(bias=True)"),
        ("fc", "Linear", "Z(bias=True)"),
    ]
    reference = [("a.conv", "Conv2D", "ZRule()"), ("pool", "MaxPooling2D", "GradientReplacementLayer()"),
                 ("fc", "Dense", "EpsilonRule(epsilon=0.1)")]  # fmt: skip
    lines = side_by_side(subject, reference)
    assert [line.layer for line in lines] == ["a_conv", "a_conv_activation", "pool", "fc"]
    assert [line.agreement for line in lines] == ["same", "same", "same", "differs"]
    assert lines[1].reference == "part of its layer: unchanged"
    assert lines[2].subject == NO_RULE


def test_an_activation_that_is_not_passed_unchanged_differs():
    subject = [("conv", "Conv2d", "Z(bias=True)"), ("conv_activation", "ReLU", "gradient")]
    assert side_by_side(subject, [("conv", "Conv2D", "ZRule()")])[1].agreement == "differs"


def test_an_activation_of_a_layer_whose_rule_is_unknown_is_not_compared():
    subject = [("conv", "Conv2d", "Z(bias=True)"), ("conv_activation", "ReLU", "Pass()")]
    lines = side_by_side(subject, [("conv", "Conv2D", "BrandNewRule()")])
    assert [line.agreement for line in lines] == ["unknown", "unknown"]


def test_a_layer_that_the_reference_did_not_reach_is_not_compared():
    (line,) = side_by_side([("conv", "Conv2d", "Z(bias=True)")], [])
    assert (line.reference, line.agreement) == ("not seen", "unknown")


def test_without_the_rules_of_one_side_nothing_is_compared():
    assert side_by_side([("conv", "Conv2d", "Z(bias=True)")], None)[0].reference is None
    assert side_by_side([], [("conv", "Conv2D", "ZRule()")])[0].subject == "not known"
    assert {line.agreement for line in side_by_side([], [("conv", "Conv2D", "ZRule()")])} == {"unknown"}
