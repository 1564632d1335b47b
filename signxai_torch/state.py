"""Leave models as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[nn.Module]:
    """Explain inside: eval mode, no parameter gradients, no in-place layers; restored on leaving, also by an error.

    In-place activations would overwrite the pre-activations that rules divide by.
    """
    training = [(module, module.training) for module in model.modules()]
    gradients = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    inplace = [(module, True) for module in model.modules() if getattr(module, "inplace", False) is True]
    try:
        for module, _ in training:
            module.training = False
        for parameter, _ in gradients:
            parameter.requires_grad_(False)
        for module, _ in inplace:
            module.inplace = False  # type: ignore[assignment]
        yield model
    finally:
        for module, mode in training:
            module.training = mode
        for parameter, wanted in gradients:
            parameter.requires_grad_(wanted)
        for module, mode in inplace:
            module.inplace = mode  # type: ignore[assignment]
