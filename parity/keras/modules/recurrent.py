"""Recurrent layers by Keras' equations, step by step; torch's own have other gates, biases and no masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parity.keras.modules.padding import Margins, padded

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
States = tuple[Tensor, ...]
Merge = Literal["concat", "sum", "ave", "mul", "forward", "backward"]


def _parameter(values: Tensor | None) -> nn.Parameter | None:
    return None if values is None else nn.Parameter(values, requires_grad=False)


class Cell(nn.Module):
    """What a recurrent layer does in one step: `(output, new states)` of one step's input and the states.

    Attributes
    ----------
    states
        How many states it has; the first is what it puts out.
    """

    states: int = 1

    def start(self, x: Tensor) -> States:
        """Return the states before the first step, given that step's input `(N, C, ...)`."""
        raise NotImplementedError

    def forward(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """Do one step."""
        raise NotImplementedError


class _DenseCell(Cell):
    """A cell on features.

    Parameters
    ----------
    kernel
        `(features, gates * units)`.
    recurrent_kernel
        `(units, gates * units)`.
    bias
        `(gates * units,)`, for a GRU that resets after the product `(2, 3 * units)`; or None.
    activation, recurrent_activation
        Of the new value, and of the gates.
    """

    def __init__(
        self,
        kernel: Tensor,
        recurrent_kernel: Tensor,
        bias: Tensor | None,
        activation: nn.Module,
        recurrent_activation: nn.Module,
    ) -> None:
        super().__init__()
        self.kernel = nn.Parameter(kernel, requires_grad=False)
        self.recurrent_kernel = nn.Parameter(recurrent_kernel, requires_grad=False)
        self.bias = _parameter(bias)
        self.activation, self.recurrent_activation = activation, recurrent_activation

    def start(self, x: Tensor) -> States:
        """See `Cell.start`."""
        return (x.new_zeros(len(x), len(self.recurrent_kernel)),) * self.states

    def extra_repr(self) -> str:
        """Show the sizes in `print(model)`."""
        return f"{len(self.kernel)}, {len(self.recurrent_kernel)}, bias={self.bias is not None}"


class SimpleRNNCell(_DenseCell):
    """`h' = activation(x W + h U + b)`."""

    def forward(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """See `Cell.forward`."""
        (before,) = states
        total = x @ self.kernel + before @ self.recurrent_kernel
        made = self.activation(total if self.bias is None else total + self.bias)
        return made, (made,)


class LSTMCell(_DenseCell):
    """Gates in Keras' order: input, forget, new value, output."""

    states = 2

    def forward(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """See `Cell.forward`."""
        before, carried = states
        total = x @ self.kernel + before @ self.recurrent_kernel
        made, carried = gated(self, total if self.bias is None else total + self.bias, carried)
        return made, (made, carried)


def gated(cell: LSTMCell | ConvLSTMCell, total: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
    """Return output and carry of an LSTM from the sums at its four gates, which lie along axis 1."""
    enter, keep, new, show = total.chunk(4, 1)
    gate = cell.recurrent_activation
    carried = gate(keep) * carried + gate(enter) * cell.activation(new)
    return gate(show) * cell.activation(carried), carried


class GRUCell(_DenseCell):
    """Gates in Keras' order: update, reset, new value; resets the state before or after the product with it."""

    def __init__(self, *args: object, reset_after: bool, **keywords: object) -> None:
        super().__init__(*args, **keywords)  # type: ignore[arg-type]
        self.reset_after = reset_after

    def forward(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """See `Cell.forward`."""
        (before,) = states
        units = before.shape[1]
        bias: Tensor | None = self.bias
        recurrent_bias: Tensor | None = None
        if bias is not None and self.reset_after:
            bias, recurrent_bias = bias[0], bias[1]
        total = x @ self.kernel if bias is None else x @ self.kernel + bias
        update, reset, new = total.split(units, 1)
        if self.reset_after:
            recurrent = before @ self.recurrent_kernel
            recurrent = recurrent if recurrent_bias is None else recurrent + recurrent_bias
            at_update, at_reset, at_new = recurrent.split(units, 1)
            update, reset = self.recurrent_activation(update + at_update), self.recurrent_activation(reset + at_reset)
            at_new = reset * at_new
        else:
            gates, kernel = self.recurrent_kernel[:, : 2 * units], self.recurrent_kernel[:, 2 * units :]
            at_update, at_reset = (before @ gates).split(units, 1)
            update, reset = self.recurrent_activation(update + at_update), self.recurrent_activation(reset + at_reset)
            at_new = (reset * before) @ kernel
        made = update * before + (1 - update) * self.activation(new + at_new)
        return made, (made,)


class ConvLSTMCell(Cell):
    """An LSTM on maps: convolutions where the LSTM has products; that of the state keeps the size.

    Parameters
    ----------
    kernel
        `(4 * filters, channels, *window)`.
    recurrent_kernel
        `(4 * filters, filters, *window)`.
    bias
        `(4 * filters,)` or None.
    stride, dilation, margins
        Of the convolution of the input, per spatial axis.
    """

    states = 2

    def __init__(
        self,
        kernel: Tensor,
        recurrent_kernel: Tensor,
        bias: Tensor | None,
        activation: nn.Module,
        recurrent_activation: nn.Module,
        stride: Sequence[int],
        dilation: Sequence[int],
        margins: Margins,
    ) -> None:
        super().__init__()
        self.kernel = nn.Parameter(kernel, requires_grad=False)
        self.recurrent_kernel = nn.Parameter(recurrent_kernel, requires_grad=False)
        self.bias = _parameter(bias)
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.stride, self.dilation, self.margins = tuple(stride), tuple(dilation), margins
        self.around = tuple(((size - 1) // 2, size // 2) for size in kernel.shape[2:])

    def start(self, x: Tensor) -> States:
        """See `Cell.start`."""
        nothing = torch.zeros_like(self._of_input(x).chunk(4, 1)[0])
        return nothing, nothing

    def forward(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """See `Cell.forward`."""
        before, carried = states
        around = padded(before, self.around)
        made, carried = gated(self, self._of_input(x) + self._convolve(around, self.recurrent_kernel), carried)
        return made, (made, carried)

    def _of_input(self, x: Tensor) -> Tensor:
        return self._convolve(padded(x, self.margins), self.kernel, self.bias, self.stride, 0, self.dilation)

    def _convolve(self, *arguments: Any) -> Tensor:
        made: Tensor = _CONVOLUTIONS[len(self.margins)](*arguments)
        return made


class StackedCells(Cell):
    """Cells each of which reads what the one before puts out in the same step."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.states = sum(cell.states for cell in cells)

    @property
    def _chain(self) -> list[Cell]:
        return [cell for cell in self.cells if isinstance(cell, Cell)]

    def start(self, x: Tensor) -> States:
        """See `Cell.start`."""
        found: States = ()
        for cell in self._chain:
            states = cell.start(x)
            found, x = (*found, *states), states[0]
        return found

    def forward(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """See `Cell.forward`."""
        after: States = ()
        for cell in self._chain:
            x, new = cell(x, states[len(after) : len(after) + cell.states])
            after = (*after, *new)
        return x, after


class Recurrence(nn.Module):
    """A cell, step by step along the time axis.

    Parameters
    ----------
    cell
        What happens in a step.
    backwards
        Whether it starts at the end; its results then come in that order.
    sequences
        Whether it returns the result of every step, or the last.
    zeros
        Whether a step that is masked puts out zeros; otherwise it repeats the result of the step before.

    Attributes
    ----------
    initial
        How many states it reads beside the sequence, with which it starts; 0 where it starts with zeros.
    state
        The number of the state that it returns in place of what its cell puts out last; None where it does not.
    """

    signxai_operation: ClassVar[str] = "recurrence"

    def __init__(self, cell: Cell, backwards: bool, sequences: bool, zeros: bool = False) -> None:
        super().__init__()
        self.cell = cell
        self.backwards, self.sequences, self.zeros = backwards, sequences, zeros
        self.initial = 0
        self.state: int | None = None

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Map `(N, C, T, ...)` to `(N, units, T, ...)` or `(N, units, ...)`.

        Behind it come the initial states, if it reads any, and the mask `(N, T)`, if there is one: steps that are off
        there change nothing.
        """
        mask = others[self.initial] if len(others) > self.initial else None
        order = range(x.shape[2] - 1, -1, -1) if self.backwards else range(x.shape[2])
        states = others[: self.initial] or self.cell.start(x.select(2, order[0]))
        outputs: list[Tensor] = []
        for step in order:
            made, after = self.cell(x.select(2, step), states)
            if mask is not None:
                on = mask[:, step].reshape(-1, *[1] * (made.dim() - 1))
                before = torch.zeros_like(made) if self.zeros or not outputs else outputs[-1]
                made = torch.where(on, made, before)
                after = tuple(torch.where(on, new, old) for new, old in zip(after, states, strict=True))
            states = after
            outputs.append(made)
        if self.state is not None:
            return states[self.state]
        # Contiguous: frames of one sample lie such that torch's derivative of a batch norm behind them would be wrong.
        return torch.stack(outputs, 2).contiguous() if self.sequences else outputs[-1]

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"backwards={self.backwards}, sequences={self.sequences}"


class BothWays(nn.Module):
    """Keras' `Bidirectional`: two recurrences over the same sequence, put together.

    Parameters
    ----------
    forward_layer, backward_layer
        The second one's results are turned around if they are sequences.
    merge
        How the two results become one; "forward" and "backward" are that of one way alone.
    """

    signxai_operation: ClassVar[str] = "recurrence"

    def __init__(self, forward_layer: Recurrence, backward_layer: Recurrence, merge: Merge) -> None:
        super().__init__()
        self.forward_layer, self.backward_layer, self.merge = forward_layer, backward_layer, merge

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Map `(N, C, T, ...)` as `Recurrence` does; the initial states are those of both ways, one after the other."""
        first = self.forward_layer.initial
        states, masks = others[: 2 * first], others[2 * first :]
        there: Tensor = self.forward_layer(x, *states[:first], *masks)
        back: Tensor = self.backward_layer(x, *states[first:], *masks)
        if self.backward_layer.sequences:
            back = back.flip(2)
        match self.merge:
            case "concat":
                return torch.cat([there, back], 1)
            case "sum":
                return there + back
            case "ave":
                return (there + back) / 2
            case "mul":
                return there * back
            case "forward":
                return there
            case "backward":
                return back

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"merge={self.merge!r}"
