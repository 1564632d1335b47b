"""What DeepLIFT promises by its definition, held to where no reference gives a map.

The Rescale rule with a baseline of zeros: the map sums to the change of the logit, it is zero where the input is, and
on a network that is homogeneous (no offsets, ReLU alone) it is the input times the gradient, which the references give.
The first two are also asked of inputs of which parts are set to zero, where they say much more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.known.conditions import activation_of
from parity.keras import KerasModule, ModelDescription
from parity.keras.handlers.table import TRAINING_ONLY

Array = npt.NDArray[Any]


def sums_to_the_change(module: KerasModule, x: Array, target: int, found: Array) -> str | None:
    """Say what is wrong with a map that must sum to f_c(x) - f_c(0), or None.

    Parameters
    ----------
    module : KerasModule
        The model, in the dtype of the map.
    x, found : numpy.ndarray
        The input and the map, Keras layout without batch axis.
    target : int
        The explained class.
    """
    logits = module.logits(np.stack([x, np.zeros_like(x)])).astype(np.float64).reshape(2, -1)
    now, before = logits[:, target].tolist()
    values = found.astype(np.float64)
    missing = abs(float(values.sum()) - (now - before))
    # Half of the digits of the dtype for all that is added up, because what cancels rounds no better; three quarters
    # for the logits themselves, which a forward pass rounds to.
    digits = float(np.finfo(found.dtype).eps)
    allowed = digits**0.5 * float(np.abs(values).sum()) + digits**0.75 * (abs(now) + abs(before))
    if missing <= allowed and (found.any() or now == before):
        return None
    return (
        f"the map sums to {float(values.sum()):.6g}, but the logit of class {target} changes by {now - before:.6g} "
        f"from the baseline of zeros (difference {missing:.3g}, allowed {allowed:.3g})"
    )


def nothing_where_nothing_changes(module: KerasModule, x: Array, target: int, found: Array) -> str | None:
    """Say what is wrong with a map that must be zero wherever the input is, at the baseline of zeros, or None."""
    wrong = (x == 0) & (found != 0)
    if not wrong.any():
        return None
    place = tuple(int(one) for one in np.argwhere(wrong)[0])
    return (
        f"the map is {float(found[place]):.6g} at {place}, where the input is zero like the baseline and nothing "
        f"changes; so it is at {int(wrong.sum())} of {int((x == 0).sum())} such places"
    )


PROMISES: dict[str, Callable[[KerasModule, Array, int, Array], str | None]] = {
    "sums_to_the_change": sums_to_the_change,
    "nothing_where_nothing_changes": nothing_where_nothing_changes,
}
"""The promises by name, which is the check that fails."""


def probes(x: Array) -> list[Array]:
    """Return copies of an input of which parts are set to zero: each half, each quarter, and all but single values."""
    kept = []
    flat = np.arange(x.size).reshape(x.shape)
    order = np.random.default_rng(0).permutation(x.size).reshape(x.shape)
    kept += [flat < x.size // 2, flat >= x.size // 2, order % 2 == 0, order % 4 == 1]
    kept += [flat == index for index in np.argsort(-np.abs(x).ravel(), kind="stable")[:2].tolist()]
    return [np.where(mask, x, 0).astype(x.dtype) for mask in kept]


_HOMOGENEOUS = {
    "InputLayer", "Dense", "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D",
    "SeparableConv2D", "BatchNormalization", "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "Flatten", "Reshape",
    "Permute", "Add", "Concatenate", "Activation", "ReLU", *TRAINING_ONLY,
}  # fmt: skip
_POOLING = {"MaxPooling1D", "MaxPooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"}


def piecewise_linear(model: ModelDescription) -> bool:
    """Return whether a model without its offsets is homogeneous, so that the Rescale rule is input times gradient.

    Max-pooling must read what a ReLU made: of negative values the rule gives credit to the baseline's maximum.
    """
    by_name = {layer.name: layer for layer in model.layers}

    def rectified(name: str) -> bool:
        return by_name[name].class_name == "ReLU" or activation_of(by_name[name]) == "relu"

    for layer in model.layers:
        if layer.class_name in _POOLING:
            if not rectified(layer.inbound[0]):
                return False
        elif layer.class_name not in _HOMOGENEOUS or activation_of(layer) not in (None, "relu"):
            return False
        if layer.class_name == "ReLU" and any(layer.config.get(key) for key in ("negative_slope", "threshold")):
            return False
        if layer.class_name == "ReLU" and layer.config.get("max_value") is not None:
            return False
    return True


def pools_maxima(model: ModelDescription) -> bool:
    """Return whether a model takes maxima over windows."""
    return any(layer.class_name in _POOLING for layer in model.layers)
