"""Gradients at many inputs: integrated and smoothed gradients, and their variance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.counting import BUDGET, Count
from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.layout import Layout, like
from signxai_torch.operations.model import Model


def backward(model: Model, x: Tensor, relevance_of: Callable[[Tensor], Tensor], count: Count | None = None) -> Tensor:
    """Return the gradient of the logits with respect to `x`, weighted by what `relevance_of` makes of them.

    Raises
    ------
    UnhookedOperationError
        If the logits do not depend on `x`, as far as autograd can tell.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        output = model.logits(x, count)
        relevance = relevance_of(output.detach())
        (found,) = torch.autograd.grad(output, x, relevance, allow_unused=True) if output.requires_grad else (None,)
    if found is None:
        model.why_no_gradient(x)
    return found  # type: ignore[return-value]


def gradient(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the gradient of the target's logit."""

    def relevance_of(output: Tensor) -> Tensor:
        return start(output, target_indices(output, target, model.shape), method.head)

    return like(Layout(model.inputs).run(lambda given: backward(model, given, relevance_of), x), x)


def baseline_like(x: Tensor, baseline: Any, inputs: Inputs) -> Tensor:
    """Return a baseline in the shape of `x`: a number, an array of one sample or of the batch, or a function of x.

    Parameters
    ----------
    x : torch.Tensor
        Input, batch first.
    baseline : float, array or callable
        Of several inputs: one number or function for all, or one of the three per input, held as they are. A function
        is called with each input by itself.
    inputs : Inputs
        What `x` is made of.

    Raises
    ------
    ValueError
        If it is of another shape, or holds NaN or infinite values.
    """
    parts = zip(inputs.names, inputs.views(x), inputs.for_each(baseline, "baseline"), strict=True)
    return inputs.joined([_baseline_of(view, given, name) for name, view, given in parts])


def _baseline_of(x: Tensor, baseline: Any, name: str) -> Tensor:
    value = torch.as_tensor(baseline(x) if callable(baseline) else baseline, dtype=x.dtype, device=x.device)
    if not bool(torch.isfinite(value).all()):
        raise ValueError("baseline holds NaN or infinite values")
    try:
        return value.expand_as(x)
    except RuntimeError as error:
        text = f"baseline must be a number or fit the shape of {name}, {tuple(x.shape)}, not be {tuple(value.shape)}"
        raise ValueError(text) from error


def integrated_gradients(
    model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]
) -> Tensor:
    """Return (x - r) * mean of the gradients on the path from the baseline r to x.

    ``grid="both_ends"`` is SIGN-XAI's (both ends included), ``grid="left"`` iNNvestigate's left Riemann sum.
    """
    steps = int(parameters["steps"])
    intervals = {"both_ends": steps - 1, "left": steps}.get(parameters["grid"])
    if intervals is None:
        raise ValueError(f"grid must be 'both_ends' or 'left', not {parameters['grid']!r}")
    if intervals < 1:
        raise ValueError(f"integrated gradients need at least 2 steps (grid 'left': 1), not {steps}")
    reference = baseline_like(x, parameters["baseline"], model.inputs)
    step = (x - reference) / intervals
    points = (reference + step * index for index in range(steps))
    (mean,) = _statistics(model, points, steps, x, target, parameters, ("mean",))
    return (x - reference) * mean


def noise_for(x: Tensor, parameters: Mapping[str, Any], inputs: Inputs | None = None) -> Callable[[int], Tensor]:
    """Return a function from the index of a draw to its noise, in the shape of `x`, as float64.

    Without ``noise`` the draws come from a generator of their own, in the order and the channels-last layout of the
    references: the same ``seed`` gives the noise that they draw from numpy's global generator with that seed. Every
    sample of a batch gets its own draws, unless a seed is given: then every sample gets the draws it would get alone.
    Numpy's global generator, which may be another's, is neither read nor advanced.
    ``round_noise`` rounds the noise to the dtype of `x` before it is added (iNNvestigate) instead of rounding the
    sum (SIGN-XAI). Of several inputs each draw goes input after input, in the order in which they were given, each in
    its own channels-last layout; ``noise`` is held as they are.
    """
    inputs = inputs or Inputs()
    samples, scale = int(parameters["samples"]), float(parameters["noise_scale"])
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    if not scale >= 0:
        raise ValueError(f"noise_scale must not be negative, not {scale}")
    given = parameters.get("noise")

    def rounded(noise: Tensor) -> Tensor:
        return noise.to(x.dtype) if parameters.get("round_noise") else noise

    views = inputs.views(x)
    if given is not None:
        pairs = zip(inputs.names, views, inputs.for_each(given, "noise"), strict=True)
        noises = [_checked_noise(view, one, samples, name).unsqueeze(1) for name, view, one in pairs]
    else:
        noises = [
            torch.as_tensor(one, device=x.device) for one in _drawn(views, samples, scale, parameters.get("seed"))
        ]
    return lambda index: rounded(inputs.joined([one[index] for one in noises])).expand_as(x)


def _checked_noise(x: Tensor, given: Any, samples: int, name: str) -> Tensor:
    noise = torch.as_tensor(given, dtype=torch.float64, device=x.device)
    if noise.shape[1:] != x.shape[1:] or len(noise) != samples:
        what = "noise" if name == "x" else f"noise of {name}"
        raise ValueError(f"{what} must have shape {(samples, *x.shape[1:])}, not {tuple(noise.shape)}")
    if not bool(torch.isfinite(noise).all()):
        raise ValueError("noise holds NaN or infinite values")
    return noise


def anew() -> np.random.RandomState:
    """Return the generator of a call without a seed, which begins where the system says."""
    return np.random.RandomState()


def _drawn(views: Sequence[Tensor], samples: int, scale: float, seed: int | None) -> list[np.ndarray[Any, Any]]:
    """Return normal noise (draws, samples of the batch, ...) for each input, see `noise_for`."""
    layouts = [(*view.shape[2:], view.shape[1]) if view.dim() > 2 else tuple(view.shape[1:]) for view in views]
    drawn = [np.empty((samples, 1 if seed is not None else len(views[0]), *layout)) for layout in layouts]
    generator = anew() if seed is None else np.random.RandomState(seed)
    for sample in range(drawn[0].shape[1]):
        for index in range(samples):
            for noise, layout in zip(drawn, layouts, strict=True):
                noise[index, sample] = generator.normal(0, scale, layout)
    return [np.moveaxis(one, -1, 2) if view.dim() > 2 else one for one, view in zip(drawn, views, strict=True)]


def noisy(x: Tensor, parameters: Mapping[str, Any], inputs: Inputs) -> Iterator[Tensor]:
    """Yield the noisy copies of `x`; the sum is rounded once, from float64, as the reference's first layer does."""
    noise = noise_for(x, parameters, inputs)
    return ((x + noise(index)).to(x.dtype) for index in range(int(parameters["samples"])))


STATISTICS = {"smoothgrad": "mean", "vargrad": "variance"}
"""What each method that explains noisy inputs makes of their gradients."""


def of_noisy_inputs(
    model: Model, x: Tensor, target: Target, parameters: Mapping[str, Any], families: Sequence[str]
) -> list[Tensor]:
    """Return the maps of several families of `STATISTICS` from one set of noise and gradients.

    The clean input is not among the noisy ones. The variance is that of the population.
    """
    wanted = [STATISTICS[one] for one in families]
    points = noisy(x, parameters, model.inputs)
    return _statistics(model, points, int(parameters["samples"]), x, target, parameters, wanted)


def _one_hot(indices: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda output: start(output, indices, "one")


def _gradients(
    model: Model, points: Iterator[Tensor], x: Tensor, target: Target, parameters: Mapping[str, Any]
) -> Iterator[Tensor]:
    """Yield the gradients at points in the shape of `x`, as many points at once as fit: (k, *x.shape)."""
    batch_size, budget = parameters.get("batch_size"), parameters.get("budget", BUDGET)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    # Two points of a single sample at first: of a batch of one, torch's float32 convolutions round equal windows apart,
    # so that at a baseline, where max-pools tie, the last digits would decide.
    copies = max(1, 2 // len(x)) if batch_size is None else max(1, batch_size // len(x))
    layout = Layout(model.inputs)
    with torch.no_grad():  # the class of the clean input, at every point
        indices = target_indices(layout.run(model.logits, x), target, model.shape)
    while group := list(itertools.islice(points, copies)):
        count = Count()
        chosen = indices.repeat(len(group))
        result = layout.run(partial(backward, model, relevance_of=_one_hot(chosen), count=count), torch.cat(group))
        yield result.reshape(len(group), *x.shape)
        if batch_size is None:  # now it is known what one takes
            copies = max(1, budget * len(group) // max(count.gradient, 1))


def _statistics(
    model: Model,
    points: Iterator[Tensor],
    count: int,
    x: Tensor,
    target: Target,
    parameters: Mapping[str, Any],
    wanted: Sequence[str],
) -> list[Tensor]:
    """Return the mean or the population variance of the gradients at `count` points."""
    total = torch.zeros_like(x)
    gradients = x.new_empty((count if "variance" in wanted else 0, *x.shape))
    done = 0
    for group in _gradients(model, points, x, target, parameters):
        if "variance" in wanted:
            gradients[done : done + len(group)] = group
        for one in group:  # in the order of the points, however many were taken at once
            total += one
        done += len(group)
    found = {"mean": total / count}
    if "variance" in wanted:
        found["variance"] = gradients.sub_(gradients.mean(dim=0)).square_().mean(dim=0)
    return [found[one] for one in wanted]
