"""Where TensorFlow puts a sliding window: output sizes and margins of `valid`, `same` and `causal` padding."""

from __future__ import annotations

from dataclasses import dataclass

from parity.keras.description import Shape
from parity.keras.handlers.layer import Layer
from parity.keras.modules.padding import Margins


@dataclass(frozen=True)
class Window:
    """A sliding window over the spatial axes.

    Attributes
    ----------
    kernel, stride, dilation
        Per spatial axis.
    margins
        (before, after) per spatial axis.
    spatial
        Output sizes; None where the input size is open.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: Margins
    spatial: Shape

    @property
    def even(self) -> bool:
        """Whether both sides of every axis get the same margin, so that torch's own padding does it."""
        return all(before == after for before, after in self.margins)

    @property
    def padding(self) -> tuple[int, ...]:
        """The margin per axis, where `even`."""
        return tuple(before for before, _ in self.margins)


def window(layer: Layer, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Window:
    """Place a window on the spatial axes of the layer's input as TensorFlow does.

    `same`: output size ceil(size / stride); the margin is as small as possible and its odd pixel goes to the end.

    Raises
    ------
    ConversionError
        If the padding is unknown, the window does not fit, or a margin depends on a size that is open.
    """
    mode = layer.config.text("padding", "valid").lower()
    allowed = ("valid", "same", "causal") if len(kernel) == 1 else ("valid", "same")
    if mode not in allowed:
        raise layer.fail(f"padding is {mode!r}, expected one of {', '.join(allowed)}")
    margins = []
    spatial: list[int | None] = []
    for size, k, s, d in zip(layer.input.shape[:-1], kernel, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        if mode == "valid":
            before = after = 0
        elif mode == "causal":
            before, after = reach - 1, 0
        elif s == 1:
            before, after = (reach - 1) // 2, reach - 1 - (reach - 1) // 2
        else:
            known = layer.known(size, "input size, on which 'same' with a stride depends,")
            total = max((-(-known // s) - 1) * s + reach - known, 0)
            before, after = total // 2, total - total // 2
        margins.append((before, after))
        if size is None:
            spatial.append(None)
            continue
        out = (size + before + after - reach) // s + 1
        if out < 1:
            raise layer.fail(f"its window of {reach} is larger than its input {layer.input.shape}. Check input_shape")
        spatial.append(out)
    return Window(kernel, stride, dilation, tuple(margins), tuple(spatial))
