"""What every layer of the oracle is made of: its settings, activations, windows, and derivatives by complex steps.

Layers are as Keras writes them down (class name, configuration, variables), samples are in Keras layout without a batch
axis: (*spatial, channels). Nothing is converted, so a mistake of the converter's has no twin here.

``f(x + ih).imag / h`` is the derivative of f along a direction to the last digit where h is 1e-30: nothing is
subtracted. All layers compute with complex numbers for that, and compare real parts where they choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Array = np.ndarray
Places = tuple[int, ...]
STEP = 1e-30


class Layer(Protocol):
    """A layer as Keras writes it down."""

    @property
    def class_name(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def weights(self) -> Mapping[str, Array]: ...
    @property
    def keywords(self) -> tuple[str | None, ...]: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Inner:
    """A layer inside another one."""

    class_name: str
    config: Mapping[str, Any]
    weights: Mapping[str, Array] = field(default_factory=dict)
    keywords: tuple[str | None, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    """Over the last axis."""
    powers = np.exp(x - x.real.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def hard_sigmoid(x: Array) -> Array:
    line = 0.2 * x + 0.5
    return np.where(line.real < 0, 0, np.where(line.real > 1, 1, line))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.where(x.real > 0, x, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "hard_sigmoid": hard_sigmoid,
}


def activation_of(layer: Layer, setting: str = "activation", default: str = "linear") -> Callable[[Array], Array]:
    return ACTIVATIONS[layer.config.get(setting) or default]


def number_per_axis(value: int | Sequence[int] | None, axes: int, default: int = 1) -> Places:
    if value is None:
        return (default,) * axes
    return (value,) * axes if isinstance(value, int) else tuple(value)


@dataclass(frozen=True)
class Windows:
    """Windows along the spatial axes, as TensorFlow lays them: `before` places of padding, as many as needed behind."""

    size: Places
    kernel: Places
    stride: Places
    dilation: Places
    before: Places
    output: Places

    def links(self, position: Places) -> Iterator[tuple[Places, Places]]:
        """Yield the taps of a window that lie on the input, and where they lie, in row-major order."""
        for tap in np.ndindex(*self.kernel):
            place = tuple(
                p * step + t * wide - first
                for p, step, t, wide, first in zip(position, self.stride, tap, self.dilation, self.before, strict=True)
            )
            if all(0 <= at < length for at, length in zip(place, self.size, strict=True)):
                yield tap, place


def windows(
    size: Sequence[int], kernel: Places, stride: Places, padding: str = "valid", dilation: Places | None = None
) -> Windows:
    """Return the windows of ``padding="valid"``, ``"same"`` or ``"causal"``."""
    dilation = dilation or (1,) * len(kernel)
    reach = [wide * (taps - 1) + 1 for taps, wide in zip(kernel, dilation, strict=True)]
    if padding == "same":
        output = [-(-n // step) for n, step in zip(size, stride, strict=True)]
        before = [
            max((count - 1) * step + far - n, 0) // 2
            for n, count, step, far in zip(size, output, stride, reach, strict=True)
        ]
    else:
        before = [far - 1 if padding == "causal" else 0 for far in reach]
        output = [
            (n + first - far) // step + 1 for n, first, far, step in zip(size, before, reach, stride, strict=True)
        ]
    return Windows(tuple(size), kernel, stride, dilation, tuple(before), tuple(output))


def jacobians(function: Callable[..., Array], inputs: Sequence[Array]) -> list[Array]:
    """Return, for each input, the derivative of a function's flattened output with respect to that flattened input."""
    found = []
    for which, x in enumerate(inputs):
        columns = []
        for place in np.ndindex(*x.shape):
            moved = [one.astype(complex) for one in inputs]
            moved[which][place] += 1j * STEP
            columns.append(function(*moved).imag.ravel() / STEP)
        found.append(np.stack(columns, axis=-1))
    return found
