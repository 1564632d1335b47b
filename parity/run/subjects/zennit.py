"""Stock zennit as a subject: its rules, its composites and its attributors, as a careful user would set them.

Where zennit leaves a choice, the one that is nearest to the originals is taken:

- every stabilizer is 1e-30 instead of 1e-6, so that a division is by z itself and 0 / 0 is still 0;
- batch normalization is merged into the convolution or dense layer whose output it reads, if nothing else reads that.
  The pairs are named (`NamedMergeBatchNorm`), because `SequentialMergeBatchNorm` takes the neighbour in the order of
  the modules, and in a residual network that may lie in the other branch. Zennit leaves the layer's `eps` in place
  when it merges, so that each merged layer still divides by sqrt(1 + eps); that is stock zennit and stays;
- relevance starts from the logit where the method's does; `_IB` is `zero_params="bias"`;
- the input layer of `w2lrp_*`, `flatlrp_*` and `zblrp_*` has `WSquare`, `Flat` and `ZBox` with the method's bounds.

Zennit's Gamma is the rule of the literature, the originals' is another one, so `lrp_gamma` counts as not offered; so
do SmoothGrad and VarGrad, because zennit draws its own noise and cannot be told the noise of the case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from zennit import composites, rules
from zennit.attribution import Gradient, IntegratedGradients
from zennit.canonizers import Canonizer, NamedMergeBatchNorm
from zennit.composites import LayerMapComposite, SpecialFirstLayerMapComposite, layer_map_base
from zennit.core import Hook
from zennit.types import BatchNorm, Convolution
from zennit.types import Linear as WithKernel

from parity.keras import KerasModule
from parity.run.subjects.function import FunctionSubject
from parity.run.subjects.stock import refuse_several, refuse_sign, stock
from signxai_torch.methods.grammar import Method, parse
from signxai_torch.sweep.parameters import parameters_of

STABILIZER = 1e-30
_RULES: dict[str, Callable[[Mapping[str, Any], Any], Hook]] = {
    "Z": lambda _, zero: rules.Epsilon(STABILIZER, zero_params=zero),
    "Epsilon": lambda numbers, zero: rules.Epsilon(numbers["epsilon"], zero_params=zero),
    "AlphaBeta": lambda numbers, zero: (
        # ZPlus is the faster of zennit's two ways to say alpha 1, beta 0.
        rules.ZPlus(STABILIZER, zero_params=zero)
        if (numbers["alpha"], numbers["beta"]) == (1.0, 0.0)
        else rules.AlphaBeta(numbers["alpha"], numbers["beta"], stabilizer=STABILIZER, zero_params=zero)
    ),
    "ZPlus": lambda _, zero: rules.ZPlus(STABILIZER, zero_params=zero),
    "Flat": lambda _, zero: rules.Flat(STABILIZER, zero_params=zero),
    "WSquare": lambda _, zero: rules.WSquare(STABILIZER, zero_params=zero),
}
_GRADIENTS: dict[str, Callable[[], LayerMapComposite] | None] = {
    "gradient": None,
    "guided_backprop": composites.GuidedBackprop,
    "deconvnet": composites.DeconvNet,
}


def subject() -> FunctionSubject:
    """Return stock zennit as a subject."""
    return stock(explain, "zennit", "zennit", "zennit", __file__)


def explain(model: KerasModule, x: Tensor, method: str, target: list[int], **parameters: Any) -> Tensor:
    """Return zennit's map of a batch in the shape of `x`.

    Raises
    ------
    NotImplementedError
        If zennit has no such method, or no rule for a layer of the model; the text is the reason.
    """
    parsed = parse(method)
    numbers = parameters_of(parsed, parameters)
    refuse_sign(parsed, "zennit")
    refuse_several(model, "zennit")
    indices = torch.tensor(target, device=x.device)

    def start(output: Tensor) -> Tensor:
        chosen = nn.functional.one_hot(indices, output.shape[1]).to(output.dtype)
        return chosen if parsed.head == "one" else output * chosen

    if parsed.family == "integrated_gradients":
        if numbers["baseline"] != 0.0:
            raise NotImplementedError("only the baseline 0 is set up here")
        attributor: Any = IntegratedGradients(model, n_iter=numbers["steps"])
    elif parsed.family in _GRADIENTS:
        make = _GRADIENTS[parsed.family]
        attributor = Gradient(model, None if make is None else make())
    elif parsed.family == "lrp" and parsed.head != "positive_logit":
        attributor = Gradient(model, _composite(model, x, parsed, numbers))
    elif parsed.family in ("smoothgrad", "vargrad"):
        raise NotImplementedError("zennit draws its own noise and cannot be told that of the case")
    else:
        raise NotImplementedError(f"zennit has no {parsed.family}")
    with attributor:
        _, relevance = attributor(x, start)
    result: Tensor = relevance.detach()
    times = len([name for name, _ in parsed.modifiers if name == "x_input"]) + bool(numbers.get("times_input"))
    return result * x.detach() ** times if times else result


def _composite(model: KerasModule, x: Tensor, parsed: Method, numbers: Mapping[str, Any]) -> LayerMapComposite:
    zero = "bias" if parsed.ignore_bias else None
    if "until_layer_idx" in numbers:
        raise NotImplementedError("zennit's composites know a first layer, not the first few")
    _require_known_layers(model)
    layers = parsed.row.layers
    kinds = {kind: layers.get(kind, layers.get("kernel")) for kind in ("conv", "dense")}
    hooks = {}
    for kind, entry in kinds.items():
        assert entry is not None
        name, fixed = entry
        if name not in _RULES:
            raise NotImplementedError(f"zennit has no rule {name or 'that is chosen by a parameter'} of the originals")
        hooks[kind] = _RULES[name]({**numbers, **fixed}, zero)
    layer_map = [*layer_map_base(STABILIZER), (Convolution, hooks["conv"]), (nn.Linear, hooks["dense"])]
    canonizers = _merged_batch_norms(model)
    if parsed.input_rule is None:
        return LayerMapComposite(layer_map, canonizers=canonizers)
    first = [(WithKernel, _input_rule(parsed.input_rule, x, numbers, zero))]
    return SpecialFirstLayerMapComposite(layer_map, first, canonizers=canonizers)


def _input_rule(name: str, x: Tensor, numbers: Mapping[str, Any], zero: str | None) -> Hook:
    if name == "Bounded":
        # Without axes, as the layer that is first may see the input flattened.
        low, high = (x.new_tensor(numbers[side]) for side in ("low", "high"))
        return rules.ZBox(low, high, stabilizer=STABILIZER, zero_params=zero)
    if name not in _RULES:
        raise NotImplementedError(f"zennit has no rule {name} of the originals")
    return _RULES[name](numbers, zero)


def _require_known_layers(model: nn.Module) -> None:
    """Refuse a layer whose weights zennit would pass over: its gradient is no rule."""
    for name, module in model.named_modules():
        kernel = next(module.parameters(recurse=False), None)
        if kernel is not None and not isinstance(module, WithKernel | BatchNorm | nn.PReLU):
            raise NotImplementedError(f"zennit has no rule for the layer {name!r} ({type(module).__name__})")


def _merged_batch_norms(model: KerasModule) -> list[Canonizer]:
    """Return the canonizer that merges each batch normalization into the layer with weights right before it."""
    layers = model.description.layers
    read = [name for layer in layers for name in layer.inbound]
    modules = dict(model.named_modules())
    pairs = [
        ([layer.inbound[0]], layer.name)
        for layer in layers
        if isinstance(modules.get(layer.name), BatchNorm)
        and isinstance(modules.get(layer.inbound[0]), WithKernel)
        and model.layer_outputs.get(layer.inbound[0]) == layer.inbound[0]  # no activation in between
        and read.count(layer.inbound[0]) == 1
    ]
    return [NamedMergeBatchNorm(pairs)] if pairs else []
