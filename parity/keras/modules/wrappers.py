"""Layers around other layers."""

from __future__ import annotations

from torch import Tensor, nn


class TimeDistributed(nn.Module):
    """The same layer at every step: the first axis behind the batch counts steps.

    Parameters
    ----------
    operation
        What LRP takes it for, see `signxai_torch.operations.declared`; it never looks inside.
    *inner
        What runs at each step, in sequence.
    """

    def __init__(self, operation: str, *inner: nn.Module) -> None:
        super().__init__()
        self.signxai_operation = operation
        self.inner = nn.Sequential(*inner)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to `(N, C, T, ...)`."""
        steps = x.movedim(2, 1)
        made: Tensor = self.inner(steps.flatten(0, 1))
        return made.reshape(*steps.shape[:2], *made.shape[1:]).movedim(1, 2)
