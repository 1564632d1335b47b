"""The published names with their signatures, and small nets to call them on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TARGETS = [1, 3]
EMPTY = inspect.Parameter.empty

ANALYZERS: dict[str, dict[str, Any]] = {
    "GradientAnalyzer": {},
    "GradientXInputAnalyzer": {},
    "GuidedBackpropAnalyzer": {},
    "DeconvNetAnalyzer": {},
    "GradientXSignAnalyzer": {"mu": 0.0},
    "IntegratedGradientsAnalyzer": {"steps": 50, "baseline_type": "zero"},
    "SmoothGradAnalyzer": {"noise_level": 0.2, "num_samples": 50, "stdev_spread": None},
    "VarGradAnalyzer": {"noise_level": 0.2, "num_samples": 50},
    "VarGradBaseAnalyzer": {"noise_scale": 0.2, "augment_by_n": 50},
    "VarGradXInputAnalyzer": {"noise_scale": 0.2, "augment_by_n": 50},
    "VarGradXSignAnalyzer": {"noise_scale": 0.2, "augment_by_n": 50},
    "GradCAMAnalyzer": {"target_layer": None},
    "LRPAnalyzer": {"rule_name": "epsilon", "epsilon": 1e-6, "alpha": 1.0, "beta": 0.0},
    "AdvancedLRPAnalyzer": {"variant": "epsilon"},
    "LRPSequential": {
        "first_layer_rule_name": "zbox",
        "middle_layer_rule_name": "alphabeta",
        "last_layer_rule_name": "epsilon",
        "variant": None,
    },
    "BoundedLRPAnalyzer": {"low": 0.0, "high": 1.0, "rule_name": "epsilon"},
    "LRPStdxEpsilonAnalyzer": {"stdfactor": 0.25, "bias": True},
    "DirectLRPStdxEpsilonAnalyzer": {"stdfactor": 1.0},
    "DeepTaylorAnalyzer": {"epsilon": 1e-6},
    "DeepLiftAnalyzer": {"baseline_type": "zero"},
}
SIGN_EPSILON = {"epsilon": 0.0, "stdfactor": 0.0, "mu": 0.0, "input_layer_rule": "sign", "is_input_layer": False}
HOOKS: dict[str, dict[str, Any]] = {
    "LrpBaseHook": {"is_input_layer": False},
    "EpsilonHook": {"epsilon": 1e-7},
    "StdxEpsilonHook": {"stdfactor": 0.25, "bias": True, "use_global_std": False},
    "FlatHook": {"epsilon": 1e-6},
    "WSquareHook": {"epsilon": 1e-6},
    "GammaHook": {"gamma": 0.5, "bias": True},
    "SignHook": {},
    "SignMuHook": {"mu": 0.0},
    "SignEpsilonHook": SIGN_EPSILON,
    "LrpSignEpsilonMuHook": {"epsilon": 0.0, "mu": 0.0, "is_input_layer": False},
    "LrpSignEpsilonStdXHook": SIGN_EPSILON,
    "LrpSignEpsilonStdXMuHook": {"epsilon": 0.0, "stdfactor": 0.0, "mu": 0.0, "is_input_layer": False},
    "DirectStdxEpsilonHook": {"stdfactor": 1.0},
    "SIGNRule": {"bias": True},
    "SIGNmuRule": {"mu": 0.0, "bias": True},
    "StdxEpsilon": {"stdfactor": 0.25, "bias": True, "use_global_std": False},
    "InnvestigateEpsilonHook": {"epsilon": 1e-6, "bias": True},
    "InnvestigateFlatHook": {"stabilizer": 1e-6},
    "InnvestigateWSquareHook": {"stabilizer": 1e-6},
    "AlphaBetaRule": {"alpha": 2.0, "beta": 1.0, "bias": True},
    "BoundedRule": {"low": -1.0, "high": 1.0},
    "EpsilonRule": {"epsilon": 1e-7, "bias": True},
    "FlatRule": {"epsilon": 1e-7},
    "GammaRule": {"gamma": 0.5, "bias": True},
    "StdxEpsilonRule": {"stdfactor": 0.25, "bias": True, "use_global_std": False},
    "WSquareRule": {"epsilon": 1e-7},
    "ZPlusFastRule": {},
    "ZPlusRule": {},
    "ZRule": {"bias": True},
}
VARGRAD = {"model": EMPTY, "noise_scale": 0.2, "augment_by_n": 50}
FUNCTIONS: dict[str, dict[str, Any]] = {
    "lrp_composite": {
        "first_layer_rule": EMPTY,
        "default_rule": EMPTY,
        "last_layer_rule": None,
        "first_layer_params": {},
        "default_params": {},
        "last_layer_params": {},
    },
    "epsilon_composite": {"epsilon": 0.1},
    "stdx_epsilon": {"epsilon": 0.1, "stdfactor": 0.25},
    "zplus_composite": {},
    "zbox_composite": {"low": -1.0, "high": 1.0},
    "flat_composite": {},
    "wsquare_composite": {},
    "wsquare_composite_standard": {},
    "gamma_composite": {"gamma": 0.25},
    "alphabeta_composite": {"alpha": 2.0, "beta": 1.0},
    "sequential_composite": {"epsilon": 0.1, "alpha": 2.0, "beta": 1.0},
    "sign_composite": {},
    "lrpsign_epsilon": {"epsilon": 0.0, "stdfactor": 0.0, "mu": 0.0, "input_layer_rule": "sign"},
    "lrpsign_epsilon_mu": {"epsilon": 0.0, "mu": 0.0},
    "lrpsign_epsilon_std_x": {"epsilon": 0.0, "stdfactor": 0.0},
    "lrpsign_epsilon_std_x_mu": {"epsilon": 0.0, "stdfactor": 0.0, "mu": 0.0},
    "lrpz_epsilon": {"epsilon": 0.1},
    "lrpz_stdx_epsilon": {"epsilon": 0.1, "stdfactor": 0.0},
    "lrpz_sequential_composite_a": {"epsilon": 0.1},
    "lrpz_sequential_composite_b": {"epsilon": 0.1},
    "w2lrp_epsilon": {"epsilon": 0.1},
    "w2lrp_stdx_epsilon": {"epsilon": 0.1, "stdfactor": 0.0},
    "w2lrp_sequential_composite_a": {"epsilon": 0.1},
    "w2lrp_sequential_composite_b": {"epsilon": 0.1},
    "w2lrp_composite_a": {"epsilon": 0.1},
    "create_innvestigate_epsilon_composite": {"epsilon": 1e-6},
    "create_innvestigate_flat_composite": {},
    "create_innvestigate_wsquare_composite": {},
    "DeconvNetComposite": {},
    "vargrad_analyzer": VARGRAD,
    "vargrad_x_input_analyzer": VARGRAD,
    "vargrad_x_sign_analyzer": VARGRAD,
    "vargrad_x_input_x_sign_analyzer": VARGRAD,
    "calculate_relevancemap": {
        "model": EMPTY,
        "input_tensor": EMPTY,
        "method": EMPTY,
        "target_class": None,
        "neuron_selection": None,
    },
    "calculate_relevancemaps": {
        "model": EMPTY,
        "input_tensor": EMPTY,
        "method": EMPTY,
        "target_class": None,
        "neuron_selection": None,
    },
}
OTHERS = ("AnalyzerBase", "SUPPORTED_ZENNIT_METHODS")
EVERY_NAME = [*ANALYZERS, *HOOKS, *FUNCTIONS, *OTHERS]


def seeded(module: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4
    return module.double()


def state_of(model: nn.Module) -> list[Any]:
    """Return what an explanation must not change."""
    modules = list(model.modules())
    return [
        *({key: value.tolist() for key, value in model.state_dict().items()},),
        *((module.training, getattr(module, "inplace", None), sorted(vars(module))) for module in modules),
        *((len(module._forward_hooks), len(module._forward_pre_hooks)) for module in modules),
        *((len(module._backward_hooks), len(module._backward_pre_hooks)) for module in modules),
        *((parameter.requires_grad, parameter.grad) for parameter in model.parameters()),
    ]


def vgg_like() -> nn.Module:
    """Return a net for (N, 3, 8, 6) with every kind of layer that VGG has, one ReLU in place, in train mode."""
    return seeded(
        nn.Sequential(
            *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(inplace=True), nn.AvgPool2d((2, 1)), nn.Flatten()),
            *(nn.Linear(30, 7), nn.ReLU(), nn.Linear(7, 5)),
        ),
        seed=1,
    )


def series_net() -> nn.Module:
    """Return a net for (N, 2, 10)."""
    return seeded(nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5)), seed=3)


def dense_net() -> nn.Module:
    """Return a net for (N, 20)."""
    return seeded(nn.Sequential(nn.Flatten(), nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 3)), seed=4)


def images() -> Tensor:
    """Return two inputs of `vgg_like`."""
    return torch.randn((2, 3, 8, 6), generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def untouched(model: nn.Module) -> Iterator[nn.Module]:
    """Lend a model, and fail if it comes back changed."""
    before = state_of(model)
    yield model
    assert state_of(model) == before


def same(left: Any, right: Any) -> None:
    assert isinstance(left, np.ndarray)
    assert np.abs(right).max() > 0
    np.testing.assert_array_equal(left, right)
