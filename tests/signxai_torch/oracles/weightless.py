"""How layers without a kernel hand relevance back: a rule by the class of the layer, and one for all others.

What the references' sources say, and they alone: nothing of how the converter declares its modules is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.signxai_torch.oracles import formulas
from tests.signxai_torch.oracles.formulas import safe_divide
from tests.signxai_torch.oracles.layer import Array, Layer


@dataclass(frozen=True)
class Site:
    """A layer at work: what it reads, what it makes of that, and the derivative by each input, both flattened."""

    layer: Layer
    read: Sequence[Array]
    made: Array
    jacobians: Callable[[], Sequence[Array]]

    def derivative(self, R: Array) -> list[Array]:
        return [(J.T @ R.ravel()).reshape(x.shape) for J, x in zip(self.jacobians(), self.read, strict=True)]


Rule = Callable[[Site, Array], list[Array]]


OPERATIONS = ("TFOpLambda", "SlicingOpLambda")


def by_shape(site: Site, R: Array) -> list[Array]:
    """As it is where the only input has the output's shape, by the derivative elsewhere (SIGN-XAI's default)."""
    if len(site.read) == 1 and site.read[0].shape == R.shape:
        return [R]
    return site.derivative(R)


def shared(site: Site, R: Array) -> list[Array]:
    """The Z rule of a sum or a mean: each summand's share of it."""
    return [x * part for x, part in zip(site.read, site.derivative(safe_divide(R, site.made)), strict=True)]


def sum_of_the_vector(site: Site, R: Array) -> list[Array]:
    """iNNvestigate's rule; SIGN-XAI has none."""
    return [R.sum(-1)]


def batch_normalization(site: Site, R: Array) -> list[Array]:
    """SIGN-XAI's rule, channel by channel."""
    axis, held = site.layer.config.get("axis", -1), site.layer.weights
    axis = axis[0] if isinstance(axis, (list, tuple)) else axis
    axis = axis - 1 if axis > 0 else axis
    made = np.empty(R.shape)
    channels = (np.moveaxis(one, axis, 0) for one in (site.read[0], R, made))
    for channel, (values, arriving, into) in enumerate(zip(*channels, strict=True)):
        into[...] = formulas.batch_norm(
            values, arriving, weight=float(held["gamma"][channel]), beta=float(held["beta"][channel]),
            mean=float(held["moving_mean"][channel]), variance=float(held["moving_variance"][channel]),
            eps=site.layer.config.get("epsilon", 1e-3),
        )  # fmt: skip
    return [made]


SUMS = ("__operators__.add", "math.reduce_mean")
OF_THEIR_OWN_SHAPE = ("__operators__.getitem", "math.square")
"""What moves values, and what is a product of two tensors: no passing on by the shape."""


def operation(site: Site, R: Array) -> list[Array]:
    """As the layer that computes the same: a sum of tensors, a mean, a product, or a cut, which moves values."""
    function = site.layer.config["function"]
    if function in SUMS and not (len(site.read) == 1 and site.read[0].shape == R.shape):
        return shared(site, R)
    return site.derivative(R) if function in OF_THEIR_OWN_SHAPE else by_shape(site, R)


RULES: dict[str, Rule] = {
    "Add": shared,
    **{f"{kind}AveragePooling{n}D": shared for kind in ("", "Global") for n in (1, 2, 3)},
    "BatchNormalization": batch_normalization,
    "BatchNormalizationV1": batch_normalization,  # a file's name for what Keras makes a `BatchNormalization` of
    "Embedding": sum_of_the_vector,
    # SIGN-XAI moves nothing back where sizes are equal, which is a defect; iNNvestigate does.
    "Permute": Site.derivative,
    **dict.fromkeys(OPERATIONS, operation),
}
"""By class name; all others go by their shapes."""


def rule_of(layer: Layer) -> Rule:
    return RULES.get(layer.class_name, by_shape)
