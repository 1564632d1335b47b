"""The right port with a mistake in it, as subject functions: what `parity.run.trace.causes` proves a cause with.

Maps are in torch layout, batch first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.run.mutants.layers import gradient_of
from parity.run.mutants.mutant import (
    Map,
    SubjectFunction,
    inside,
    map_changed,
    named,
    replaced,
    right,
    target_changed,
)
from parity.run.mutants.rules import with_deviation, with_sign, with_stabilizer, with_threshold
from parity.run.subjects import parse
from signxai_torch.lrp import arithmetic, composites, rules, weightless
from signxai_torch.lrp.composites import RuleComposite
from signxai_torch.lrp.rule import LinearRule, Pass, Relevances, Rule, Term
from signxai_torch.operations import linear
from signxai_torch.operations.linear import linear_map
from signxai_torch.operations.operation import Operation

# --- where relevance starts, and from which class --------------------------------------------------------------------


def _times(factor: Callable[[Tensor, int], float]) -> SubjectFunction:
    """Return a port whose map is multiplied by a number of the logits, which the map is linear in."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        found = right(model, x, method, target, **parameters)
        with torch.no_grad():
            logits = model(x)
        factors = [factor(row, label) for row, label in zip(logits, target, strict=True)]
        return found * np.array(factors, found.dtype).reshape(-1, *[1] * (found.ndim - 1))

    return function


over_the_logit = _times(lambda row, label: 1 / float(row[label]))
times_the_logit = _times(lambda row, label: float(row[label]))
times_the_probability = _times(lambda row, label: float(row.softmax(0)[label] / row[label]))


def gradient_of_the_probability(
    model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any
) -> Tensor:
    """Take the gradient of the probability; of gradients alone."""
    if method != "gradient":
        raise NotImplementedError(method)
    point = x.clone().requires_grad_()
    chosen = model(point).softmax(dim=1)[range(len(x)), target]
    return torch.autograd.grad(chosen.sum(), point)[0]


def classes_summed(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Explain all classes together."""
    with torch.no_grad():
        classes = model(x).shape[1]
    return sum(right(model, x, method, [label] * len(x), **parameters) for label in range(classes))


def class_shifted(by: int) -> SubjectFunction:
    """Return a port that explains another class, by its place."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        with torch.no_grad():
            classes = model(x).shape[1]
        return right(model, x, method, [(label + by) % classes for label in target], **parameters)

    return function


runner_up = target_changed(lambda logits: logits.topk(2, dim=1).indices[:, 1])
best_class = target_changed(lambda logits: logits.argmax(dim=1))

# --- the bias --------------------------------------------------------------------------------------------------------


def bias_dropped(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Leave the bias out of every denominator; relevance starts from the logit as ever."""
    with (
        replaced(rules, "_bias", lambda bias: "none")(),
        replaced(linear, "_sum_of_parts", lambda bias, parts: None)(),
    ):
        return right(model, x, method, target, **parameters)


ignoring_bias = named(lambda name: _with_ending(name, "_IB"))
counting_bias = named(lambda name: name.replace("_IB", ""))


def _with_ending(name: str, ending: str) -> str:
    method = parse(name)
    if method.modifiers or method.suffix:
        raise NotImplementedError(name)
    return f"{name}{ending}"


def bias_shared(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Share the bias of a unit among all that it reads, in the numerator (Bach et al. 2015, equation 58)."""
    relevance = LinearRule.relevance

    def shared(self: LinearRule, operation: Operation, arriving: Tensor) -> Relevances:
        (found,) = relevance(self, operation, arriving)
        layer, inputs = linear_map(operation), operation.inputs[0]
        bias = layer.bias(["all"], inputs)
        if bias is None or not isinstance(self, (rules.Z, rules.Epsilon, rules.StdxEpsilon)):
            return (found,)
        stable = self.stabilizer
        z = operation.output
        z = torch.where(z == 0, self.guard, z) if stable is None else stable(inputs, z)
        count = layer.apply_ones(inputs, "ones")
        part = layer.transpose((bias * arriving / z / count).expand_as(arriving).contiguous(), "ones", inputs)
        return (part if found is None else found + part,)

    with replaced(LinearRule, "relevance", shared)():
        return right(model, x, method, target, **parameters)


def bias_by_sign(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Count the positive part of a bias for a unit and the negative part against it, as the literature does."""

    def alpha_beta_passes(self: rules.AlphaBeta) -> tuple[Pass, ...]:
        up, down = ("positive", "negative") if self.bias else ("none", "none")
        plus, minus = arithmetic.positive, arithmetic.negative
        more = Pass((Term(plus, "positive", up), Term(minus, "negative")), self.alpha)
        less = Pass((Term(plus, "negative", down), Term(minus, "positive")), -self.beta)
        return (more, less) if self.beta else (more,)

    def z_plus_passes(self: rules.ZPlus) -> tuple[Pass, ...]:
        del self
        parts = (Term(arithmetic.positive, "positive", "positive"), Term(arithmetic.negative, "negative"))
        return (Pass(parts),)

    with (
        replaced(rules.AlphaBeta, "passes", property(alpha_beta_passes))(),
        replaced(rules.ZPlus, "passes", property(z_plus_passes))(),
    ):
        return right(model, x, method, target, **parameters)


def bias_squared(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Count the squared bias in the denominators of w squared, as zennit does."""

    def relevance(self: rules.WSquare, operation: Operation, arriving: Tensor) -> Relevances:
        del self
        layer, like = linear_map(operation), operation.like_input(arriving)
        z = layer.apply_ones(like, "square")
        bias = layer.bias(["all"], like)
        share = arriving / (z if bias is None else z + bias.square())
        return (layer.transpose(share.expand_as(arriving).contiguous(), "square", like),)

    with replaced(rules.WSquare, "relevance", relevance)():
        return right(model, x, method, target, **parameters)


# --- epsilon and the standard deviation ------------------------------------------------------------------------------

epsilon_without_sign = with_stabilizer(lambda z, epsilon: z + epsilon)
epsilon_minus_at_zero = with_stabilizer(lambda z, epsilon: torch.where(z > 0, z + epsilon, z - epsilon))
epsilon_dropped = with_stabilizer(lambda z, epsilon: torch.where(z == 0, arithmetic.KERAS_EPSILON, z))


def _per_sample(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))


epsilon_times_mean = with_stabilizer(
    lambda z, epsilon: arithmetic.stabilize(z, epsilon * _per_sample(z.flatten(1).abs().mean(dim=1), z))
)
epsilon_times_deviation = with_stabilizer(
    lambda z, epsilon: arithmetic.stabilize(z, epsilon * _per_sample(z.flatten(1).std(dim=1, unbiased=False), z))
)


def epsilon_of(value: float) -> SubjectFunction:
    """Return a port with another epsilon."""
    return with_stabilizer(lambda z, epsilon: arithmetic.stabilize(z, value))


factor_as_epsilon = with_deviation(lambda x: torch.ones(len(x), dtype=x.dtype))
ddof_1 = with_deviation(lambda x: x.flatten(1).std(dim=1, unbiased=True))
root_mean_square = with_deviation(lambda x: x.flatten(1).square().mean(dim=1).sqrt())
variance = with_deviation(lambda x: x.flatten(1).var(dim=1, unbiased=False))

# --- other rules -----------------------------------------------------------------------------------------------------


def _other_rule(change: Callable[[Rule], Rule]) -> SubjectFunction:
    """Return a port in which every kernel that does not see the input gets what is made of its rule."""
    kernel_rule = RuleComposite.kernel_rule
    return inside(RuleComposite, "kernel_rule", lambda self, operation: change(kernel_rule(self, operation)))


z_plus = _other_rule(lambda rule: rules.ZPlus())


def alpha_beta(alpha: float, beta: float) -> SubjectFunction:
    """Return a port with another alpha and beta."""
    return _other_rule(
        lambda rule: replace(rule, alpha=alpha, beta=beta) if isinstance(rule, rules.AlphaBeta) else rule
    )


def alpha_beta_exchanged(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Weigh what speaks for a unit by beta, and what speaks against it by alpha."""
    passes = rules.AlphaBeta.passes

    def exchanged(self: rules.AlphaBeta) -> tuple[Pass, ...]:
        more, *rest = passes.fget(self)  # type: ignore[attr-defined]
        less = rest[0] if rest else passes.fget(replace(self, alpha=2.0, beta=1.0))[1]  # type: ignore[attr-defined]
        return replace(more, coefficient=self.beta), replace(less, coefficient=-self.alpha)

    with replaced(rules.AlphaBeta, "passes", property(exchanged))():
        return right(model, x, method, target, **parameters)


def negative_inputs_dropped(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Take every layer's input for positive."""
    with replaced(rules, "negative", torch.zeros_like)():
        return right(model, x, method, target, **parameters)


def input_rule_missing(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Give the input layer the rule of the others."""
    kernel_rule = RuleComposite.rule_of

    def rule_of(self: RuleComposite, operation: Operation, step: int = 0) -> Rule | None:
        return kernel_rule(replace(self, input_rule=None, until=0), operation, step)

    with replaced(composites.RuleComposite, "rule_of", rule_of)():
        return right(model, x, method, target, **parameters)


def sign_of_zero(value: float) -> SubjectFunction:
    """Return a port with another sign of zero."""
    return with_sign(lambda x: torch.where(x == 0, value, torch.where(x < 0, -1.0, 1.0)).to(x.dtype))


mu_ignored = with_threshold(lambda x, mu, *_: arithmetic.sign_mu(x, 0.0))
mu_below = with_threshold(lambda x, mu, *_: torch.where(x > torch.as_tensor(mu), 1.0, -1.0).to(x.dtype))


def sign_afterwards(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Multiply the map of the plain method by the input's sign."""
    plain = right(model, x, method.replace("lrpsign", "lrp", 1), target, **parameters)
    return plain * np.where(x.numpy() < 0, -1, 1).astype(plain.dtype)


factor_forgotten = named(lambda name: "gradient" if name == "input_t_gradient" else parse(name).base)


def plain_gradient(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Let all relevance pass the ReLUs that are on, from where the method starts."""
    if method not in ("guided_backprop", "deconvnet"):
        raise NotImplementedError(method)
    return times_the_logit(model, x, "gradient", target, **parameters)


def renamed(part: str, instead: str) -> SubjectFunction:
    """Return a port that computes the method with another part in its name."""
    return named(lambda name: name.replace(part, instead))


# --- layers without a kernel -----------------------------------------------------------------------------------------


norm_merged = named(lambda name: name, batch_norm="merge")
norm_passed = inside(weightless.BatchNorm, "relevance", lambda self, operation, arriving: (arriving,))
average_as_gradient = inside(weightless.Average, "relevance", gradient_of)


def activations_block(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Let ReLUs take the gradient."""

    def blocking(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
        return (torch.where(operation.inputs[0] > 0, arriving, 0.0),)

    with (
        replaced(weightless.Pass, "needs_inputs", True)(),
        replaced(weightless.Pass, "relevance", blocking)(),
    ):
        return right(model, x, method, target, **parameters)


def gate_shares(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Give each factor of a product an equal part of its relevance, in place of the gradient."""
    from parity.keras.modules.merging import Multiply
    from signxai_torch.lrp import backward

    handed = backward._handed_down

    def down(operation: Operation, arriving: Any, assigned: Any) -> Any:
        if assigned is None or not isinstance(operation.declared, Multiply) or arriving[0] is None:
            return handed(operation, arriving, assigned)
        share = arriving[0] / len(operation.sources)
        return tuple(share.expand_as(one) if one.shape == share.shape else None for one in operation.inputs)

    with replaced(backward, "_handed_down", down)():
        return right(model, x, method, target, **parameters)


# --- what is done to a map -------------------------------------------------------------------------------------------


def of_map(change: Callable[[Map], Map]) -> SubjectFunction:
    """Return a port whose map is changed afterwards, sample by sample: (C, H, W), (C, T) or (F,)."""
    return map_changed(lambda values: np.stack([change(sample) for sample in values]))


def positive_part(sample: Map) -> Map:
    """Return the positive part."""
    out: Map = np.maximum(sample, 0)
    return out


def transposed(sample: Map) -> Map:
    """Exchange height and width."""
    return sample.swapaxes(-1, -2) if sample.ndim > 2 else sample


def flipped(sample: Map) -> Map:
    """Turn the last axis around."""
    return sample[..., ::-1]


def channels_summed(sample: Map) -> Map:
    """Put the sum of the channels in each."""
    return _spread(sample.sum(axis=0, keepdims=True), sample)


def channels_averaged(sample: Map) -> Map:
    """Put the mean of the channels in each."""
    return _spread(sample.mean(axis=0, keepdims=True), sample)


def channels_absolute(sample: Map) -> Map:
    """Put the sum of the channels' sizes in each."""
    return _spread(np.abs(sample).sum(axis=0, keepdims=True), sample)


def channels_reversed(sample: Map) -> Map:
    """Put the channels in the other order."""
    return sample[::-1] if sample.ndim > 1 else sample


def _spread(one: Map, like: Map) -> Map:
    return np.broadcast_to(one, like.shape).copy() if like.ndim > 1 else like


def over_maximum(sample: Map) -> Map:
    """Divide by the largest size."""
    out: Map = sample / np.abs(sample).max()
    return out


def between_0_and_1(sample: Map) -> Map:
    """Move and scale into 0 to 1."""
    reach = np.ptp(sample)
    out: Map = (sample - sample.min()) / (reach if reach else 1.0)
    return out


def over_sum(sample: Map) -> Map:
    """Divide by the sum."""
    out: Map = sample / sample.sum()
    return out
