"""What a method promises by its definition, held to where no reference gives a map: see `Divergence.holds`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from parity.keras import KerasModule

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
    with torch.no_grad():
        now, before = module(module.to_torch(np.stack([x, np.zeros_like(x)])))[:, target].double().tolist()
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


PROPERTIES: dict[str, Callable[[KerasModule, Array, int, Array], str | None]] = {
    "sums_to_the_change": sums_to_the_change,
}
"""The properties by the names that the table of divergences uses."""
