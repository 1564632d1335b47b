"""Targets: which output of the model is explained, and the relevance it starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Indices = int | Sequence[int] | np.ndarray[Any, Any] | Tensor
Target = Indices | tuple[int, ...] | Callable[[Tensor], Any] | None
"""Which output is explained: None (the arg-max), a class, a class per sample, a place in an output of more axes than
classes such as (position, class), or a function from logits to one of these."""


def target_indices(output: Tensor, target: Target, shape: Sequence[int] = ()) -> Tensor:
    """Return one index per sample into its logits, all axes of an output in a row.

    Parameters
    ----------
    output : torch.Tensor
        The logits, shape (N, classes).
    target : None, int, tuple, callable or one int per sample
        None takes the arg-max of each sample.
    shape : sequence of int
        The axes of one sample's output, if it has more than one; a tuple is a place in it.

    Raises
    ------
    ValueError
        If the model's output is not (N, classes), the number of targets is not N, or a target is out of range.
    TypeError
        If a target is not an integer.
    """
    if output.dim() != 2:
        raise ValueError(f"the model must return logits of shape (N, classes), not {tuple(output.shape)}")
    count, classes = output.shape
    if callable(target) and not isinstance(target, Tensor):
        target = target(output.detach().reshape(count, *shape) if len(shape) > 1 else output.detach())
    if target is None:
        return output.argmax(dim=1)
    if len(shape) > 1:
        return _places(target, count, shape).to(output.device)
    values = per_sample(target, count)
    if int(values.min()) < 0 or int(values.max()) >= classes:
        given = sorted(set(values.tolist()))
        raise ValueError(f"target {given} is out of range: the model has classes 0 to {classes - 1}")
    return values.to(output.device)


def _places(target: Any, count: int, shape: Sequence[int]) -> Tensor:
    """Return the place in an output of several axes, in a row, per sample; `target` is one place or one per sample."""
    given = target.detach().cpu().numpy() if isinstance(target, Tensor) else np.asarray(target)
    axes = len(shape)
    if given.dtype.kind not in "iu" or given.shape not in ((axes,), (count, axes)):
        raise ValueError(
            f"the model's output has the axes {tuple(shape)} per sample, so target must be a place in it, such as "
            f"{(0,) * axes}, or one per sample, not {target!r}"
        )
    if (given < 0).any() or (given >= np.asarray(shape)).any():
        raise ValueError(
            f"target {target!r} is out of range: the model's output has the axes {tuple(shape)} per sample"
        )
    flat = np.ravel_multi_index(tuple(given.reshape(-1, axes).T), tuple(shape))
    return torch.as_tensor(np.asarray(flat, np.int64)).expand(count)


def per_sample(target: Any, count: int) -> Tensor:
    """Return one class index per sample, of which it is not known yet whether the model has them.

    Raises
    ------
    ValueError
        If the number of targets is not `count`.
    TypeError
        If a target is not an integer.
    """
    try:
        values = np.atleast_1d(target.detach().cpu().numpy() if isinstance(target, Tensor) else np.asarray(target))
    except ValueError as error:  # rows of different lengths
        raise TypeError(f"target must be None, an int or one int per sample, not {target!r}") from error
    if values.dtype.kind not in "iu":
        raise TypeError(f"target must be None, an int or one int per sample, not {target!r}")
    if values.ndim == 2 and values.shape == (count, 1):
        values = values[:, 0]  # labels in a column
    if values.ndim == 2:
        raise ValueError(
            f"target has the shape {values.shape}; give one class per sample, and of one-hot labels target.argmax(1)"
        )
    if values.ndim != 1 or len(values) not in (1, count) or (len(values) == 1 and np.ndim(target) == 1 != count):
        raise ValueError(f"target must be one int or one int per sample ({count}), not {len(values)} values")
    return torch.as_tensor(values.astype(np.int64)).expand(count)


def start(output: Tensor, indices: Tensor, head: str) -> Tensor:
    """Return the relevance of the output, shape (N, classes): zero but for each sample's target.

    Parameters
    ----------
    output : torch.Tensor
        The logits, shape (N, classes).
    indices : torch.Tensor
        One class per sample.
    head : str
        "logit" (the target's value), "one", or "positive_logit" (its positive part).
    """
    chosen = torch.nn.functional.one_hot(indices, output.shape[1]).to(output.dtype)
    if head == "one":
        return chosen
    if head == "logit":
        return chosen * output.detach()
    if head == "positive_logit":
        return chosen * output.detach().clamp(min=0)
    raise ValueError(f"unknown head {head!r}")
