"""Ports whose rules are wrong: epsilon, deviation, sign, flat and squared weights, bias, alpha and beta, bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.run.mutants.maps import DENSE, RESNET, SERIES, VGG
from parity.run.mutants.mutant import (
    Mutant,
    SubjectFunction,
    inside,
    map_changed_by_input,
    named,
    replaced,
    right,
    same,
)
from signxai_torch.families import modifiers
from signxai_torch.lrp import arithmetic, composites, rules
from signxai_torch.lrp.rule import LinearRule, Pass, Relevances, Term
from signxai_torch.operations import linear
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.operation import Operation

PLUS = Term(arithmetic.positive, "positive", "positive")
MINUS = Term(arithmetic.negative, "negative", "negative")


def other_name(part: str, instead: str) -> SubjectFunction:
    """Return a port that computes the method with another part in its name."""
    return named(lambda name: name.replace(part, instead))


def with_passes(rule: type[LinearRule], *passes: Pass) -> SubjectFunction:
    """Return a port in which a rule consists of other passes."""
    return inside(rule, "passes", property(lambda self: passes))


def with_stabilizer(change: Callable[[Tensor, Any], Tensor]) -> SubjectFunction:
    """Return a port that moves denominators away from zero in another way."""
    return inside(rules, "stabilize", change)


def with_deviation(change: Callable[[Tensor], Tensor]) -> SubjectFunction:
    """Return a port that takes another number per sample for the standard deviation of a layer's input."""
    return inside(rules, "deviation", lambda x, per_sample: change(x).reshape(-1))


def with_sign(change: Callable[[Tensor], Tensor]) -> SubjectFunction:
    """Return a port with another sign, as a rule and as a factor."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        with replaced(rules, "sign", change)(), replaced(modifiers, "sign", change)():
            return right(model, x, method, target, **parameters)

    return function


def with_threshold(change: Callable[..., Tensor]) -> SubjectFunction:
    """Return a port with another threshold, as a rule and as a factor."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        with replaced(rules, "sign_mu", change)(), replaced(modifiers, "sign_mu", change)():
            return right(model, x, method, target, **parameters)

    return function


def _rows(x: Tensor) -> Tensor:
    return x.flatten(1)


def _per_channel(x: Tensor) -> Tensor:
    return x.flatten(2).std(dim=2, unbiased=False).mean(dim=1) if x.dim() > 2 else x.std(dim=1, unbiased=False) * 0.9


def _beside_another(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Explain the input beside another one, with the deviation of the batch."""
    whole = replaced(rules, "deviation", lambda values, per_sample: arithmetic.deviation(values, per_sample=False))
    with whole():
        batch = torch.cat([x, 3 * x.flip(-1)])
        return right(model, batch, method, [*target, *target], **parameters)[: len(x)]


def _tiny_where_zero(z: Tensor, epsilon: Any) -> Tensor:
    out: Tensor = z + epsilon * torch.sign(z)
    return out


def _minus_at_zero(z: Tensor, epsilon: Any) -> Tensor:
    return torch.where(z > 0, z + epsilon, z - epsilon)


def _epsilon_of_dense_layers_only(model: nn.Module, x: Tensor, method: str, target: list[int], **given: Any) -> Any:
    """Let convolutions take the Z rule."""
    epsilon = rules.Epsilon.relevance

    def relevance(self: rules.Epsilon, operation: Operation, arriving: Tensor) -> Relevances:
        if operation.kind is Kind.CONVOLUTION:
            return rules.Z().relevance(operation, arriving)
        return epsilon(self, operation, arriving)

    with replaced(rules.Epsilon, "relevance", relevance)():
        return right(model, x, method, target, **given)


def _inside_everywhere(self: Any, axis: int, like: Tensor) -> Tensor:
    return torch.ones_like(_INSIDE(self, axis, like))


_INSIDE = linear.ConvolutionMap._inside


def _part(name: str, change: Callable[[Tensor], Tensor]) -> SubjectFunction:
    """Return a port that takes something else for a part of the weights."""
    return inside(linear.PARTS, name, lambda weight, out=None: change(weight))


def _until(steps: int) -> SubjectFunction:
    """Return a port that lets further layers take the input layer's rule."""
    made = composites.RuleComposite.__post_init__

    def extend(self: composites.RuleComposite) -> None:
        made(self)
        if self.input_rule is not None:
            object.__setattr__(self, "until", steps)

    return inside(composites.RuleComposite, "__post_init__", extend)


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def _signs_afterwards(prefix: str) -> SubjectFunction:
    """Return a port that multiplies the map of the plain method by the input's signs."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        plain = right(model, x, method.replace(prefix, "lrp", 1), target, **parameters)
        return plain * np.where(x.numpy() < 0, -1, 1).astype(plain.dtype)

    return function


EPSILON = (
    Mutant("epsilon_10_percent_off", "Epsilon is 0.11 in place of 0.1.", other_name("0_1", "0_11"), "rel_l2",
           (VGG, DENSE, SERIES), ("lrp_epsilon_0_1", "lrpsign_epsilon_0_1")),
    Mutant("epsilon_1_001", "Epsilon is 0.1 % off.", other_name("epsilon_1", "epsilon_1_001"), "rel_l2", (RESNET,),
           ("lrp_epsilon_1",)),
    Mutant("epsilon_without_sign", "Epsilon is added without the sign of the denominator.",
           with_stabilizer(lambda z, epsilon: z + epsilon), "rel_l2", (RESNET,), ("lrp_epsilon_0_1",)),
    Mutant("epsilon_of_the_wrong_sign", "Epsilon is taken off the denominator's size.",
           with_stabilizer(lambda z, epsilon: z - epsilon * torch.sign(z)), "rel_l2", (SERIES,), ("lrp_epsilon_0_1",)),
    Mutant("epsilon_of_dense_layers_only", "Convolutions get no epsilon.", _epsilon_of_dense_layers_only, "rel_l2",
           (VGG,), ("lrp_epsilon_10",), where="convolutions"),
    Mutant("epsilon_of_zennit", "Epsilon is 1e-6, as in zennit, in place of 0.001.",
           other_name("0_001", "0_000001"), "rel_l2", (DENSE,), ("lrp_epsilon_0_001",)),
    Mutant("epsilon_sign_wrong_at_zero", "A denominator that is exactly zero counts as negative.",
           with_stabilizer(_minus_at_zero), "rel_l2", ("cancelling",), ("lrp_epsilon_IB", "lrp_epsilon_0_1_IB"),
           where="where a sum is exactly zero"),
    Mutant("epsilon_missing_at_zero", "A denominator that is exactly zero gets no epsilon.",
           with_stabilizer(_tiny_where_zero), "finite", ("cancelling",), ("lrp_epsilon_0_1_IB",),
           where="where a sum is exactly zero"),
)  # fmt: skip

DEVIATION = (
    Mutant("deviation_ddof_1", "The standard deviation is the sample's (ddof 1).",
           with_deviation(lambda x: _rows(x).std(dim=1, unbiased=True)), "rel_l2", (DENSE, SERIES),
           ("lrp_epsilon_0_25_std_x", "lrpsign_epsilon_0_25_std_x")),
    Mutant("deviation_per_channel", "The standard deviation is the mean of each channel's own.",
           with_deviation(_per_channel), "rel_l2", (VGG,), ("lrp_epsilon_0_25_std_x",)),
    Mutant("deviation_of_the_batch", "The standard deviation is that of the whole batch.", _beside_another, "rel_l2",
           (VGG, RESNET), ("lrp_epsilon_0_25_std_x",)),
    Mutant("deviation_about_zero", "The root mean square is taken for the standard deviation.",
           with_deviation(lambda x: _rows(x).square().mean(dim=1).sqrt()), "rel_l2", (VGG,),
           ("lrpsign_epsilon_0_25_std_x",)),
    Mutant("variance_for_deviation", "The variance is taken for the standard deviation.",
           with_deviation(lambda x: _rows(x).var(dim=1, unbiased=False)), "rel_l2", (SERIES,),
           ("lrp_epsilon_0_5_std_x",)),
    Mutant("deviation_factor_off", "The factor of the standard deviation is 0.26 in place of 0.25.",
           other_name("0_25_std", "0_26_std"), "rel_l2", (VGG,), ("lrpsign_epsilon_0_25_std_x_mu_0_5",)),
    Mutant("deviation_for_epsilon", "Epsilon itself is taken for the factor of the standard deviation.",
           other_name("_std_x", ""), "rel_l2", (DENSE,), ("lrp_epsilon_0_25_std_x",)),
)  # fmt: skip

SIGNS = (
    Mutant("sign_of_zero_is_zero", "sgn(0) is 0.", with_sign(torch.sign), "max_err", (DENSE,),
           ("lrpsign_z", "gradient_x_sign"), where="where the input is zero"),
    Mutant("sign_of_zero_is_minus", "sgn(0) is -1.", with_sign(lambda x: torch.where(x > 0, 1.0, -1.0).to(x.dtype)),
           "max_err", (DENSE,), ("lrpsign_epsilon_0_1", "gradient_x_sign"), where="where the input is zero"),
    Mutant("sign_is_the_input", "The input itself stands for its sign.", with_sign(torch.clone), "rel_l2", (VGG,),
           ("lrpsign_z", "gradient_x_sign")),
    Mutant("sign_forgotten", "The sign is +1 everywhere.", with_sign(torch.ones_like), "rel_l2", (SERIES,),
           ("lrpsign_epsilon_1", "deconvnet_x_sign")),
    Mutant("sign_after_the_map", "The map of the plain method is multiplied by the input's sign.",
           _signs_afterwards("lrpsign"), "rel_l2", (VGG, RESNET), ("lrpsign_z", "lrpsign_epsilon_0_1")),
    Mutant("mu_off", "mu is 0.55 in place of 0.5.", other_name("mu_0_5", "mu_0_55"), "rel_l2", (VGG,),
           ("gradient_x_sign_mu_0_5", "lrpsign_epsilon_0_25_std_x_mu_0_5")),
    Mutant("mu_ignored", "mu is 0 whatever the name says.", other_name("mu_neg_0_5", "mu_0"), "rel_l2", (VGG,),
           ("lrpsign_epsilon_100_mu_neg_0_5", "gradient_x_sign_mu_neg_0_5")),
    Mutant("mu_of_the_size", "mu is compared with the size of the input.",
           with_threshold(lambda x, mu, *_: torch.where(x.abs() >= mu, 1.0, -1.0).to(x.dtype)), "rel_l2", (VGG,),
           ("gradient_x_sign_mu_0_5",)),
    Mutant("mu_itself_is_below", "An input that equals mu counts as below.",
           with_threshold(lambda x, mu, *_: torch.where(x > mu, 1.0, -1.0).to(x.dtype)), "max_err", (DENSE,),
           ("gradient_x_sign_mu_0", "lrpsign_epsilon_0_25_std_x_mu_0"), where="where the input equals mu"),
    Mutant("below_mu_is_zero", "What is below mu counts as 0 in place of -1.",
           with_threshold(lambda x, mu, *_: (x >= mu).to(x.dtype)), "rel_l2", (SERIES,),
           ("gradient_x_sign_mu_0_5",)),
    Mutant("x_sign_for_x_input", "The input's sign stands for the input.", other_name("x_input", "x_sign"), "rel_l2",
           (SERIES, VGG), ("gradient_x_input",)),
)  # fmt: skip

SPREAD = (
    Mutant("flat_with_weights", "The flat rule keeps the weights.",
           with_passes(rules.Flat, Pass((Term(arithmetic.ones, "all"),))), "rel_l2", (VGG, DENSE),
           ("flatlrp_epsilon_0_1", "lrp_flat")),
    Mutant("flat_with_bias", "The flat rule counts the bias.",
           with_passes(rules.Flat, Pass((Term(arithmetic.ones, "ones", "all"), Term(_zeros, "all")))),
           "rel_l2", (SERIES,), ("lrp_flat",)),
    Mutant("flat_without_padding", "The flat rule counts the padding as if it were input.",
           inside(linear.ConvolutionMap, "_inside", _inside_everywhere), "rel_l2", (VGG, SERIES),
           ("lrp_flat", "lrp_w_square"), where="border only"),
    Mutant("w_for_w_square", "The squared rule takes the weights as they are.", _part("square", lambda weight: weight),
           "rel_l2", (VGG,), ("lrp_w_square",)),
    Mutant("size_for_w_square", "The squared rule takes the weights' size.", _part("square", torch.abs), "rel_l2",
           (DENSE,), ("lrp_w_square", "w2lrp_epsilon_0_1")),
    Mutant("flat_for_w_square", "The input layer is flat in place of squared.", other_name("w2lrp", "flatlrp"),
           "rel_l2", (VGG,), ("w2lrp_z", "w2lrp_alpha_1_beta_0")),
    Mutant("w_square_for_flat", "The input layer is squared in place of flat.", other_name("flatlrp", "w2lrp"),
           "rel_l2", (RESNET,), ("flatlrp_z",)),
)  # fmt: skip

BIAS = (
    Mutant("bias_dropped_by_the_rule", "Denominators lack the bias.", named(lambda name: f"{name}_IB"), "rel_l2",
           (VGG, SERIES), ("lrp_z", "lrp_epsilon_0_1", "lrp_alpha_1_beta_0")),
    Mutant("bias_counted_without_need", "Denominators have the bias in spite of IB.", other_name("_IB", ""), "rel_l2",
           (SERIES,), ("lrp_z_IB", "lrp.epsilon_IB")),
    Mutant("bias_doubled_by_the_rule", "Denominators have the bias twice.",
           with_passes(rules.Z, Pass((Term(bias="all"), Term(_zeros, bias="all")))), "rel_l2",
           (VGG, DENSE), ("lrp_z",)),
    Mutant("bias_halved_by_the_rule", "Alpha beta counts the negative part of the bias only.",
           with_passes(rules.AlphaBeta, Pass((Term(arithmetic.positive, "positive", "negative"), MINUS))),
           "rel_l2", (SERIES,), ("lrp_alpha_1_beta_0",)),
)  # fmt: skip

ALPHA_BETA = (
    Mutant("z_plus_for_z", "Only positive contributions count.", named("lrp_z_plus"), "rel_l2", (VGG, DENSE),
           ("lrp_z",)),
    Mutant("z_plus_fast_for_z_plus", "Negative inputs with negative weights do not count as positive.",
           other_name("z_plus", "z_plus_fast"), "rel_l2", (DENSE, SERIES), ("lrp_z_plus",), where="first layer"),
    Mutant("z_plus_for_alpha_beta", "Alpha 1 beta 0 lacks its bias.", named("lrp_z_plus"), "rel_l2", (SERIES,),
           ("lrp_alpha_1_beta_0",)),
    Mutant("alpha_off", "Alpha 2 beta 1 is alpha 2.1 beta 1.1.", other_name("2_beta_1", "2_1_beta_1_1"), "rel_l2",
           (VGG,), ("lrp_alpha_2_beta_1",)),
    Mutant("alpha_1_for_2", "Alpha 2 beta 1 is alpha 1 beta 0.", other_name("2_beta_1", "1_beta_0"), "rel_l2",
           (RESNET,), ("lrp_alpha_2_beta_1",)),
    Mutant("beta_forgotten", "Beta's part is missing, and alpha stays 2.",
           with_passes(rules.AlphaBeta, Pass((PLUS, MINUS), 2.0)), "rel_l2", (DENSE,), ("lrp_alpha_2_beta_1",)),
    Mutant("negative_inputs_dropped", "Negative inputs do not count.",
           with_passes(rules.AlphaBeta, Pass((PLUS,))), "zero", (DENSE,), ("lrp_alpha_1_beta_0",),
           where="first layer"),
    Mutant("composite_a_for_b", "Convolutions take alpha 1 beta 0 in place of alpha 2 beta 1.",
           other_name("composite_b", "composite_a"), "rel_l2", (VGG, SERIES), ("lrp_sequential_composite_b",),
           where="convolutions"),
    Mutant("composite_epsilon_off", "Dense layers of the composite take the Z rule.",
           with_stabilizer(lambda z, epsilon: torch.where(z == 0, 1e-7, z)), "rel_l2", (SERIES,),
           ("lrp_sequential_composite_a",), where="dense layers"),
    Mutant("gamma_off", "Gamma is 0.51 in place of 0.5.", named("lrp_gamma_0_51"), "rel_l2", (DENSE, RESNET),
           ("lrp_gamma",)),
    Mutant("gamma_of_the_literature", "Gamma is the rule of the literature, not the reference's.",
           with_passes(rules.Gamma, Pass((Term(None, "all"), Term(
               None, "positive", multiplier=lambda x: 0.5 * x)))), "rel_l2", (VGG,), ("lrp_gamma",)),
)  # fmt: skip

INPUT_LAYER = (
    Mutant("input_rule_on_the_second_layer", "The second layer takes the rule of the input layer too.", _until(1),
           "rel_l2", (VGG, DENSE), ("lrpsign_epsilon_0_1", "w2lrp_epsilon_0_1"), where="second layer"),
    Mutant("input_rule_on_the_second_convolution", "The second convolution takes the rule of the input layer too.",
           _until(2), "rel_l2", (SERIES,), ("lrpsign_epsilon_0_1", "w2lrp_epsilon_0_1"), where="second layer"),
    Mutant("input_rule_everywhere", "All layers take the rule of the input layer.", _until(99), "rel_l2", (VGG,),
           ("flatlrp_z",), where="all layers"),
    Mutant("input_rule_nowhere", "The input layer takes the rule of the others.", other_name("lrpsign", "lrp"),
           "rel_l2", (VGG, RESNET), ("lrpsign_z", "lrpsign_alpha_1_beta_0"), where="first layer"),
    Mutant("input_rule_too_far_up", "Flat goes up to the second convolution.", named(same, until_layer_idx=2), "rel_l2",
           (SERIES,), ("lrp.rule_until_index",), where="second layer"),
    Mutant("bounds_wrong", "The bounds of the input are -1 and 1, whatever the method says.",
           named(same, low=-1.0, high=1.0), "rel_l2", (VGG, DENSE),
           ("zblrp_epsilon_0_1_VGG16ILSVRC", "zblrp_alpha_1_beta_0_VGG16ILSVRC"), where="first layer",
           beside="signxai-bounded-is-zero"),
    Mutant("bounds_swapped", "The bounds of the input are swapped, each with its other sign.",
           named(same, low=-151.061, high=123.68), "rel_l2", (SERIES,), ("zblrp_z_VGG16ILSVRC",), where="first layer",
           beside="signxai-bounded-is-zero"),
    Mutant("bounds_without_factors", "Bounded lacks its factors, so it is zero: the defect of SIGN-XAI, copied.",
           with_passes(rules.Bounded, Pass((
               Term(multiplier=torch.ones_like),
               Term(lambda x: torch.full_like(x, 123.68), "positive", multiplier=lambda x: -torch.ones_like(x)),
               Term(lambda x: torch.full_like(x, -151.061), "negative",
                          multiplier=lambda x: -torch.ones_like(x)),
           ))), "rel_l2", (VGG,), ("zblrp_epsilon_0_1_VGG16ILSVRC",), where="first layer",
           beside="signxai-bounded-is-zero"),
    Mutant("zero_for_bounded", "Bounded is zero: the defect of SIGN-XAI, copied.",
           map_changed_by_input(lambda values, x: np.zeros_like(values)), "zero", (VGG, DENSE),
           ("zblrp_z_VGG16ILSVRC",), beside="signxai-bounded-is-zero"),
    Mutant("deep_taylor_bounds_off", "The bounds of deep Taylor are -2 and 2.", named(same, low=-2.0, high=2.0),
           "rel_l2", (SERIES,), ("deep_taylor.bounded",), where="first layer"),
)  # fmt: skip

MUTANTS: tuple[Mutant, ...] = (
    *EPSILON, *DEVIATION, *SIGNS, *SPREAD, *BIAS, *ALPHA_BETA, *INPUT_LAYER,
)  # fmt: skip
"""The mutants of this file."""
