"""Where relevance starts: at the model's output, or at what its last layer computed before its activation.

The activation is that of the last layer where it is an attribute of it in Keras. In a converted model, which says where
its layers end (`signxai_torch.operations.ends`), one that is a layer of its own is the last layer then, and relevance
starts from what it returns, as in both references. In any other model an activation counts as the layer's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from signxai_torch.lrp.assignment import Assignment
from signxai_torch.lrp.composites import Composite
from signxai_torch.lrp.rule import LinearRule, Rule
from signxai_torch.lrp.rules import Epsilon, StdxEpsilon, Z
from signxai_torch.lrp.weightless import Pass
from signxai_torch.operations.ends import is_last
from signxai_torch.operations.kind import KERNELS, ROWS
from signxai_torch.operations.linear import linear_map
from signxai_torch.operations.operation import Operation, Value

# In SIGN-XAI these rules divide by what the last layer computed before its activation, and start from it too; all
# others start from the model's output.
_FROM_PREACTIVATION = (Z, Epsilon, StdxEpsilon)


@dataclass(frozen=True)
class LastLayer:
    """The kernel whose result the model returns, up to activations and the like.

    Attributes
    ----------
    operation : Operation
        The kernel.
    rule : Rule
        Its rule.
    bare : bool
        Whether nothing follows it.
    """

    operation: Operation
    rule: Rule
    bare: bool

    def bias(self, composite: Composite) -> bool | None:
        """Return whether the start counts the bias; None where relevance starts from the model's output.

        Parameters
        ----------
        composite : Composite
            The rules; the last layer may see the input.
        """
        rule = composite.rule_of(self.operation) if self.operation.sees_input else self.rule
        if not isinstance(rule, _FROM_PREACTIVATION):
            return None
        return None if rule.bias and self.bare else rule.bias

    def preactivation(self, bias: bool) -> Tensor:
        """Return what the layer computed, or what it would have computed without its bias: a row per sample."""
        with torch.no_grad():
            if bias:
                return self.operation.output.flatten(1)
            return linear_map(self.operation).apply(self.operation.inputs[0], "all").flatten(1)


def last_layer(model: nn.Module, output: Value, assigned: Assignment) -> LastLayer | None:
    """Return the kernel whose result a model returns, up to what passes relevance on; None if there is no such layer.

    A model may end in pooling, reshaping or a sum as well. Reshaping counts: SIGN-XAI chooses the class in the very
    last layer of a model, and one without a kernel starts from the model's output.

    Parameters
    ----------
    model : torch.nn.Module
        Which says whose activation is whose, see above.
    output : Value
        What it returned.
    assigned : Assignment
        The rules.
    """
    maker, bare = output.maker, True
    if maker is not None and maker.function is ROWS:
        maker = maker.sources[0].maker
    while maker is not None and isinstance(assigned.rules.get(maker), Pass):
        bare = False
        maker = maker.sources[0].maker
    if maker is None or maker.kind not in KERNELS:
        return None
    rule = assigned.rules.get(maker)
    if not isinstance(rule, LinearRule) or not is_last(model, maker.module):
        return None
    return LastLayer(assigned.stands_for.get(maker, maker), rule, bare)
