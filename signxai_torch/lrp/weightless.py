"""Rules of operations without weights: what passes relevance on, sums and averages, batch normalisation, ReLUs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from signxai_torch.lrp.arithmetic import KERAS_EPSILON, divide, over, stabilize
from signxai_torch.lrp.rule import Relevances, Rule
from signxai_torch.operations.operation import Operation, factor_of_normalization


@dataclass(frozen=True)
class Pass(Rule):
    """Relevance unchanged: activations and dropout (SIGN-XAI: every layer whose input and output shapes agree)."""

    needs_inputs = needs_output = False

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        return (arriving,)


@dataclass(frozen=True)
class Average(Rule):
    """Average pooling, sums, scales, and batch norms by themselves: the Z rule, ``x * VJP(x; R / f(x))``."""

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        parts = operation.gradient([divide(arriving, operation.output)])
        return tuple(None if part is None else x * part for x, part in zip(operation.inputs, parts, strict=True))


@dataclass(frozen=True)
class BatchNorm(Rule):
    """``x (y - beta) R / ((x - mean) y)`` with y the layer's output (SIGN-XAI 1.1.9.2, BatchNormalizationReverseRule).

    iNNvestigate 2.1.2 squares the variance and drops gamma instead; that is a defect and not followed.
    """

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        x, output = operation.inputs[0], operation.output
        shape = (1, -1, *[1] * (x.dim() - 2))
        shifted = x - operation.argument("running_mean").reshape(shape)
        scaled = shifted * factor_of_normalization(operation).reshape(shape)
        # y - beta is (x - mean) * factor. Taking beta off y would lose digits, and dividing by x - mean would show it.
        return (over(x * scaled * arriving, stabilize(shifted * output, KERAS_EPSILON)),)


@dataclass(frozen=True)
class SumOfVector(Rule):
    """Embeddings: a token gets the sum of the relevance of its vector (iNNvestigate 2.1.2, EmbeddingReverseLayer)."""

    needs_inputs = needs_output = False

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        return (arriving.sum(-1 if operation.declared is None else 1),)


@dataclass(frozen=True)
class GuidedReLU(Rule):
    """``R+ [x > 0]`` (guided backpropagation)."""

    needs_output = False

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        if operation.function.name == "relu":
            return (arriving.clamp(min=0) * (operation.inputs[0] > 0),)
        return operation.gradient([arriving.clamp(min=0)])  # a ReLU with a bound or a slope has its own derivative


@dataclass(frozen=True)
class DeconvNetReLU(Rule):
    """``R+`` (deconvnet)."""

    needs_inputs = needs_output = False

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        return (torch.clamp(arriving, min=0),)
