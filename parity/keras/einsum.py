"""`EinsumDense` as `Dense`, between layers that move axes: ``"abc,cde->abde"`` is Dense, then Reshape."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from parity.keras.functions.spelling import PREVIOUS, NotSpelledError, Spelled, Tensors
from parity.keras.graph import Node
from parity.keras.handlers.layer import Variable
from parity.keras.stored_tensor import Floats

_EQUATION = re.compile(r"(\.\.\.|0)?([A-Za-z]+),([A-Za-z]+)->(\.\.\.|0)?([A-Za-z]*)")


@dataclass(frozen=True)
class _Equation:
    """What an equation says.

    Attributes
    ----------
    read, kernel, made
        The axes of the input, of the kernel and of the result, each a letter.
    open
        Whether further axes stand before, told by "...".
    """

    read: str
    kernel: str
    made: str
    open: bool

    @property
    def kept(self) -> str:
        """The axes that go through, in the input's order; the batch is the first."""
        return "".join(axis for axis in self.read if axis not in self.kernel)

    @property
    def summed(self) -> str:
        """The axes that the product sums over, in the input's order."""
        return "".join(axis for axis in self.read if axis in self.kernel)

    @property
    def new(self) -> str:
        """The axes that the kernel brings, in the result's order."""
        return "".join(axis for axis in self.made if axis not in self.read)


def variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Kernel, and a bias if it has axes."""
    return (Variable("kernel"), *((Variable("bias"),) if config.get("bias_axes") else ()))


def dense_layers(node: Node, tensors: Tensors) -> Sequence[Spelled]:
    """Return the layers that an `EinsumDense` is spelled as.

    Raises
    ------
    NotSpelledError
        If its equation is no product of the last axes, whatever their order, with one kernel for all places.
    """
    config = node.config
    equation = _parsed(config.get("equation"))
    shape = tensors["kernel"].shape
    if len(shape) != len(equation.kernel) or 0 in shape:
        raise NotSpelledError(f"the kernel has the shape {shape}, which does not fit its equation")
    axes = config.get("bias_axes")
    if axes is not None and not isinstance(axes, str):
        raise NotSpelledError(f"'bias_axes' is {axes!r}, expected letters of its equation")
    sizes = dict(zip(equation.kernel, shape, strict=True))
    first, *others = _layers(equation, sizes, config, tensors)
    return replace(first, inbound=node.inbound), *others


def _parsed(text: Any) -> _Equation:
    match = _EQUATION.fullmatch(text.replace(" ", "")) if isinstance(text, str) else None
    if match is None:
        raise NotSpelledError(f"'equation' is {text!r}, which is not supported")
    before, read, kernel, there, made = match.groups()
    equation = _Equation(read, kernel, made, before is not None)
    repeated = any(len(set(axes)) != len(axes) for axes in (read, kernel, made))
    unknown = set(made) - set(read) - set(kernel) or set(kernel) - set(read) - set(made)
    if repeated or unknown or (before is None) != (there is None) or set(equation.kept) - set(made):
        raise NotSpelledError(f"'equation' is {text!r}, which is not supported")
    batch = "" if equation.open else read[0]
    if set(equation.summed) & set(made) or not equation.summed or (batch and not made.startswith(batch)):
        raise NotSpelledError(
            f"'equation' is {text!r}, by which not every place has the same kernel; only such are supported"
        )
    return equation


def _layers(
    equation: _Equation, sizes: Mapping[str, int], config: Mapping[str, Any], tensors: Tensors
) -> Iterator[Spelled]:
    if len(equation.made) + 2 * equation.open < 2:
        raise NotSpelledError("it makes one number of a sample, without an axis")
    kept, summed, new = equation.kept, equation.summed, equation.new
    before = () if equation.read == kept + summed else _permuted(equation, equation.read, kept + summed)
    after = () if equation.made == kept + new else _permuted(equation, kept + new, equation.made)
    places = _places(equation, config) if len(summed) != 1 or len(new) != 1 else []
    yield from before
    if len(summed) != 1:
        yield Spelled("Reshape", {"target_shape": [*places, math.prod(sizes[axis] for axis in summed)]}, (PREVIOUS,))
    units = math.prod(sizes[axis] for axis in new)
    order = [equation.kernel.index(axis) for axis in summed + new]

    def as_matrix(kernel: Floats) -> Floats:
        return np.transpose(kernel, order).reshape(-1, units)

    kernel = tensors["kernel"].changed(as_matrix, (math.prod(sizes[axis] for axis in summed), units))
    weights = {"kernel": kernel, **_bias(equation, sizes, config, tensors, units)}
    moved = len(new) != 1 or bool(after)
    activation = config.get("activation") or "linear"
    settings = {"units": units, "use_bias": "bias" in weights, "activation": "linear" if moved else activation}
    yield Spelled("Dense", settings, (PREVIOUS,), weights)
    if len(new) != 1:
        yield Spelled("Reshape", {"target_shape": [*places, *(sizes[axis] for axis in new)]}, (PREVIOUS,))
    yield from after
    if moved and activation != "linear":
        yield Spelled("Activation", {"activation": activation}, (PREVIOUS,))


def _permuted(equation: _Equation, axes: str, order: str) -> tuple[Spelled]:
    if equation.open:
        raise NotSpelledError("'equation' moves axes and leaves others open. Write all of them as letters")
    return (Spelled("Permute", {"dims": [axes.index(axis) for axis in order[1:]]}, (PREVIOUS,)),)


def _places(equation: _Equation, config: Mapping[str, Any]) -> list[int]:
    """Return the sizes of the axes that go through, but the batch; -1 for one that is told nowhere."""
    if equation.open:
        raise NotSpelledError("'equation' sums over several axes, or makes several, and leaves others open")
    told = config.get("output_shape")
    told = list(told) if isinstance(told, (list, tuple)) else [told]
    if len(told) != len(equation.made) - 1:
        raise NotSpelledError(f"'output_shape' is {told!r}, which does not fit its equation")
    if any(size is not None and (type(size) is not int or size < 1) for size in told):
        raise NotSpelledError(f"'output_shape' is {told!r}, expected sizes, or None for those that it does not tell")
    by_axis = dict(zip(equation.made[1:], told, strict=True))
    places = [by_axis[axis] or -1 for axis in equation.kept[1:]]
    if places.count(-1) > 1:
        raise NotSpelledError(f"'output_shape' is {told!r}. Tell all sizes but one")
    return places


def _bias(
    equation: _Equation, sizes: Mapping[str, int], config: Mapping[str, Any], tensors: Tensors, units: int
) -> Tensors:
    """Return the bias of a Dense; that of the file has one axis for each of the result from its first on."""
    axes = config.get("bias_axes")
    if not axes:
        return {}
    if set(axes) - set(equation.new):
        raise NotSpelledError(f"'bias_axes' is {axes!r}; only axes that the kernel brings are supported")
    held = equation.made[min(map(equation.made.index, axes)) :]
    expected = tuple(sizes[axis] if axis in axes else 1 for axis in held)
    if tensors["bias"].shape != expected:
        raise NotSpelledError(f"the bias has the shape {tensors['bias'].shape}, and {expected} is expected")

    def for_all(bias: Floats) -> Floats:
        told = bias.reshape([sizes[axis] if axis in axes else 1 for axis in equation.new if axis in held])
        return np.broadcast_to(told, [sizes[axis] for axis in equation.new]).reshape(-1)

    return {"bias": tensors["bias"].changed(for_all, (units,))}
