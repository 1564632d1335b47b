"""Why a map is wrong, where the reason is a known one: each row of the table makes that very mistake on purpose.

A cause is told only where it is proved. The right port's map must be the reference's; then the row's mistake is made in
the right port (or in its map), and what comes out must be the subject's map, to `SAME`. Nothing is inferred from how a
map looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from parity.keras import KerasModule
from parity.run.mutants.mutant import SubjectFunction, right
from parity.run.subjects import Method, parse
from parity.run.trace import paths, variants

Array = npt.NDArray[Any]
SAME = 1e-10
"""Relative L2 distance, in float64, at which two maps are the same."""
APART = 1e-6
"""And at which they are not: a mistake that changes nothing here explains nothing."""


@dataclass(frozen=True)
class Cause:
    """A known mistake.

    Attributes
    ----------
    name
        Lower case, with underscores.
    says
        What the mistake is; ends the sentence "The subject's map is the reference's with ...".
    function
        The right port with that mistake: a subject function.
    applies
        Whether a method has what the mistake is about.
    """

    name: str
    says: str
    function: SubjectFunction
    applies: Callable[[Method], bool]


@dataclass(frozen=True)
class Proof:
    """A cause that was proved.

    Attributes
    ----------
    cause
        The cause.
    rel_l2
        How far the subject's map is from the map with that mistake.
    """

    cause: Cause
    rel_l2: float

    def __str__(self) -> str:
        return f"The subject's map is the reference's with {self.cause.says}, to {self.rel_l2:.1e} (relative L2)."


def explained(
    module: KerasModule,
    x: Array,
    target: int,
    method: str,
    reference: Array,
    subject: Array,
    parameters: dict[str, Any] | None = None,
    causes: Sequence[Cause] | None = None,
) -> Proof | None:
    """Return the cause of a wrong map, if it is a known one and can be proved.

    Parameters
    ----------
    module
        The converted model, in float64.
    x
        The input, Keras layout without batch axis.
    target
        The explained class.
    method
        The method.
    reference, subject
        The maps of both sides, in float64.
    parameters
        What the subject was told besides the name.
    causes
        Those that are tried; all by default.
    """
    if not _usable(reference, subject) or module.dtype != torch.float64:
        return None
    told = dict(parameters or {})
    if not _same(_map(right, module, x, target, method, told), reference):
        return None  # the right port does not stand for the reference here, so it proves nothing
    found: list[Proof] = []
    for cause in CAUSES if causes is None else causes:
        if not cause.applies(parse(method)):
            continue
        wrong = _map(cause.function, module, x, target, method, told)
        if wrong is None or _rel_l2(wrong, reference) < APART:
            continue
        distance = _rel_l2(subject, wrong)
        if distance <= SAME:
            found.append(Proof(cause, distance))
    return found[0] if found else None


def _map(
    function: SubjectFunction, module: KerasModule, x: Array, target: int, method: str, parameters: dict[str, Any]
) -> Array | None:
    """Return a function's map in Keras layout; None if it makes none of the input's shape."""
    try:
        made = function(module, module.to_torch(x[None]), method, module.targets([target]), **parameters)
        values = module.to_keras(made if not isinstance(made, torch.Tensor) else made.detach())
    except Exception:  # a mistake that cannot be made here is not the cause
        return None
    return values[0].astype(np.float64) if values.shape[1:] == x.shape and np.isfinite(values).all() else None


def _usable(reference: Array, subject: Array) -> bool:
    return (
        reference.shape == subject.shape
        and bool(np.isfinite(reference).all() and np.isfinite(subject).all())
        and bool(reference.any())
    )


def _same(one: Array | None, other: Array) -> bool:
    return one is not None and _rel_l2(one, other) <= SAME


def _rel_l2(one: Array, other: Array) -> float:
    """Return how far two maps are apart, over the size of the second (of the first where that is zero)."""
    size = float(np.linalg.norm(other)) or float(np.linalg.norm(one)) or 1.0
    return float(np.linalg.norm(one - other)) / size


# --- what a method has -----------------------------------------------------------------------------------------------


def _any(method: Method) -> bool:
    return method.family not in ("random_uniform", "input", "random", "smoothgrad", "vargrad")


def _from_logit(method: Method) -> bool:
    return method.head != "one" and _any(method)


def _from_one(method: Method) -> bool:
    return method.head == "one" and method.family in ("gradient", "integrated_gradients")


def _rules(method: Method) -> tuple[str, ...]:
    named = [name for name, _ in method.row.layers.values()]
    return tuple(name for name in (*named, method.input_rule) if name)


def _has(*names: str) -> Callable[[Method], bool]:
    return lambda method: any(name in names for name in _rules(method))


def _with_rules(method: Method) -> bool:
    return bool(method.row.layers)


_WITH_BIAS = ("Z", "Epsilon", "StdxEpsilon", "AlphaBeta", "SIGN", "SIGNmu", "Gamma")


def _counts_bias(method: Method) -> bool:
    return not method.ignore_bias and any(name in _WITH_BIAS for name in _rules(method))


def _with_input_rule(method: Method) -> bool:
    return method.input_rule is not None and method.prefix is not None


def _times_something(method: Method) -> bool:
    return bool(method.modifiers) or bool(method.parameters.get("times_input"))


def _family(*names: str) -> Callable[[Method], bool]:
    return lambda method: method.family in names


def _with_signs(method: Method) -> bool:
    return "SIGN" in _rules(method) or any(what == "x_sign" for what, _ in method.modifiers)


def _with_mu(method: Method) -> bool:
    return "SIGNmu" in _rules(method) or any(what == "x_sign_mu" for what, _ in method.modifiers)


CAUSES: tuple[Cause, ...] = (
    Cause("start_at_one", "relevance starting at one in place of the logit", variants.over_the_logit, _from_logit),
    Cause("start_at_the_logit", "the gradient starting at the logit in place of one", variants.times_the_logit,
          _from_one),
    Cause("softmax_kept", "the softmax left in the model: relevance starts from the probability",
          variants.times_the_probability, _from_logit),
    Cause("gradient_of_the_probability", "the softmax left in the model: the gradient is that of the probability",
          variants.gradient_of_the_probability, _from_one),
    Cause("classes_summed", "all classes explained together", variants.classes_summed, _any),
    Cause("target_next", "the next class explained (they are counted from one)", variants.class_shifted(1), _any),
    Cause("target_before", "the class before explained", variants.class_shifted(-1), _any),
    Cause("runner_up", "the second best class explained", variants.runner_up, _any),
    Cause("arg_max", "the class with the largest logit explained, whatever the target", variants.best_class, _any),
    Cause("bias_dropped", "the bias dropped from the denominators", variants.bias_dropped, _counts_bias),
    Cause("bias_dropped_and_start", "the bias dropped from the denominators, and from what relevance starts from",
          variants.ignoring_bias, _counts_bias),
    Cause("bias_counted", "the bias counted in the denominators, in spite of IB", variants.counting_bias,
          lambda method: method.ignore_bias),
    Cause("bias_shared", "the bias shared among the inputs in the numerator", variants.bias_shared,
          _has("Z", "Epsilon", "StdxEpsilon")),
    Cause("bias_by_sign", "the positive part of each bias counted for a unit and the negative part against it",
          variants.bias_by_sign, _has("AlphaBeta", "ZPlus")),
    Cause("bias_squared", "the squared bias counted in the denominators of w squared", variants.bias_squared,
          _has("WSquare")),
    Cause("epsilon_dropped", "no epsilon", variants.epsilon_dropped, _has("Epsilon", "StdxEpsilon")),
    Cause("epsilon_without_sign", "epsilon added without the sign of the denominator", variants.epsilon_without_sign,
          _has("Epsilon", "StdxEpsilon")),
    Cause("epsilon_negative_at_zero", "zero counted as negative where epsilon is added", variants.epsilon_minus_at_zero,
          _has("Epsilon", "StdxEpsilon")),
    Cause("epsilon_times_mean", "epsilon times the mean size of the denominators", variants.epsilon_times_mean,
          _has("Epsilon")),
    Cause("epsilon_times_deviation", "epsilon times the standard deviation of the denominators",
          variants.epsilon_times_deviation, _has("Epsilon")),
    Cause("epsilon_1e-6", "epsilon 1e-6, zennit's default", variants.epsilon_of(1e-6), _has("Epsilon", "StdxEpsilon")),
    Cause("epsilon_1e-9", "epsilon 1e-9, captum's default", variants.epsilon_of(1e-9), _has("Epsilon", "StdxEpsilon")),
    Cause("epsilon_for_factor", "the factor of the standard deviation taken for epsilon itself",
          variants.factor_as_epsilon, _has("StdxEpsilon")),
    Cause("ddof_1", "the standard deviation of a sample (ddof 1)", variants.ddof_1, _has("StdxEpsilon")),
    Cause("deviation_about_zero", "the root mean square for the standard deviation", variants.root_mean_square,
          _has("StdxEpsilon")),
    Cause("variance", "the variance for the standard deviation", variants.variance, _has("StdxEpsilon")),
    Cause("z_plus", "z plus for the rule: positive contributions only, no bias", variants.z_plus,
          _has("Z", "Epsilon", "StdxEpsilon", "AlphaBeta")),
    Cause("alpha_beta_exchanged", "alpha and beta exchanged", variants.alpha_beta_exchanged, _has("AlphaBeta")),
    Cause("alpha_1_beta_0", "alpha 1 beta 0 in place of alpha 2 beta 1", variants.alpha_beta(1.0, 0.0),
          _has("AlphaBeta")),
    Cause("alpha_2_beta_1", "alpha 2 beta 1 in place of alpha 1 beta 0", variants.alpha_beta(2.0, 1.0),
          _has("AlphaBeta")),
    Cause("negative_inputs_dropped", "negative inputs left out of alpha beta", variants.negative_inputs_dropped,
          _has("AlphaBeta", "ZPlus")),
    Cause("input_rule_missing", "the rule of the other layers on the input layer", variants.input_rule_missing,
          _with_input_rule),
    Cause("sign_of_zero_is_zero", "the sign of zero taken as zero", variants.sign_of_zero(0.0), _with_signs),
    Cause("sign_of_zero_is_minus", "the sign of zero taken as minus one", variants.sign_of_zero(-1.0), _with_signs),
    Cause("sign_afterwards", "the map of the plain method multiplied by the input's sign, in place of the rule",
          variants.sign_afterwards, _has("SIGN")),
    Cause("mu_ignored", "the threshold mu taken as zero", variants.mu_ignored, _with_mu),
    Cause("mu_below", "what equals mu counted as below it", variants.mu_below, _with_mu),
    Cause("factor_forgotten", "nothing multiplied to the map", variants.factor_forgotten, _times_something),
    Cause("riemann_right", "the path in even steps, each at its end", paths.riemann_right,
          _family("integrated_gradients")),
    Cause("riemann_left", "the path in even steps, each at its beginning", paths.riemann_left,
          _family("integrated_gradients")),
    Cause("gauss_legendre", "the Gauss-Legendre quadrature of the path, its weights in single precision",
          paths.gauss_legendre, _family("integrated_gradients")),
    Cause("both_ends", "the mean over even places of the path, both ends included", paths.both_ends,
          _family("integrated_gradients")),
    Cause("guided_as_gradient", "negative relevance let through the ReLUs (the gradient)", variants.plain_gradient,
          _family("guided_backprop", "deconvnet")),
    Cause("deconvnet_for_guided", "deconvnet for guided backpropagation", variants.renamed("guided_backprop",
          "deconvnet"), _family("guided_backprop")),
    Cause("guided_for_deconvnet", "guided backpropagation for deconvnet", variants.renamed("deconvnet",
          "guided_backprop"), _family("deconvnet")),
    Cause("norm_merged", "batch normalisation merged into the layer before it", variants.norm_merged, _with_rules),
    Cause("norm_passed", "relevance passed unchanged through batch normalisation", variants.norm_passed, _with_rules),
    Cause("gate_gets_relevance", "half of a product's relevance given to each factor", variants.gate_shares,
          _with_rules),
    Cause("average_as_gradient", "the gradient for averages and sums of branches", variants.average_as_gradient,
          _with_rules),
    Cause("activations_block", "ReLUs blocking relevance where they are off", variants.activations_block, _with_rules),
    Cause("negative_dropped", "the negative part of the map dropped", variants.of_map(variants.positive_part), _any),
    Cause("absolute", "the absolute values of the map", variants.of_map(np.abs), _any),
    Cause("sign_turned", "its sign turned", variants.of_map(np.negative), _any),
    Cause("squared", "its values squared", variants.of_map(np.square), _any),
    Cause("transposed", "height and width exchanged", variants.of_map(variants.transposed), _any),
    Cause("flipped", "the last axis turned around", variants.of_map(variants.flipped), _any),
    Cause("channels_summed", "the channels summed, and the sum in each", variants.of_map(variants.channels_summed),
          _any),
    Cause("channels_averaged", "the channels averaged, and the mean in each",
          variants.of_map(variants.channels_averaged), _any),
    Cause("channels_absolute", "the sizes of the channels summed, and the sum in each",
          variants.of_map(variants.channels_absolute), _any),
    Cause("channels_reversed", "the channels in the other order", variants.of_map(variants.channels_reversed), _any),
    Cause("over_maximum", "the map divided by its largest value", variants.of_map(variants.over_maximum), _any),
    Cause("between_0_and_1", "the map moved and scaled into 0 to 1", variants.of_map(variants.between_0_and_1), _any),
    Cause("over_sum", "the map divided by its sum", variants.of_map(variants.over_sum), _any),
    Cause("zero", "zeros in its place", variants.of_map(np.zeros_like), _any),
)  # fmt: skip
"""The causes, those of the start first, then the rules', then what is done to a map; the first that fits is told."""
