"""Stock captum as a subject: its attribution classes, as a careful user would set them.

Where captum leaves a choice, the one that is nearest to the originals is taken:

- LRP: each convolution and dense layer has the method's rule, every other layer `EpsilonRule`; each epsilon that only
  guards a division is 1e-30 instead of 1e-9. `_IB` is `set_bias_to_zero`, which captum has for alpha 1, beta 0 alone;
- guided backpropagation and deconvnet are multiplied by the logit where the method starts from it;
- integrated gradients takes its default, Gauss-Legendre, with as many steps as the case asks for; DeepLIFT and it take
  the baseline of the case;
- the gradient is `Saliency` without its absolute value.

Captum's Gamma is the rule of the literature, the originals' is another one, so `lrp_gamma` counts as not offered; so
do SmoothGrad and VarGrad, because captum draws its own noise and cannot be told the noise of the case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from zennit.layer import Sum

from parity.keras import KerasModule
from parity.keras.modules.activations import Tanh
from parity.keras.modules.kernels import ChannelLinear
from parity.keras.modules.moving import Concatenate, Crop, FeatureOrder, Rearrange, TrainingOnly
from parity.run.subjects.function import FunctionSubject
from parity.run.subjects.stock import refuse_several, refuse_sign, stock
from signxai_torch.methods.grammar import Method, parse
from signxai_torch.sweep.parameters import parameters_of

STABILIZER = 1e-30
BUDGET = 2**20
"""Input values in one batch of integrated gradients, which the caller must bound."""
_NONLINEAR = (nn.ReLU, nn.Dropout, nn.Tanh)
"""What captum passes relevance through; of these very types, subclasses excepted."""
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
# Layers without a rule in captum's list whose output is linear in the input, or that pick a winner.
_EPSILON = (
    nn.Flatten, nn.Identity, nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool1d, nn.AvgPool2d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.ConstantPad1d, nn.ConstantPad2d,
    nn.Upsample, Sum, Concatenate, Crop, FeatureOrder, Rearrange, TrainingOnly,
)  # fmt: skip


def subject() -> FunctionSubject:
    """Return stock captum as a subject.

    Raises
    ------
    ParityError
        If captum is not installed.
    """
    return stock(explain, "captum", "captum", "captum", __file__)


def explain(model: KerasModule, x: Tensor, method: str, target: list[int], **parameters: Any) -> Tensor:
    """Return captum's map of a batch in the shape of `x`.

    Raises
    ------
    NotImplementedError
        If captum has no such method, or no rule for a layer of the model; the text is the reason.
    """
    from captum import attr

    parsed = parse(method)
    numbers = parameters_of(parsed, parameters)
    refuse_sign(parsed, "captum")
    refuse_several(model, "captum")
    x = x.detach().requires_grad_()
    if parsed.family == "gradient":
        relevance = attr.Saliency(model).attribute(x, target, abs=False)
    elif parsed.family in ("guided_backprop", "deconvnet"):
        kind = attr.GuidedBackprop if parsed.family == "guided_backprop" else attr.Deconvolution
        relevance = kind(model).attribute(x, target)
        if parsed.head != "one":
            logits = model(x).detach()[torch.arange(len(x)), target]
            relevance = relevance * logits.reshape(-1, *(1,) * (x.dim() - 1))
    elif parsed.family == "integrated_gradients":
        relevance = attr.IntegratedGradients(model).attribute(
            x, numbers["baseline"], target, n_steps=numbers["steps"],
            internal_batch_size=max(1, BUDGET // x.numel()) * len(x),
        )  # fmt: skip
    elif parsed.family == "deep_lift":
        relevance = attr.DeepLift(model).attribute(x, numbers["baseline"], target)
    elif parsed.family == "lrp" and parsed.head != "positive_logit":
        _give_rules(model, parsed, numbers)
        relevance = attr.LRP(model).attribute(x, target)
    elif parsed.family in ("smoothgrad", "vargrad"):
        raise NotImplementedError("captum draws its own noise and cannot be told that of the case")
    else:
        raise NotImplementedError(f"captum has no {parsed.family} as the originals have it")
    result: Tensor = relevance.detach()
    times = len([name for name, _ in parsed.modifiers if name == "x_input"]) + bool(numbers.get("times_input"))
    return result * x.detach() ** times if times else result


def _give_rules(model: nn.Module, parsed: Method, numbers: Mapping[str, Any]) -> None:
    """Put a rule on each layer; captum takes them away again with every call."""
    from captum.attr._utils import lrp_rules

    if parsed.input_rule is not None:
        raise NotImplementedError("captum has no rule for the input layer alone")
    layers = parsed.row.layers
    make = {
        kind: _rule(*layers.get(kind, layers.get("kernel", ("", {}))), parsed, numbers) for kind in ("conv", "dense")
    }
    for layer in model.modules():
        if isinstance(layer, Tanh):
            # Captum knows layers by their very type, and the copy is the subject's own.
            layer.__class__ = nn.Tanh  # type: ignore[assignment]
    chosen: list[tuple[nn.Module, Any]] = []
    for name, layer in model.named_modules():
        if next(layer.children(), None) is not None or type(layer) in _NONLINEAR:
            continue
        if isinstance(layer, _CONVOLUTIONS):
            chosen.append((layer, make["conv"]()))
        elif isinstance(layer, nn.Linear | ChannelLinear):
            chosen.append((layer, make["dense"]()))
        elif isinstance(layer, _EPSILON):
            chosen.append((layer, lrp_rules.EpsilonRule(STABILIZER)))
        else:
            raise NotImplementedError(f"captum has no rule for the layer {name!r} ({type(layer).__name__})")
    for layer, rule in chosen:  # nothing is attached before all have one
        layer.rule = rule


def _rule(name: str, fixed: Mapping[str, Any], parsed: Method, numbers: Mapping[str, Any]) -> Callable[[], Any]:
    from captum.attr._utils import lrp_rules

    values = {**numbers, **fixed}
    if name == "AlphaBeta" and (values["alpha"], values["beta"]) == (1.0, 0.0):
        return lambda: lrp_rules.Alpha1_Beta0_Rule(set_bias_to_zero=parsed.ignore_bias)
    if name in ("Z", "Epsilon") and not parsed.ignore_bias:
        return lambda: lrp_rules.EpsilonRule(values["epsilon"] if name == "Epsilon" else STABILIZER)
    raise NotImplementedError(f"captum has no rule {name or 'that is chosen by a parameter'} of the originals")
