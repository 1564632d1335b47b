"""How the published API spells its options: other names for parameters, and lookups that name the nearest choice."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

T = TypeVar("T")

UNUSED_EPSILON = 1e-6
"""The default of a published parameter that stabilizes nothing in the reference's method."""

SPELLINGS = {
    "noise_level": "noise_scale",
    "num_samples": "samples",
    "augment_by_n": "samples",
    "reference_inputs": "baseline",
    "layer_name": "target_layer",
    "last_conv_layer_name": "target_layer",
    "last_conv": "target_layer",
    "baselines": "baseline",
    "n_steps": "steps",
    "nt_samples": "samples",
    "stdevs": "noise_scale",
}
"""Names that published scripts use for parameters of the method table."""


def canonical(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options under the method table's names for them.

    Raises
    ------
    TypeError
        If two spellings of one parameter are given.
    """
    result: dict[str, Any] = {}
    for key, value in options.items():
        name = SPELLINGS.get(key, key)
        if name in result:
            raise TypeError(f"{key} is another name of a parameter that is given already ({name}); give one of them")
        result[name] = value
    return result


def tensor_of(model: nn.Module, array: Any) -> Tensor:
    """Return an array as a tensor in the dtype of a model, whatever its strides and byte order are.

    Raises
    ------
    TypeError
        If it holds no real numbers.
    """
    if isinstance(array, Tensor):
        return array
    values = np.asarray(array)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"the input must hold real numbers, not {values.dtype}")
    floats = (one.dtype for one in (*model.parameters(), *model.buffers()) if one.is_floating_point())
    native = np.array(values, dtype=values.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(native).to(next(floats, torch.float32))


def choose(option: str, value: Any, choices: Mapping[str, T]) -> T:
    """Return what an option's value stands for.

    Raises
    ------
    ValueError
        If it is not one of the choices; the message names the nearest and lists all.
    """
    if isinstance(value, str) and value in choices:
        return choices[value]
    nearest = difflib.get_close_matches(str(value), list(choices), n=1, cutoff=0.0)
    raise ValueError(f"unknown {option} {value!r}, the nearest is {nearest[0]!r}; there are {', '.join(choices)}")
