"""The methods that the oracle explains by: which rule of `formulas` goes on which kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tests.signxai_torch.oracles import formulas
from tests.signxai_torch.oracles.formulas import Affine, Array

Rule = Callable[[Affine, Array, Array], Array]


@dataclass(frozen=True)
class Method:
    """What a name stands for.

    Attributes
    ----------
    kernel
        The rule of every kernel; None for the derivative, activation included.
    dense
        That of `Dense`, if another.
    first
        That of kernels that read the input, if another.
    start
        From the explained logit to the relevance that the output starts from.
    layers
        What layers without a kernel have: their "rules", or the "derivative", as in the gradient and in iNNvestigate's
        deep Taylor.
    """

    kernel: Rule | None
    dense: Rule | None = None
    first: Rule | None = None
    start: Callable[[float], float] = float
    layers: Literal["rules", "derivative"] = "rules"

    def rule(self, class_name: str, first: bool) -> Rule | None:
        if first and self.first is not None:
            return self.first
        return self.dense if class_name == "Dense" and self.dense is not None else self.kernel


EPSILON = partial(formulas.epsilon, epsilon=0.1)
STDX = partial(formulas.stdx_epsilon, stdfactor=0.25)
ALPHA_1, ALPHA_2 = (partial(formulas.alpha_beta, alpha=1.0 + b, beta=float(b)) for b in (0, 1))

METHODS: dict[str, Method] = {
    "gradient": Method(None, start=lambda logit: 1.0, layers="derivative"),
    "lrp_z": Method(formulas.z),
    "lrp_epsilon_0_1": Method(EPSILON),
    "lrp_epsilon_0_25_std_x": Method(STDX),
    "lrp_alpha_1_beta_0": Method(ALPHA_1),
    "lrp.alpha_2_beta_1": Method(ALPHA_2),
    "lrp_gamma": Method(partial(formulas.gamma, gamma=0.5)),
    "lrp_w_square": Method(formulas.w_square),
    "lrp_flat": Method(formulas.flat),
    "lrp_z_plus": Method(formulas.z_plus),
    "lrp_z_plus_fast": Method(formulas.z_plus_fast),
    "lrp_sequential_composite_a": Method(ALPHA_1, dense=EPSILON),
    "lrpsign_epsilon_0_25_std_x": Method(STDX, first=formulas.sign),
    "flatlrp_alpha_1_beta_0": Method(ALPHA_1, first=formulas.flat),
    "w2lrp_epsilon_0_1": Method(EPSILON, first=formulas.w_square),
    "deep_taylor": Method(formulas.z_plus, start=lambda logit: max(logit, 0.0), layers="derivative"),
}
