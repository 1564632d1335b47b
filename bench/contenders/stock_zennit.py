"""Stock zennit: one rule on every convolution and dense layer, as a user would write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from zennit.attribution import Gradient, IntegratedGradients, SmoothGrad
from zennit.composites import LayerMapComposite, layer_map_base
from zennit.core import Hook
from zennit.rules import AlphaBeta, Epsilon, Flat, WSquare, ZPlus
from zennit.types import Convolution

from bench.contenders.common import NOISE, SAMPLES, Job, NoCounterpartError, Task

# Rules of (convolutions, dense layers). ZPlus is alpha 1, beta 0 and the faster of zennit's two ways to say so.
# zennit's Gamma is the rule of the literature, the reference's gamma is another one: not compared.
RULES: dict[str, Callable[[], tuple[Hook, Hook]]] = {
    "lrp_z": lambda: (Epsilon(), Epsilon()),  # with zennit's default epsilon, 1e-6: it has no epsilon of 0
    "lrp_epsilon_0_1": lambda: (Epsilon(0.1), Epsilon(0.1)),
    "lrp_flat": lambda: (Flat(), Flat()),
    "lrp_w_square": lambda: (WSquare(), WSquare()),
    "lrp_alpha_1_beta_0": lambda: (ZPlus(), ZPlus()),
    "lrp_alpha_2_beta_1": lambda: (AlphaBeta(2.0, 1.0), AlphaBeta(2.0, 1.0)),
    "lrp_sequential_composite_a": lambda: (ZPlus(), Epsilon(0.1)),
    "lrp_sequential_composite_b": lambda: (AlphaBeta(2.0, 1.0), Epsilon(0.1)),
}


def prepare(task: Task) -> Job:
    """Return the call of zennit's attributor.

    Raises
    ------
    NoCounterpartError
        If zennit has no such method.
    """
    module, targets = task.network.module, torch.tensor(task.targets)

    def chosen(output: Tensor) -> Tensor:
        return nn.functional.one_hot(targets, output.shape[1]).to(output.dtype)

    def run(attributor: Any, start: Any) -> Tensor:
        with attributor:
            _, relevance = attributor(task.x, start)
        result: Tensor = relevance.detach()
        return result

    if task.method in RULES:
        conv, dense = RULES[task.method]()
        composite = LayerMapComposite([*layer_map_base(), (Convolution, conv), (nn.Linear, dense)])
        return Job(lambda: run(Gradient(module, composite), lambda output: output * chosen(output)))
    if task.method == "gradient":
        return Job(lambda: run(Gradient(module), chosen))
    if task.method == "smoothgrad":
        # zennit's noise level is a share of the input's range.
        level = NOISE / float(task.x.max() - task.x.min())
        return Job(lambda: run(SmoothGrad(module, noise_level=level, n_iter=SAMPLES), chosen))
    if task.method == "integrated_gradients":
        return Job(lambda: run(IntegratedGradients(module, n_iter=SAMPLES), chosen))
    raise NoCounterpartError("zennit has no such rule")
