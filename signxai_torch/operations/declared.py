"""Modules that are one operation: what a module declares itself to be, so that nobody looks inside.

A module with the attribute ``signxai_operation``, mostly of its class, is one layer to all rules, whatever functions
its forward calls: a convolution with a padding of its own, say, or an average whose margins are not counted. Its value
is one of `DECLARABLE`. A declared kernel must be linear in its one input, up to parameters whose names start with
``bias``.
"""

from __future__ import annotations

from torch import nn

from signxai_torch.operations.kind import Function, Kind

ATTRIBUTE = "signxai_operation"
DECLARABLE = {
    "dense": Kind.DENSE,
    "conv": Kind.CONVOLUTION,
    "average": Kind.AVERAGE,
    "maximum": Kind.MAXIMUM,
    "activation": Kind.ACTIVATION,
    "gate": Kind.ACTIVATION,
    "rectifier": Kind.ACTIVATION,
    "move": Kind.MOVE,
    "unchanged": Kind.UNCHANGED,
    "function": Kind.UNCHANGED,
    "derivative": Kind.DERIVATIVE,
    "embedding": Kind.EMBEDDING,
    "recurrence": Kind.RECURRENCE,
}
"""What a module can declare itself to be.

A gate is an activation that squashes values between bounds, so that what is multiplied by its result is scaled and not
joined with it. A rectifier is an activation that guided backpropagation takes for a ReLU. LRP hands relevance through
an "unchanged" layer as it is, and by the gradient through a "derivative", which may read several tensors: that is what
SIGN-XAI 1.1.9.2 does with every layer that has no kernel, sum or average, by whether its shape stays (iNNvestigate
2.1.2 takes the gradient of both). A "function" is an "unchanged" layer that computes one function of each value:
DeepLIFT takes it for one, while it looks inside of other unchanged layers. An "embedding" reads tokens and makes a
vector of each, along axis 1. A "recurrence" runs over a sequence step by step, and no reference has a rule for it.
"""


def declared_function(module: nn.Module) -> Function | None:
    """Return what a module declares itself to be, None if it does not.

    Raises
    ------
    ValueError
        If there is no such operation.
    """
    declared = getattr(module, ATTRIBUTE, None)
    if declared is None:
        return None
    if declared not in DECLARABLE:
        raise ValueError(
            f"{type(module).__name__}.{ATTRIBUTE} is {declared!r}; it must be one of {', '.join(DECLARABLE)}"
        )
    return Function(declared, DECLARABLE[declared], gate=declared == "gate", of_each_value=declared == "function")
