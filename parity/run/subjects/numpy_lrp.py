"""LRP written from the papers in NumPy, as a subject: what a careful reader gets without any library for it.

Its formulas are those of the LRP literature (Bach et al. 2015; Montavon et al. 2019), layer by layer, in the dtype of
the lane: z, epsilon (its sign at 0 is +1), alpha-beta (the positive and the negative part share the relevance by their
own sums, the bias counted), flat and w squared; on the input layer also the bounded rule. Relevance starts from the
logit of the target, max-pooling hands it to the largest value, average pooling and sums of branches by the z rule.
Convolutions, dense layers, ReLU, pooling, flattening and sums are all that it knows; a batch normalization is no part
of the papers and refused, and so is what the originals added to them (SIGN, the deviation as epsilon, their gamma).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn
from zennit.layer import Sum

from parity.keras import KerasModule
from parity.run.subjects.function import FunctionSubject
from parity.run.subjects.stock import refuse_several, refuse_sign
from signxai_torch.methods.grammar import Method, parse
from signxai_torch.sweep.parameters import parameters_of

Array = npt.NDArray[Any]
_PASSED_ON = (nn.ReLU, nn.Identity, nn.Dropout, nn.Dropout2d)
"""What relevance goes through unchanged."""


def subject() -> FunctionSubject:
    """Return LRP in NumPy as a subject."""
    return FunctionSubject(explain, "numpy_lrp", file=__file__)


def explain(model: KerasModule, x: Tensor, method: str, target: list[int], **parameters: Any) -> Array:
    """Return the map of a batch in the shape of `x`.

    Raises
    ------
    NotImplementedError
        If the papers have no such method, or this has no such layer; the text is the reason.
    """
    parsed = parse(method)
    numbers = parameters_of(parsed, parameters)
    refuse_several(model, "numpy_lrp")
    refuse_sign(parsed, "the LRP literature")
    if parsed.family != "lrp" or parsed.head == "positive_logit":
        raise NotImplementedError("this is LRP alone")
    if "until_layer_idx" in numbers:
        raise NotImplementedError("the papers know a first layer, not the first few")
    if any(name.startswith("_held_") for name, _ in model.named_buffers()):
        raise NotImplementedError("there is no rule here for numbers that the model holds itself")
    layers = [_layer(model.get_submodule(step.module), step.module) for step in model.steps]
    sources = [step.inputs for step in model.steps]
    rules = _rules(parsed, numbers, layers)
    values = [x.detach().numpy()]
    for layer, inputs in zip(layers, sources, strict=True):
        values.append(layer.forward([values[position] for position in inputs]))
    relevance: dict[int, Array] = {len(values) - 1: np.zeros_like(values[-1])}
    rows = np.arange(len(target))
    relevance[len(values) - 1][rows, target] = values[-1][rows, target]
    for index in reversed(range(len(layers))):
        arriving = relevance.pop(index + 1, None)
        if arriving is None:
            continue
        read = [values[position] for position in sources[index]]
        for position, part in zip(sources[index], layers[index].relevance(read, arriving, rules[index]), strict=True):
            relevance[position] = relevance[position] + part if position in relevance else part
    times = len([name for name, _ in parsed.modifiers if name == "x_input"])
    result: Array = relevance[0] * values[0] ** times
    return result


Rule = Callable[["Linear", Array, Array], Array]


class Layer:
    """A layer that hands relevance on unchanged."""

    def forward(self, values: list[Array]) -> Array:
        """Return its output."""
        return values[0]

    def relevance(self, values: list[Array], arriving: Array, rule: Rule | None) -> list[Array]:
        """Return the relevance of each of its inputs."""
        del values, rule
        return [arriving]


class Relu(Layer):
    """ReLU: relevance goes through unchanged."""

    def forward(self, values: list[Array]) -> Array:
        """See `Layer.forward`."""
        return np.maximum(values[0], 0)


class Flatten(Layer):
    """A change of shape."""

    def forward(self, values: list[Array]) -> Array:
        """See `Layer.forward`."""
        return values[0].reshape(len(values[0]), -1)

    def relevance(self, values: list[Array], arriving: Array, rule: Rule | None) -> list[Array]:
        """See `Layer.relevance`."""
        del rule
        return [arriving.reshape(values[0].shape)]


class Addition(Layer):
    """A sum of branches: each gets the share that it has of the sum."""

    def forward(self, values: list[Array]) -> Array:
        """See `Layer.forward`."""
        result: Array = np.sum(values, axis=0)
        return result

    def relevance(self, values: list[Array], arriving: Array, rule: Rule | None) -> list[Array]:
        """See `Layer.relevance`."""
        del rule
        share = _over(arriving, np.sum(values, axis=0))
        return [value * share for value in values]


@dataclass(frozen=True)
class Pool(Layer):
    """Pooling over windows of `size` every `step` places, along the last axes."""

    size: tuple[int, ...]
    step: tuple[int, ...]
    largest: bool

    def _windows(self, value: Array) -> Array:
        axes = tuple(range(-len(self.size), 0))
        places = (slice(None, None, step) for step in self.step)
        taken: tuple[Any, ...] = (..., *places, *(slice(None),) * len(self.size))
        windows: Array = sliding_window_view(value, self.size, axes)[taken]
        return windows

    def forward(self, values: list[Array]) -> Array:
        """See `Layer.forward`."""
        axes = tuple(range(-len(self.size), 0))
        windows = self._windows(values[0])
        result: Array = windows.max(axis=axes) if self.largest else windows.mean(axis=axes)
        return result

    def relevance(self, values: list[Array], arriving: Array, rule: Rule | None) -> list[Array]:
        """See `Layer.relevance`."""
        del rule
        windows = self._windows(values[0])
        flat = windows.reshape(*windows.shape[: -len(self.size)], -1)
        if self.largest:
            shares = np.zeros_like(flat)
            np.put_along_axis(shares, flat.argmax(-1)[..., None], 1, -1)  # the first of equal ones
        else:
            shares = _over(flat, flat.sum(-1, keepdims=True))
        return [_scatter((shares * arriving[..., None]).reshape(windows.shape), values[0].shape, self.size, self.step)]


@dataclass(frozen=True)
class Linear(Layer):
    """A dense layer, or a convolution as one: its kernel is `(outputs, inputs, *places)`."""

    weight: Array
    bias: Array
    step: tuple[int, ...] = ()
    margins: tuple[tuple[int, int], ...] = ()
    dense: bool = True

    def z(self, value: Array, weight: Array) -> Array:
        """Return the sums of weighted inputs, without a bias."""
        if self.dense:
            return value @ weight.T
        places = weight.ndim - 2
        padded = np.pad(value, ((0, 0), (0, 0), *self.margins))
        windows = sliding_window_view(padded, weight.shape[2:], tuple(range(-places, 0)))
        taken: tuple[Any, ...] = (..., *(slice(None, None, step) for step in self.step), *(slice(None),) * places)
        windows = windows[taken]
        made = np.tensordot(windows, weight, ((1, *range(2 + places, 2 + 2 * places)), (1, *range(2, 2 + places))))
        return np.moveaxis(made, -1, 1)

    def back(self, arriving: Array, weight: Array, shape: tuple[int, ...]) -> Array:
        """Return what arrives, weighted and summed for each input."""
        if self.dense:
            return arriving @ weight
        padded = (*shape[:2], *(size + sum(margin) for size, margin in zip(shape[2:], self.margins, strict=True)))
        spread = np.moveaxis(np.tensordot(arriving, weight, ((1,), (0,))), weight.ndim - 1, 1)
        made = _scatter(spread, padded, weight.shape[2:], self.step)
        sizes = zip(self.margins, shape[2:], strict=True)
        inside: tuple[Any, ...] = tuple(slice(before, before + size) for (before, _), size in sizes)
        return made[(slice(None), slice(None), *inside)]

    def offset(self, bias: Array) -> Array:
        """Return a bias in the shape of the output."""
        return bias.reshape(1, -1, *(1,) * (self.weight.ndim - 2))

    def forward(self, values: list[Array]) -> Array:
        """See `Layer.forward`."""
        return self.z(values[0], self.weight) + self.offset(self.bias)

    def relevance(self, values: list[Array], arriving: Array, rule: Rule | None) -> list[Array]:
        """See `Layer.relevance`."""
        assert rule is not None
        return [rule(self, values[0], arriving)]


def _scatter(parts: Array, shape: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> Array:
    """Add what belongs to each place of each window to that place of the input."""
    made = np.zeros(shape, parts.dtype)
    for offset in np.ndindex(*size):
        reach = zip(offset, step, parts.shape[2 : 2 + len(size)], strict=True)
        places: tuple[Any, ...] = tuple(slice(start, start + stride * count, stride) for start, stride, count in reach)
        made[(slice(None), slice(None), *places)] += parts[(..., *offset)]
    return made


def _over(numerator: Array, denominator: Array) -> Array:
    """Divide; what is divided by zero gets nothing."""
    zero = denominator == 0
    divided: Array = np.where(zero, 0, numerator / np.where(zero, 1, denominator))
    return divided


# --- the rules -------------------------------------------------------------------------------------------------------


def _epsilon(epsilon: float, zero_bias: bool) -> Rule:
    def rule(layer: Linear, value: Array, arriving: Array) -> Array:
        z = layer.z(value, layer.weight) + (0 if zero_bias else layer.offset(layer.bias))
        share = _over(arriving, z + np.where(z >= 0, 1, -1).astype(z.dtype) * epsilon if epsilon else z)
        return value * layer.back(share, layer.weight, value.shape)

    return rule


def _alpha_beta(alpha: float, beta: float, zero_bias: bool) -> Rule:
    def part(layer: Linear, value: Array, arriving: Array, sign: int) -> Array:
        kernels = [np.maximum(layer.weight, 0), np.minimum(layer.weight, 0)]
        inputs = [np.maximum(value, 0), np.minimum(value, 0)]
        pairs = list(zip(inputs, kernels if sign > 0 else kernels[::-1], strict=True))
        z = sum(layer.z(part, kernel) for part, kernel in pairs)
        if not zero_bias:
            z = z + layer.offset(np.maximum(layer.bias, 0) if sign > 0 else np.minimum(layer.bias, 0))
        share = _over(arriving, np.asarray(z))
        return np.asarray(sum(part * layer.back(share, kernel, value.shape) for part, kernel in pairs))

    def rule(layer: Linear, value: Array, arriving: Array) -> Array:
        made = alpha * part(layer, value, arriving, 1)
        return made - beta * part(layer, value, arriving, -1) if beta else made

    return rule


def _by_kernel(change: Callable[[Array], Array]) -> Rule:
    """Return a rule that shares by a kernel alone, whatever the input."""

    def rule(layer: Linear, value: Array, arriving: Array) -> Array:
        kernel = change(layer.weight)
        return layer.back(_over(arriving, layer.z(np.ones_like(value), kernel)), kernel, value.shape)

    return rule


def _bounded(low: float, high: float) -> Rule:
    def rule(layer: Linear, value: Array, arriving: Array) -> Array:
        kernels = (layer.weight, np.maximum(layer.weight, 0), np.minimum(layer.weight, 0))
        inputs = (value, np.full_like(value, low), np.full_like(value, high))
        terms = list(zip((1, -1, -1), inputs, kernels, strict=True))
        share = _over(arriving, np.asarray(sum(sign * layer.z(part, kernel) for sign, part, kernel in terms)))
        parts = (sign * part * layer.back(share, kernel, value.shape) for sign, part, kernel in terms)
        return np.asarray(sum(parts))

    return rule


def _rule(name: str, numbers: Mapping[str, Any], zero_bias: bool) -> Rule:
    if name in ("Z", "Epsilon"):
        return _epsilon(numbers["epsilon"] if name == "Epsilon" else 0.0, zero_bias)
    if name in ("AlphaBeta", "ZPlus"):
        alpha, beta = (1.0, 0.0) if name == "ZPlus" else (numbers["alpha"], numbers["beta"])
        return _alpha_beta(alpha, beta, zero_bias)
    if name == "Flat":
        return _by_kernel(np.ones_like)
    if name == "WSquare":
        return _by_kernel(np.square)
    if name == "Bounded":
        return _bounded(numbers["low"], numbers["high"])
    raise NotImplementedError(
        f"the LRP literature has no rule {name or 'that is chosen by a parameter'} as the originals"
    )


def _rules(parsed: Method, numbers: Mapping[str, Any], layers: list[Layer]) -> list[Rule | None]:
    """Return the rule of each layer; None for those that have none."""
    by_kind = parsed.row.layers
    kinds = {}
    for dense in (True, False):
        name, fixed = by_kind.get("dense" if dense else "conv", by_kind.get("kernel"))  # type: ignore[misc]
        kinds[dense] = _rule(name, {**numbers, **fixed}, parsed.ignore_bias)
    rules: list[Rule | None] = [kinds[layer.dense] if isinstance(layer, Linear) else None for layer in layers]
    if parsed.input_rule is not None:
        first = next(index for index, rule in enumerate(rules) if rule is not None)
        rules[first] = _rule(parsed.input_rule, numbers, parsed.ignore_bias)
    return rules


# --- the layers ------------------------------------------------------------------------------------------------------


def _layer(module: nn.Module, name: str) -> Layer:
    """Return a module of torch as a layer of NumPy."""
    if isinstance(module, nn.Linear):
        return Linear(*_kernel(module))
    if isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups == 1 and set(module.dilation) == {1}:
        even = module.padding if isinstance(module.padding, tuple) else ()
        margins = tuple(getattr(module, "margins", ((size, size) for size in even)))
        if len(margins) == len(module.kernel_size):
            return Linear(*_kernel(module), tuple(module.stride), margins, dense=False)
    if type(module) in (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d):
        axes = 1 if isinstance(module, nn.MaxPool1d | nn.AvgPool1d) else 2
        size, step, margin = (_per_axis(value, axes) for value in (module.kernel_size, module.stride, module.padding))
        if not any(margin) and not getattr(module, "ceil_mode", False):
            return Pool(size, step, largest=isinstance(module, nn.MaxPool1d | nn.MaxPool2d))
    if type(module) is nn.ReLU:
        return Relu()
    if type(module) is nn.Flatten:
        return Flatten()
    if isinstance(module, Sum):
        return Addition()
    if type(module) in _PASSED_ON:
        return Layer()
    raise NotImplementedError(f"there is no rule here for the layer {name!r} ({type(module).__name__})")


def _kernel(module: nn.Linear | nn.Conv1d | nn.Conv2d) -> tuple[Array, Array]:
    weight = module.weight.detach().numpy()
    bias = np.zeros(len(weight), weight.dtype) if module.bias is None else module.bias.detach().numpy()
    return weight, bias


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (int(value),) * axes
