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


PROPERTIES: dict[str, Callable[[KerasModule, Array, int, Array], str | None]] = {
    "sums_to_the_change": sums_to_the_change,
    "nothing_where_nothing_changes": nothing_where_nothing_changes,
}
"""The properties by the names that the table of divergences uses."""
