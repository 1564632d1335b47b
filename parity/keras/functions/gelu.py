"""``gelu``, in its exact form and in that by ``tanh``, spelled as layers."""

from __future__ import annotations

import numpy as np

from parity.keras.functions.arithmetic import scaled
from parity.keras.functions.spelling import PREVIOUS, Arguments, Spelled, first_tensor

_CUBIC, _STEEPNESS = float(np.float32(0.044715)), 0.7978845608028654
"""Of ``x / 2 * (1 + tanh(steepness * (x + cubic * x**3)))``, the second of which is sqrt(2 / pi); TensorFlow makes a
float32 tensor of the first, in whatever it computes."""


def gelu(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell ``gelu``; ``approximate=True`` is the form by ``tanh``."""
    x = first_tensor(arguments)
    if not arguments.get("approximate"):
        return (Spelled("Activation", {"activation": "gelu"}, (x.name,)),)
    channels = x.shape[-1]
    return (
        Spelled("Multiply", {}, (x.name, x.name)),
        scaled(PREVIOUS, channels, _CUBIC, 1.0),
        Spelled("Multiply", {}, (x.name, PREVIOUS)),
        scaled(PREVIOUS, channels, _STEEPNESS),
        Spelled("Activation", {"activation": "tanh"}, (PREVIOUS,)),
        Spelled("Rescaling", {"scale": 0.5, "offset": 0.5}, (PREVIOUS,)),
        Spelled("Multiply", {}, (x.name, PREVIOUS)),
    )
