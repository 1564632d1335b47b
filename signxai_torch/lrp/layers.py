"""Rules of layers without a kernel: what passes relevance on, batch normalisation, guided and deconvnet ReLUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from signxai_torch.lrp.arithmetic import KERAS_EPSILON, divide, stabilize
from signxai_torch.lrp.rules import Z
from signxai_torch.operations.hook import Call, RelevanceHook, behind_a_rule
from signxai_torch.operations.linear import GeneralMap, linear_map
from signxai_torch.operations.moves import moves_values

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class Gradient(RelevanceHook):
    """The gradient of a layer that another method, which shares its forward pass, gives a rule.

    Parameters
    ----------
    call : Call
        The call of the layer.
    """

    needs_output = False

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call
        # What hands on its very input leaves that to the next layer, which may work in place.
        self.needs_input = not isinstance(call.module, (nn.Identity, *DROPOUT))

    def __str__(self) -> str:
        return "gradient"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the vector-Jacobian product."""
        if not self.needs_input:
            return relevance
        if type(module) is nn.ReLU:
            return torch.ops.aten.threshold_backward(relevance, x, 0)  # type: ignore[no-any-return]
        layer = linear_map(module)
        if not isinstance(layer, GeneralMap):
            return layer.transpose(relevance, "all", x)
        before = x if self.call.before is None else self.call.before
        with torch.enable_grad():
            point = before.detach().requires_grad_()
            return torch.autograd.grad(self.call(point.clone()), point, relevance)[0]  # it may work in place


class Pass(RelevanceHook):
    """Relevance unchanged: activations and dropout (SIGN-XAI: every layer whose input and output shapes agree)."""

    needs_input = needs_output = False

    def __str__(self) -> str:
        return "Pass()"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance as it is."""
        return relevance


class PassWhereShapeKept(Pass):
    """`Pass` where the layer keeps its input's shape (stride-1 pooling), else the gradient."""

    def choose(self, module: nn.Module, x: Tensor, output: Tensor, call: Call) -> RelevanceHook | None:
        """Return this rule where the shapes agree."""
        return self if x.shape == output.shape else None


class PassUnlessMoved(PassWhereShapeKept):
    """`Pass` where a layer of which nothing is known keeps its input's shape, but moves no values; else the gradient.

    SIGN-XAI passes relevance through every layer that keeps the shape, which leaves the relevance of moved values where
    they were before.
    """

    lenient = True

    def choose(self, module: nn.Module, x: Tensor, output: Tensor, call: Call) -> RelevanceHook | None:
        """Return this rule where the layer is known to have changed values one by one, as far as shapes tell."""
        if x.shape != output.shape or not output.is_floating_point():
            return None
        if call.moves is None:
            call.moves = moves_values(call, x if call.before is None else call.before, output)
        return None if call.moves else self


class PassAfterKernel(Pass):
    """`Pass` for the activation of a kernel layer, else the gradient (iNNvestigate 2.1.2, DeepTaylor).

    There an activation is part of the kernel layer before it, whose rule knows nothing of it; after any other layer
    it is a layer of its own, which takes the gradient. For composites whose only rules are those of kernel layers.
    """

    def choose(self, module: nn.Module, x: Tensor, output: Tensor, call: Call) -> RelevanceHook | None:
        """Return this rule where a layer with a rule made the input."""
        return self if behind_a_rule(x) else None


class Average(Z):
    """Average pooling and sums: the Z rule, ``x * VJP(x; R / f(x))``; these layers have no weights or bias."""

    def __init__(self) -> None:
        super().__init__()
        self.parameters = {}


class BatchNorm(RelevanceHook):
    """``x (y - beta) R / ((x - mean) y)`` with y the layer's output (SIGN-XAI 1.1.9.2, BatchNormalizationReverseRule).

    iNNvestigate 2.1.2 squares the variance and drops gamma instead; that is a defect and not followed.
    """

    def __str__(self) -> str:
        return "BatchNorm()"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the layer's input."""
        shape = (1, -1, *[1] * (x.dim() - 2))
        beta = module.bias.reshape(shape) if isinstance(module.bias, Tensor) else 0.0
        mean = module.running_mean.reshape(shape) if isinstance(module.running_mean, Tensor) else 0.0
        return divide(x * (output - beta) * relevance, stabilize((x - mean) * output, KERAS_EPSILON))


class GuidedReLU(RelevanceHook):
    """``R+ [x > 0]`` (guided backpropagation)."""

    needs_output = False

    def __str__(self) -> str:
        return "GuidedReLU()"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the positive relevance of the units that are on."""
        if type(module) is nn.ReLU:
            return relevance.clamp(min=0) * (x > 0)
        with torch.enable_grad():  # a ReLU with a bound or a slope has its own derivative
            point = x.detach().requires_grad_()
            return torch.autograd.grad(module.forward(point), point, relevance.clamp(min=0))[0]


class DeconvNetReLU(RelevanceHook):
    """``R+`` (deconvnet)."""

    needs_input = needs_output = False

    def __str__(self) -> str:
        return "DeconvNetReLU()"

    def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
        """Return the positive relevance."""
        return torch.clamp(relevance, min=0)
