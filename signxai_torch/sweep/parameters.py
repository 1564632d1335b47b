"""What a call may set of a method, and what each value must be: nothing given is ignored or rounded."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from torch import Tensor

from signxai_torch.lrp.rules import RULES
from signxai_torch.methods.grammar import Method

# What a call may set besides the parameters of the method's row.
_NOISE = ("noise", "seed")
_EXTRA = {
    "smoothgrad": (*_NOISE, "batch_size"),
    "vargrad": (*_NOISE, "batch_size"),
    "random": _NOISE,
    "integrated_gradients": ("batch_size",),
    "grad_cam": ("size", "reshape_transform"),
    "grad_cam_timeseries": ("reshape_transform",),
    "guided_grad_cam": ("reshape_transform",),
    "guided_backprop": ("start",),
    "deconvnet": ("start",),
    "lrp": ("batch_norm",),
    "deep_taylor": ("batch_norm",),
}
DRAWN = tuple(family for family, names in _EXTRA.items() if "seed" in names)
"""The families that draw noise."""
STARTS = ("logit", "one")
"""Where guided backpropagation and deconvnet start: from the logit's value, as both references do, or from one, as the
papers do, whose map is another one where the logit is negative."""
_WHOLE = ("samples", "steps", "window", "stride", "batch_size", "until_layer_idx")
_NUMBERS = ("alpha", "beta", "epsilon", "gamma", "high", "low", "mu", "noise_scale", "stdfactor", "vhigh", "vlow")
_ALPHA_BETA = ("alpha_beta", "lrp")
"""Templates of the rows whose alpha or beta follows from the other one, as in the references."""


def parameters_of(method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's parameters with the caller's on top.

    Raises
    ------
    TypeError
        If the method takes no such parameter; the message lists those it takes.
    ValueError
        If what must be a number is none, not finite, or not whole where only whole numbers have a meaning.
    """
    taken = {*method.parameters, *_EXTRA.get(method.family, ())}
    what = str(method)
    rule = given.get("rule", method.parameters.get("rule"))
    if method.row.template == "lrp" and isinstance(rule, str) and rule in RULES:
        taken |= {field.name for field in fields(RULES[rule])}
        what = f"{method} with rule={rule!r}"
    if any(name == "x_sign_mu" for name, _ in method.modifiers):
        taken |= {"mu", "vlow", "vhigh"}
    unknown = sorted(set(given) - taken)
    if unknown:
        raise TypeError(
            f"{what} takes no parameter {', '.join(unknown)}; it takes {', '.join(sorted(taken)) or 'none'}"
        )
    if given.get("noise") is not None and (useless := sorted({"seed", "noise_scale"} & set(given))):
        raise TypeError(
            f"{', '.join(useless)} says nothing where the noise itself is given; leave out one or the other"
        )
    # No baseline is that of zeros, as in the published ports.
    checked = {
        key: 0.0 if key == "baseline" and value is None else _checked(key, value) for key, value in given.items()
    }
    return dict(method.parameters) | _completed(method, checked)


def _completed(method: Method, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given, with the alpha or beta that follows from the other one (alpha - beta = 1)."""
    one, other, sign = ("alpha", "beta", -1) if "alpha" in given else ("beta", "alpha", 1)
    if method.row.template not in _ALPHA_BETA or one not in given or other in given:
        return dict(given)
    return {**given, other: given[one] + sign}


def _checked(key: str, value: Any) -> Any:
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if key == "start" and value not in STARTS:
        raise ValueError(f"start must be one of {', '.join(STARTS)}, not {value!r}")
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if number and not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number, not {value}")
    if key in _NUMBERS and not number and not (key == "mu" and value is None):
        raise ValueError(f"{key} must be a number, not {value!r}")
    if key not in _WHOLE or (value is None and key in ("batch_size", "until_layer_idx")):
        return value
    if not number or value != int(value):
        raise ValueError(f"{key} must be a whole number, not {value!r}")
    return int(value)
