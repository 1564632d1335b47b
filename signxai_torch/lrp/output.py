"""Where relevance starts: at the model's output, or at what its last layer computed before its activation.

The activation is that of the last layer where it is an attribute of it in Keras. In a converted model, which says where
its layers end (`operations.ends`), one that is a layer of its own is the last layer then, and relevance starts from
what it returns, as in both references. In any other model an activation module counts as the layer's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.lrp.composites import Noting
from signxai_torch.lrp.layers import Average, Pass
from signxai_torch.lrp.rules import Epsilon, LinearRule, StdxEpsilon, Z
from signxai_torch.operations.ends import is_last
from signxai_torch.operations.hook import RelevanceHook, is_call, is_users_hook, result_of
from signxai_torch.operations.linear import linear_map

# In SIGN-XAI these rules divide by what the last layer computed before its activation, and start from it too; all
# others start from the model's output.
_FROM_PREACTIVATION = (Z, Epsilon, StdxEpsilon)


@dataclass(frozen=True)
class LastLayer:
    """The kernel layer whose output the model returns, up to activations and the like.

    Attributes
    ----------
    call : torch.autograd node
        The call of the layer.
    rule : RelevanceHook
        Its rule.
    bare : bool
        Whether nothing follows it.
    """

    call: Any
    rule: RelevanceHook
    bare: bool

    def bias(self, input_rule: RelevanceHook | None) -> bool | None:
        """Return whether the start counts the bias; None where relevance starts from the model's output.

        Parameters
        ----------
        input_rule : RelevanceHook or None
            The rule of the input layer, which the last layer may be.
        """
        rule = (input_rule or self.rule.rule) if isinstance(self.rule, Noting) else self.rule
        own = isinstance(rule, _FROM_PREACTIVATION) and not isinstance(rule, Average)
        if not own or not isinstance(rule, LinearRule):
            return None
        bias = bool(rule.parameters.get("bias", True))
        return None if bias and self.bare else bias

    def preactivation(self, bias: bool) -> Tensor:
        """Return what the layer computed, or what it would have computed without its bias."""
        (x,) = self.call.saved_tensors
        with torch.no_grad():
            return result_of(self.call, x) if bias else linear_map(self.call.module).apply(x, "all")


def last_layer(model: nn.Module, output: Tensor, composite: int) -> LastLayer | None:
    """Return the layer whose output a model returns, up to what passes relevance on; None if there is no such layer.

    A model may end in pooling, reshaping or a sum as well. Reshaping counts: SIGN-XAI chooses the class in the very
    last layer of a model, and one without a kernel starts from the model's output.

    Parameters
    ----------
    model : torch.nn.Module
        Which says whose activation is whose, see above.
    output : torch.Tensor
        What it returned, in the autograd graph of a walk.
    composite : int
        Which of the walk's composites is asked for its rules.
    """
    node: Any = output.grad_fn
    bare = True
    while (passes := is_call(node) and isinstance(node.hook.of(composite), Pass)) or is_users_hook(node):
        bare &= not passes
        node = node.next_functions[0][0]
    rule = node.hook.of(composite) if is_call(node) else None
    if not isinstance(rule, (LinearRule, Noting)) or not is_last(model, node.module):
        return None
    return LastLayer(node, rule, bare)
