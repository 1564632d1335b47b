"""Where TensorFlow puts a sliding window: output sizes and margins of `valid`, `same` and `causal` padding."""

from __future__ import annotations

from dataclasses import dataclass

from parity.keras.description import Shape
from parity.keras.handlers.layer import Layer
from parity.keras.modules.padding import Margins, OpenMargin, same_margin


@dataclass(frozen=True)
class Window:
    """A sliding window over the spatial axes.

    Attributes
    ----------
    kernel, stride, dilation
        Per spatial axis.
    margins
        (before, after) per spatial axis; where they depend on a size that is open, an `OpenMargin`.
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
        return all(not isinstance(margin, OpenMargin) and margin[0] == margin[1] for margin in self.margins)

    @property
    def padding(self) -> tuple[int, ...]:
        """The margin per axis, where `even`."""
        return tuple(margin[0] for margin in self.margins if not isinstance(margin, OpenMargin))


def window(layer: Layer, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Window:
    """Place a window on the spatial axes of the layer's input as TensorFlow does.

    `same`: output size ceil(size / stride); the margin is as small as possible and its odd pixel goes to the end.

    Raises
    ------
    ConversionError
        If the padding is unknown or the window does not fit.
    """
    mode = layer.config.text("padding", "valid").lower()
    allowed = ("valid", "same", "causal") if len(kernel) == 1 else ("valid", "same")
    if mode not in allowed:
        raise layer.fail(f"padding is {mode!r}, expected one of {', '.join(allowed)}")
    margins: list[tuple[int, int] | OpenMargin] = []
    spatial: list[int | None] = []
    for size, k, s, d in zip(layer.input.shape[:-1], kernel, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        if mode == "valid":
            margin = (0, 0)
        elif mode == "causal":
            margin = (reach - 1, 0)
        elif s == 1:
            margin = ((reach - 1) // 2, reach - 1 - (reach - 1) // 2)
        elif size is not None:
            margin = same_margin(size, reach, s)
        else:
            margins.append(OpenMargin(reach, s))
            spatial.append(None)
            continue
        margins.append(margin)
        if size is None:
            spatial.append(None)
            continue
        out = (size + sum(margin) - reach) // s + 1
        if out < 1:
            raise layer.fail(f"its window of {reach} is larger than its input {layer.input.shape}. Check input_shape")
        spatial.append(out)
    return Window(kernel, stride, dilation, tuple(margins), tuple(spatial))
