"""Maps that explain little, to compare with: the input, noise, random maps, and occlusion."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from signxai_torch.families.gradients import baseline_like, noise_for
from signxai_torch.lrp.targets import Target, target_indices
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.model import Model


def identity(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the input."""
    return x.clone()


def random(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the input plus normal noise (iNNvestigate 2.1.2, Random: noise is added to the input)."""
    if parameters["samples"] != 1:
        raise ValueError(f"random is one draw: samples must be 1, not {parameters['samples']}")
    return (x + noise_for(x, parameters, model.inputs)(0)).to(x.dtype)


def random_uniform(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return one U(-1, 1) value per position, the same for all channels, samples and models (seed 1).

    Raises
    ------
    ValueError
        If the model takes several inputs, which have no positions in common.
    """
    if not model.inputs.alone:
        raise ValueError(
            "random_uniform is one map over the positions of one input, and x holds "
            f"{len(model.inputs.names)}; it runs no model, so ask for it with each input by itself, such as "
            f"explain(model, {model.inputs.names[0]}, 'random_uniform')"
        )
    generator = np.random.RandomState(parameters["seed"])
    # Positions in the order of the channels-last reference.
    values = torch.as_tensor(generator.uniform(-1, 1, tuple(x.shape[2:]) or tuple(x.shape[1:])), device=x.device)
    return (values.unsqueeze(0) if x.dim() > 2 else values).to(x.dtype).expand_as(x).clone()


def occlusion(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return how much the logit falls when a window over a position is set to the baseline, averaged over windows.

    Of several inputs one window is set in one input at a time.
    """
    window, stride = int(parameters["window"]), int(parameters["stride"])
    if window < 1 or stride < 1:
        raise ValueError(f"window and stride must be at least 1, not {window} and {stride}")
    reference = baseline_like(x, parameters["baseline"], model.inputs)
    with torch.no_grad():
        output = model.logits(x)
        total, count = (torch.zeros_like(x, dtype=output.dtype) for _ in range(2))
        occluded = x.clone()
        parts = [model.inputs.views(one) for one in (x, occluded, reference, total, count)]
        chosen = target_indices(output, target, model.shape).unsqueeze(1)
        clean = output.gather(1, chosen)
        for part, hidden, replacement, drops, windows in zip(*parts, strict=True):
            for area in _areas(part, window, stride):
                hidden[area] = replacement[area]
                drop = clean - model.logits(occluded).gather(1, chosen)
                hidden[area] = part[area]
                drops[area] += drop.reshape(-1, *[1] * (part.dim() - 1))
                windows[area] += 1
    return total / count


def _areas(x: Tensor, window: int, stride: int) -> Iterator[Any]:
    """Yield an index of each window over the positions of an input."""
    sizes = x.shape[2:] if x.dim() > 2 else x.shape[1:]
    starts = [[*range(0, max(size - window, 0), stride), max(size - window, 0)] for size in sizes]
    for corner in itertools.product(*starts):
        yield (..., *(slice(first, first + window) for first in corner))
