"""Targets: which output of the model is explained, and the relevance it starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Target = int | Sequence[int] | np.ndarray[Any, Any] | Tensor | None


def target_indices(output: Tensor, target: Target) -> Tensor:
    """Return one class index per sample.

    Parameters
    ----------
    output : torch.Tensor
        The logits, shape (N, classes).
    target : None, int or one int per sample
        None takes the arg-max of each sample.

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
    if target is None:
        return output.argmax(dim=1)
    values = per_sample(target, count)
    if int(values.min()) < 0 or int(values.max()) >= classes:
        given = sorted(set(values.tolist()))
        raise ValueError(f"target {given} is out of range: the model has classes 0 to {classes - 1}")
    return values.to(output.device)


def per_sample(target: int | Sequence[int] | np.ndarray[Any, Any] | Tensor, count: int) -> Tensor:
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
