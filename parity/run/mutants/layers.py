"""Ports that are wrong in layers without a kernel, at the output, or in the class they explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.run.mutants.maps import DENSE, RESNET, SERIES, VGG
from parity.run.mutants.models import modules_replaced
from parity.run.mutants.mutant import (
    Mutant,
    SubjectFunction,
    inside,
    model_changed,
    named,
    replaced,
    right,
    target_changed,
)
from signxai_torch.lrp import weightless as port
from signxai_torch.lrp.arithmetic import divide, over, stabilize
from signxai_torch.lrp.rule import Relevances, Rule
from signxai_torch.operations.operation import Operation

Relevance = Callable[[Any, Operation, Tensor], Relevances]


def with_relevance(rule: type[Rule], relevance: Relevance) -> SubjectFunction:
    """Return a port in which one kind of operation hands its relevance down in another way."""
    return inside(rule, "relevance", relevance)


def _is_sum(operation: Operation) -> bool:
    """Return whether an operation of the rule of averages adds up branches."""
    return operation.function.name in ("add", "sum")


def _is_pool(operation: Operation) -> bool:
    return not _is_sum(operation)


def _gradient_where(affected: Callable[[Operation], bool]) -> Relevance:
    """Return the gradient for some averages, and the rule for the others."""

    def relevance(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
        return operation.gradient([arriving]) if affected(operation) else _AVERAGE(self, operation, arriving)

    return relevance


def _halved_sums(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    return operation.gradient([arriving / 2]) if _is_sum(operation) else _AVERAGE(self, operation, arriving)


_AVERAGE = port.Average.relevance


def _unchanged(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    return (arriving,)


def gradient_of(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    """Return the vector-Jacobian product of an operation in place of a rule's relevance."""
    return operation.gradient([arriving])


def _per_channel(operation: Operation, name: str) -> Tensor:
    """Return what a batch normalisation has of a number per channel, as it meets its input."""
    values: Tensor = operation.argument(name)
    return values.reshape(1, -1, *[1] * (len(operation.shape) - 2))


def _norm_of_innvestigate(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    """Take k x + c with the squared variance in k, and an offset without gamma: the defect of iNNvestigate 2.1.2."""
    x = operation.inputs[0]
    root = (_per_channel(operation, "running_var") ** 2 + operation.argument("eps", 1e-5)).sqrt()
    slope = _per_channel(operation, "weight") / root
    offset = _per_channel(operation, "bias") - _per_channel(operation, "running_mean") / root
    return (x * slope * divide(arriving, slope * x + offset),)


def _norm_without_mean(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    x, output, beta = operation.inputs[0], operation.output, _per_channel(operation, "bias")
    return (divide(x * (output - beta) * arriving, stabilize(x * output, 1e-7)),)


def _norm_stabilizer_off(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    x, output, beta = operation.inputs[0], operation.output, _per_channel(operation, "bias")
    mean = _per_channel(operation, "running_mean")
    return (over(x * (output - beta) * arriving, stabilize((x - mean) * output, 1e-3)),)


class _SharedTies(nn.Module):
    """A max-pooling whose ties share: all values that are largest get a part."""

    def __init__(self, pooling: Any) -> None:
        super().__init__()
        sizes = pooling.kernel_size, pooling.stride
        two = isinstance(pooling, nn.MaxPool2d)
        self.kernel, self.stride = (size if isinstance(size, tuple) else (size,) * (1 + two) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        for axis, (kernel, stride) in enumerate(zip(self.kernel, self.stride, strict=True)):
            x = x.unfold(2 + axis, kernel, stride)
        return x.amax(dim=tuple(range(-len(self.kernel), 0)))


class _LastOfATie(_SharedTies):
    """A max-pooling in which the last of equal values wins."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        axes = tuple(range(2, x.dim()))
        pool: Any = nn.functional.max_pool2d if len(axes) > 1 else nn.functional.max_pool1d
        # An odd row or column at the end is left out, as windows that begin at the other end would leave out the first.
        x = x[(slice(None), slice(None), *(slice(0, x.shape[axis] // 2 * 2) for axis in axes))]
        return pool(x.flip(axes), self.kernel, self.stride).flip(axes)  # type: ignore[no-any-return]


def _pools(make: type[nn.Module]) -> SubjectFunction:
    return model_changed(modules_replaced(nn.MaxPool2d, make))


def _series_pools(make: type[nn.Module]) -> SubjectFunction:
    return model_changed(modules_replaced(nn.MaxPool1d, make))


def _started_at(change: Callable[[Tensor, int], float]) -> SubjectFunction:
    """Return a port whose relevance starts from another number than the logit (the map is linear in it)."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        found = right(model, x, method, target, **parameters)
        with torch.no_grad():
            logits = model(x)
        starts = [change(row, label) for row, label in zip(logits, target, strict=True)]
        return found * np.array(starts, found.dtype).reshape(-1, *[1] * (found.ndim - 1))

    return function


def _of_all_classes(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    with torch.no_grad():
        classes = model(x).shape[1]
    return sum(right(model, x, method, [label] * len(x), **parameters) for label in range(classes))


def _against_the_runner_up(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Explain the lead over the second best class."""
    with torch.no_grad():
        second = model(x).topk(2, dim=1).indices[:, 1].tolist()
    return right(model, x, method, target, **parameters) - right(model, x, method, second, **parameters)


def _gradient_of_probability(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    point = x.clone().requires_grad_()
    chosen = model(point).log_softmax(dim=1)[range(len(x)), target]
    return torch.autograd.grad(chosen.sum(), point)[0]


def _one_class_off(label: int) -> SubjectFunction:
    """Return a port that is 1 % off where a class is explained."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        found = right(model, x, method, target, **parameters)
        for place, chosen in enumerate(target):
            found[place] *= found.dtype.type(1.01 if chosen == label else 1)
        return found

    return function


def _without_mask(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    return (torch.clamp(arriving, min=0),)


def _gradient_mask(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    return (arriving * (operation.inputs[0] > 0),)


def _negative_part(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    return (torch.clamp(arriving, max=0),)


def _blocking(self: Any, operation: Operation, arriving: Tensor) -> Relevances:
    """Block relevance where the activation is off, as the gradient does."""
    return (torch.where(operation.inputs[0] > 0, arriving, 0.0),)


def _activations_block(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Let ReLUs take the gradient in LRP."""
    with replaced(port.Pass, "needs_inputs", True)(), replaced(port.Pass, "relevance", _blocking)():
        return right(model, x, method, target, **parameters)


POOLING = (
    Mutant("pool_ties_shared", "Equal largest values of a window share its relevance.", _pools(_SharedTies), "rel_l2",
           (VGG,), ("lrp_flat", "lrp_w_square"), where="all max-poolings"),
    Mutant("pool_last_of_a_tie", "The last of equal largest values gets a window's relevance.", _pools(_LastOfATie),
           "rel_l2", (VGG,), ("lrp_flat",), where="all max-poolings"),
    Mutant("pool_ties_shared_in_series", "Equal largest values of a window share its relevance.",
           _series_pools(_SharedTies), "rel_l2", (SERIES,), ("lrp_w_square", "lrp_flat"), where="all max-poolings"),
    Mutant("average_as_gradient", "Average pooling takes the gradient in place of its rule.",
           with_relevance(port.Average, _gradient_where(_is_pool)), "rel_l2", (RESNET,),
           ("lrp_z", "lrp_alpha_1_beta_0"), where="average pooling"),
    Mutant("sums_as_gradient", "Sums of branches hand all relevance to each branch.",
           with_relevance(port.Average, _gradient_where(_is_sum)), "rel_l2", (RESNET,), ("lrp_z", "lrp_w_square"),
           where="sums of branches"),
    Mutant("sums_halved", "Sums of branches hand half of the relevance to each branch.",
           with_relevance(port.Average, _halved_sums), "rel_l2", (RESNET,), ("lrp_epsilon_0_1",),
           where="sums of branches"),
    Mutant("activations_block", "ReLUs block relevance where they are off.", _activations_block, "rel_l2", (VGG,),
           ("lrp_flat", "lrp_w_square"), where="all activations"),
)  # fmt: skip

NORMALISATION = (
    Mutant("norm_passes", "Batch normalisation passes relevance on as it is.",
           with_relevance(port.BatchNorm, _unchanged), "rel_l2", (RESNET,), ("lrp_z",), where="all normalisations"),
    Mutant("norm_gradient", "Batch normalisation takes the gradient.",
           with_relevance(port.BatchNorm, gradient_of), "rel_l2", (RESNET,), ("lrp_alpha_1_beta_0",),
           where="all normalisations"),
    Mutant("norm_rule_without_mean", "The rule of batch normalisation forgets the mean.",
           with_relevance(port.BatchNorm, _norm_without_mean), "rel_l2", (RESNET,), ("lrp_z", "lrpsign_z"),
           where="all normalisations"),
    Mutant("norm_rule_stabilized", "The rule of batch normalisation moves denominators by 0.001 in place of 1e-7.",
           with_relevance(port.BatchNorm, _norm_stabilizer_off), "rel_l2", (RESNET,), ("lrp_epsilon_0_1",),
           where="all normalisations"),
    Mutant("norm_of_innvestigate", "Batch normalisation squares the variance: the defect of iNNvestigate, copied.",
           with_relevance(port.BatchNorm, _norm_of_innvestigate), "rel_l2", (RESNET,), ("lrp_z", "lrp.z"),
           where="all normalisations", beside="innvestigate-batch-normalization"),
)  # fmt: skip

RECTIFIERS = (
    Mutant("guided_without_mask", "Guided backpropagation forgets which units are off.",
           with_relevance(port.GuidedReLU, _without_mask), "rel_l2", (VGG, DENSE), ("guided_backprop",),
           where="all activations"),
    Mutant("guided_as_gradient", "Guided backpropagation lets negative relevance pass.",
           with_relevance(port.GuidedReLU, _gradient_mask), "rel_l2", (SERIES,), ("guided_backprop",),
           where="all activations"),
    Mutant("deconvnet_as_guided", "Deconvnet blocks units that are off.", named("guided_backprop"), "rel_l2",
           (VGG, SERIES), ("deconvnet",), where="all activations"),
    Mutant("deconvnet_lets_all_pass", "Deconvnet lets negative relevance pass.",
           with_relevance(port.DeconvNetReLU, _unchanged), "rel_l2", (DENSE,), ("deconvnet",),
           where="all activations"),
    Mutant("deconvnet_negative", "Deconvnet keeps the negative relevance.",
           with_relevance(port.DeconvNetReLU, _negative_part), "rel_l2", (SERIES,), ("deconvnet_x_sign",),
           where="all activations"),
)  # fmt: skip

START = (
    Mutant("start_at_one", "Relevance starts at one in place of the logit.",
           _started_at(lambda row, label: 1 / float(row[label])), "slope", (VGG, DENSE, SERIES),
           ("lrp_z", "lrpsign_epsilon_0_1"), where="output"),
    Mutant("start_at_the_probability", "Relevance starts at the probability in place of the logit.",
           _started_at(lambda row, label: float(row.softmax(0)[label] / row[label])), "slope", (RESNET,), ("lrp_z",),
           where="output"),
    Mutant("start_at_the_logit", "The gradient starts at the logit in place of one.",
           _started_at(lambda row, label: float(row[label])), "slope", (VGG, SERIES), ("gradient", "smoothgrad"),
           where="output"),
    Mutant("deep_taylor_starts_at_one", "Deep Taylor starts at one in place of the logit.",
           _started_at(lambda row, label: 1 / float(row[label])), "slope", (DENSE,), ("deep_taylor",), where="output"),
    Mutant("guided_starts_at_one", "Guided backpropagation starts at one in place of the logit.",
           _started_at(lambda row, label: 1 / float(row[label])), "slope", (VGG,), ("guided_backprop",),
           where="output"),
    Mutant("log_probability_explained", "The gradient is that of the log probability.", _gradient_of_probability,
           "rel_l2", (VGG,), ("gradient",), where="output"),
    Mutant("all_classes_explained", "All classes start with relevance.", _of_all_classes, "rel_l2", (DENSE, SERIES),
           ("lrp_z", "gradient"), where="output"),
    Mutant("lead_explained", "The lead over the second best class is explained.", _against_the_runner_up, "rel_l2",
           (RESNET,), ("gradient",), where="output"),
)  # fmt: skip

CLASSES = (
    Mutant("runner_up", "The second best class is explained.",
           target_changed(lambda logits: logits.topk(2, dim=1).indices[:, 1]), "rel_l2", (VGG, DENSE, RESNET, SERIES),
           ("gradient", "lrp_z"), where="class"),
    Mutant("worst_class", "The least likely class is explained.", target_changed(lambda logits: logits.argmin(dim=1)),
           "rel_l2", (VGG,), ("grad_cam", "lrp_z"), where="class"),
    Mutant("next_class", "Classes are counted from one.",
           target_changed(lambda logits: (logits.argmax(dim=1) + 1) % logits.shape[1]), "rel_l2", (DENSE,),
           ("lrp_epsilon_0_1",), where="class"),
    Mutant("one_class_off", "The map of one class is 1 % too large.", _one_class_off(2), "slope", (VGG,),
           ("lrp_z",), where="one class", samples=3),
)  # fmt: skip

MUTANTS: tuple[Mutant, ...] = (*POOLING, *NORMALISATION, *RECTIFIERS, *START, *CLASSES)
"""The mutants of this file."""
