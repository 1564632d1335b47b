"""captum, where it has the rule."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import nn

from bench.contenders.common import NOISE, SAMPLES, Job, NoCounterpartError, Task, UnavailableError

# Rules of (convolutions, dense layers), as names of `captum.attr._utils.lrp_rules` with their arguments.
EPSILON: tuple[str, dict[str, float]] = ("EpsilonRule", {"epsilon": 0.1})
ALPHA_1: tuple[str, dict[str, float]] = ("Alpha1_Beta0_Rule", {})
RULES = {
    "lrp_z": (("EpsilonRule", {}), ("EpsilonRule", {})),  # with captum's default epsilon, 1e-9
    "lrp_epsilon_0_1": (EPSILON, EPSILON),
    "lrp_alpha_1_beta_0": (ALPHA_1, ALPHA_1),
    "lrp_sequential_composite_a": (ALPHA_1, EPSILON),
}


def _has_rule(module: nn.Module) -> bool:
    from captum.attr._core.lrp import SUPPORTED_LAYERS_WITH_RULES

    known = (*SUPPORTED_LAYERS_WITH_RULES, nn.Conv1d, nn.Conv2d, nn.Linear, nn.Flatten, nn.ReLU, nn.Dropout, nn.Tanh)
    return isinstance(module, known)


def prepare(task: Task) -> Job:
    """Return the call of captum's attribution class.

    Raises
    ------
    UnavailableError
        If captum is not installed.
    NoCounterpartError
        If captum has no such method.
    """
    try:
        from captum import attr
        from captum.attr._utils import lrp_rules
    except ImportError as error:
        raise UnavailableError(f"captum cannot be imported ({error}); pip install '.[bench]'") from error
    # captum's LRP writes into the weights while it runs; nobody else's network is at stake.
    module = copy.deepcopy(task.network.module)
    x, target = task.x.detach().clone().requires_grad_(), task.targets
    at_once = task.at_once
    calls: dict[str, Callable[[], Any]] = {
        "gradient": lambda: attr.Saliency(module).attribute(x, target, abs=False),
        "integrated_gradients": lambda: attr.IntegratedGradients(module).attribute(
            x, target=target, n_steps=SAMPLES, internal_batch_size=at_once * len(task.x)
        ),
        "smoothgrad": lambda: attr.NoiseTunnel(attr.Saliency(module)).attribute(
            x, nt_type="smoothgrad", nt_samples=SAMPLES, nt_samples_batch_size=at_once, stdevs=NOISE,
            target=target, abs=False,
        ),
    }  # fmt: skip
    if task.method in calls:
        return Job(calls[task.method])
    if task.method not in RULES:
        raise NoCounterpartError("captum has no such rule")
    (conv, conv_options), (dense, dense_options) = RULES[task.method]
    strange = {type(one).__name__ for one in module.modules() if not one._modules and not _has_rule(one)}
    if strange:
        raise NoCounterpartError(f"captum's LRP knows no {', '.join(sorted(strange))}")

    def lrp() -> Any:
        for layer in module.modules():  # captum forgets the rules with every call
            if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
                layer.rule = getattr(lrp_rules, conv)(**conv_options)
            elif isinstance(layer, nn.Linear):
                layer.rule = getattr(lrp_rules, dense)(**dense_options)
            elif isinstance(layer, nn.Flatten):
                layer.rule = lrp_rules.EpsilonRule()  # captum has no default for it and asks for one
        return attr.LRP(module).attribute(x, target=target).detach()

    return Job(lrp)
