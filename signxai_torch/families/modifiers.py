"""What multiplies a map: the input, or its sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from signxai_torch.lrp.arithmetic import sign, sign_mu
from signxai_torch.methods.grammar import Method


def modify(result: Tensor, x: Tensor, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the map under the modifiers of a method's row and name, in the name's order.

    ``x_input`` multiplies by x, ``x_sign`` by its sign (sign(0) = +1), ``x_sign_mu_M`` by +1 where x >= M, else -1.

    Raises
    ------
    ValueError
        If the name ends in ``x_sign_mu`` and no parameter `mu` is given.
    """
    if parameters.get("times_input"):
        result = result * x
    for what, mu in method.modifiers:
        if what == "x_input":
            result = result * x
        elif what == "x_sign":
            result = result * sign(x)
        else:
            threshold = parameters.get("mu") if mu is None else mu
            if threshold is None:
                raise ValueError(f"{method} needs a threshold: mu=0.5, or name it: {method}_0_5")
            result = result * sign_mu(x, threshold, parameters.get("vlow", -1.0), parameters.get("vhigh", 1.0))
    return result
