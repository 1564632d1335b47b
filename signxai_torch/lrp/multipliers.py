"""DeepLIFT's multipliers: rules on a batch of inputs followed by as many baselines.

Each rule hands a multiplier down so that multipliers times the changes of what an operation reads add up to those times
the changes of what it makes. Activations and max-pooling follow the Rescale rule (Shrikumar et al. 2017,
arXiv:1704.02685, section 3.5.2). Products and what is made of them share the change of both factors evenly, which is
the Shapley value of a product (Lundberg and Lee 2017, arXiv:1705.07874, section 4.3; the authors' package does so too).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from signxai_torch.lrp.beyond import BeyondReference
from signxai_torch.lrp.composites import Composite
from signxai_torch.lrp.rule import Relevances, Rule
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.operation import Operation

SMALL = 1e-7  # below this difference to the reference a unit's multiplier is its gradient (the paper's limit)
SHAPLEY = "Lundberg and Lee 2017, arXiv:1705.07874, section 4.3"


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inputs' and the baselines' half of a batch."""
    half = len(x) // 2
    return x[:half], x[half:]


def whole(multiplier: Tensor) -> Tensor:
    """Return a multiplier for both halves; the baselines' is zero."""
    return torch.cat([multiplier, torch.zeros_like(multiplier)])


def middle(x: Tensor) -> Tensor:
    """Return the mean of each input and its baseline, for both halves."""
    now, before = halves(x)
    mean = (now + before) / 2
    return torch.cat([mean, mean])


def slope(made: Tensor, read: Tensor, plain: Tensor) -> Tensor:
    """Return the change of what was made by that of what was read, and `plain` where that is next to nothing."""
    (now, before), (after, prior) = halves(read), halves(made)
    change = now - before
    small = change.abs() < SMALL
    return torch.where(small, plain, (after - prior) / torch.where(small, 1.0, change))


@dataclass(frozen=True)
class Rescale(Rule):
    """Multiplier (y - y_r) / (x - x_r) for an activation; the second half of the batch is the baseline's."""

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        x, output = operation.inputs[0], operation.output
        (plain,) = operation.gradient([torch.ones_like(arriving)])
        if plain is None:
            return (None,)
        return (whole(halves(arriving)[0] * slope(output, x, halves(plain)[0])),)


@dataclass(frozen=True)
class RescalePool(Rule):
    """Max-pooling: the change of each window's maximum is shared by what each input changed."""

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        x, output = operation.inputs[0], operation.output
        (now, before), (after, prior), (wanted, _) = halves(x), halves(output), halves(arriving)
        both = torch.maximum(after, prior)
        # Two gradients of the pool: from the sample's maxima and from the baseline's, each with its own change.
        (credit,) = operation.gradient([torch.cat([wanted * (both - prior), wanted * (after - both)])])
        (plain,) = operation.gradient([arriving])
        if credit is None or plain is None:
            return (None,)
        change = now - before
        small = change.abs() < SMALL
        total = sum(halves(credit))
        return (whole(torch.where(small, halves(plain)[0], total / torch.where(small, 1.0, change))),)


@dataclass(frozen=True)
class SharedProduct(BeyondReference):
    """A product of numbers or matrices: each factor's multiplier is the other one half-way from the baseline."""

    needs_output = False
    source: ClassVar[str] = SHAPLEY

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        parts = operation.gradient_at([middle(x) for x in operation.inputs], [arriving])
        return tuple(None if part is None else whole(halves(part)[0]) for part in parts)


@dataclass(frozen=True)
class SharedQuotient(BeyondReference):
    """A quotient: the product of the dividend and the reciprocal of the divisor, which takes the Rescale rule."""

    needs_output = False
    source: ClassVar[str] = SHAPLEY

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        above, below = operation.inputs
        inverse = below.reciprocal()
        to_above = (arriving * middle(inverse)).sum_to_size(above.shape)
        to_inverse = (arriving * middle(above)).sum_to_size(below.shape)
        plain = -halves(inverse)[0].square()
        return whole(halves(to_above)[0]), whole(halves(to_inverse)[0] * slope(inverse, below, plain))


@dataclass(frozen=True)
class SharedHalf(BeyondReference):
    """``glu``: a product of one half and the other's sigmoid, which takes the Rescale rule."""

    needs_output = False
    source: ClassVar[str] = SHAPLEY

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        dim = operation.argument("dim", -1)
        signal, below = operation.inputs[0].chunk(2, dim)
        gate = below.sigmoid()
        plain = halves(gate * (1 - gate))[0]
        to_signal = halves(arriving * middle(gate))[0]
        to_below = halves(arriving * middle(signal))[0] * slope(gate, below, plain)
        return (whole(torch.cat([to_signal, to_below], dim)),)


def softmax_multiplier(x: Tensor, arriving: Tensor, dim: int) -> Tensor:
    """Return the multipliers of a softmax's input: exponentials, their sum, and the quotient of the two."""
    now, before = halves(x)
    top = torch.maximum(now, before).amax(dim=dim, keepdim=True)  # one shift for both, or they would not compare
    raised = (x - torch.cat([top, top])).exp()
    inverse = raised.sum(dim=dim, keepdim=True).reciprocal()
    total = inverse.reciprocal()
    to_inverse = (arriving * middle(raised)).sum(dim=dim, keepdim=True)
    to_total = halves(to_inverse)[0] * slope(inverse, total, -halves(inverse)[0].square())
    to_raised = halves(arriving * middle(inverse))[0] + to_total
    multiplier = to_raised * slope(raised, x, halves(raised)[0])
    return whole(torch.where(torch.isfinite(now) & torch.isfinite(before), multiplier, 0.0))  # masked: minus infinity


@dataclass(frozen=True)
class SharedSoftmax(BeyondReference):
    """A softmax: exponentials by the Rescale rule, divided by their sum as a quotient is."""

    needs_output = False
    source: ClassVar[str] = SHAPLEY

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        x, dim = operation.inputs[0], operation.argument("dim", -1)
        if operation.function.name != "log_softmax":
            return (softmax_multiplier(-x if operation.function.name == "softmin" else x, arriving, dim)
                    * (-1 if operation.function.name == "softmin" else 1),)  # fmt: skip
        now, before = halves(x)
        top = torch.maximum(now, before).amax(dim=dim, keepdim=True)
        raised = (x - torch.cat([top, top])).exp()
        total = raised.sum(dim=dim, keepdim=True)
        to_total = -halves(arriving)[0].sum(dim=dim, keepdim=True) * slope(total.log(), total, halves(1 / total)[0])
        return (whole(halves(arriving)[0] + to_total * slope(raised, x, halves(raised)[0])),)


@dataclass(frozen=True)
class SharedNormalization(BeyondReference):
    """A normalisation by a sample's own statistics: centred values times the reciprocal of their deviation."""

    needs_output = False
    source: ClassVar[str] = SHAPLEY

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        x, name = operation.inputs[0], operation.function.name
        shape, centred = _groups_of(operation, x)
        grouped = x.reshape(shape) if shape is not None else x
        dim: list[int] = [-1] if shape is not None else _axis(operation)
        values = grouped - grouped.mean(dim=dim, keepdim=True) if centred else grouped
        epsilon = operation.argument("eps", 1e-12 if name == "normalize" else 1e-5)
        if name == "normalize":
            size = values.square().sum(dim=dim, keepdim=True)
            inverse = size.sqrt().clamp(min=epsilon).reciprocal()
            share = 1.0
        else:
            size = values.square().mean(dim=dim, keepdim=True)
            epsilon = torch.finfo(x.dtype).eps if epsilon is None else epsilon
            inverse = (size + epsilon).rsqrt()
            share = grouped.numel() / size.numel()
        weighted = (arriving * _weight(operation, x)).reshape(grouped.shape)
        to_inverse = (weighted * middle(values)).sum(dim=dim, keepdim=True)
        plain = -halves(inverse)[0].pow(3) / 2
        to_size = halves(to_inverse)[0] * slope(inverse, size, plain)
        # The change of a square is the change times the sum of the two.
        multiplier = halves(weighted * middle(inverse))[0] + to_size / share * 2 * halves(middle(values))[0]
        if centred:
            multiplier = multiplier - multiplier.mean(dim=dim, keepdim=True)
        return (whole(multiplier.reshape(halves(x)[0].shape)),)


def _axis(operation: Operation) -> list[int]:
    dim = operation.argument("dim", 1)
    return list(dim) if isinstance(dim, (tuple, list)) else [dim]


def _groups_of(operation: Operation, x: Tensor) -> tuple[tuple[int, ...] | None, bool]:
    """Return the shape in which the last axis is normalized as one, and whether its mean is taken off."""
    name = operation.function.name
    if name == "normalize":
        return None, False
    if name in ("layer_norm", "rms_norm"):
        axes = len(operation.argument("normalized_shape"))
        return (*x.shape[: x.dim() - axes], -1), name == "layer_norm"
    groups = operation.argument("num_groups") if name == "group_norm" else x.shape[1]
    return (len(x), groups, -1), True


def _weight(operation: Operation, x: Tensor) -> Tensor | float:
    weight = operation.argument("weight")
    if not isinstance(weight, Tensor) or operation.function.name == "normalize":
        return 1.0
    if operation.function.name in ("layer_norm", "rms_norm"):
        return weight
    return weight.reshape(1, -1, *[1] * (x.dim() - 2))


@dataclass(frozen=True)
class SharedAttention(BeyondReference):
    """Scaled dot-product attention: product, softmax and product, each by its own rule."""

    needs_output = False
    source: ClassVar[str] = SHAPLEY

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        query, key, value = operation.inputs
        mask, scale = operation.argument("attn_mask"), operation.keywords.get("scale")
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        scores = query @ key.transpose(-2, -1) * scale
        if operation.keywords.get("is_causal"):
            scores = scores + torch.full_like(scores, -torch.inf).triu(1)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        weights = scores.softmax(dim=-1)
        to_value = middle(weights).transpose(-2, -1) @ arriving
        to_scores = softmax_multiplier(scores, arriving @ middle(value).transpose(-2, -1), -1) * scale
        to_query = to_scores @ middle(key)
        to_key = to_scores.transpose(-2, -1) @ middle(query)
        found = dict(zip(("query", "key", "value"), (to_query, to_key, to_value), strict=True))
        return tuple(whole(halves(one.sum_to_size(shape))[0]) for one, shape in
                     zip(found.values(), operation.shapes, strict=True))  # fmt: skip


@dataclass(frozen=True)
class SharedNorm(BeyondReference):
    """A Euclidean norm: squares, their sum, and its root, each by the Rescale rule."""

    source: ClassVar[str] = SHAPLEY

    def relevance(self, operation: Operation, arriving: Tensor) -> Relevances:
        """See `Rule.relevance`."""
        x, norm = operation.inputs[0], operation.output
        plain = 1 / (2 * halves(norm)[0]).clamp(min=SMALL)
        to_size = halves(arriving)[0] * slope(norm, norm.square(), plain)
        return (whole(to_size * 2 * halves(middle(x))[0]),)


def _is_euclidean(operation: Operation) -> bool:
    known = operation.function.name in ("norm", "vector_norm") and operation.argument("p", 2) in (2, "fro", None)
    return known and bool(operation.argument("keepdim", False)) and operation.argument("dim") is not None


_NORMALIZATIONS = ("layer_norm", "rms_norm", "group_norm", "instance_norm", "normalize")
_SHARED: dict[Kind, Rule] = {
    Kind.PRODUCT: SharedProduct(),
    Kind.PRODUCT_OF_MATRICES: SharedProduct(),
    Kind.QUOTIENT: SharedQuotient(),
    Kind.SOFTMAX: SharedSoftmax(),
}


@dataclass(frozen=True)
class DeepLiftComposite(Composite):
    """The Rescale rule on what bends, the gradient on what is linear."""

    everything = True

    def rule_of(self, operation: Operation, step: int = 0) -> Rule | None:
        """See `Composite.rule_of`."""
        kind = operation.kind
        if kind is Kind.ACTIVATION or operation.function.of_each_value:
            return Rescale()
        if kind is Kind.MAXIMUM and len(operation.sources) == 1:
            return RescalePool()
        if operation.function.name == "glu":
            return SharedHalf()
        if kind is Kind.NORMALIZE:
            known = operation.function.name in _NORMALIZATIONS and operation.argument("p", 2) == 2
            return SharedNormalization() if known else None
        if kind is Kind.ATTENTION:
            return SharedAttention() if len(operation.sources) == 3 and operation.places[0] in (0, "query") else None
        if kind is Kind.UNKNOWN and _is_euclidean(operation):
            return SharedNorm()
        return _SHARED.get(kind)
