"""Published hooks and composites, attached by hand or by zennit, give what `explain` gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import zennit.attribution
import zennit.rules
from torch import Tensor, nn

import signxai_torch as sx
from signxai_torch.lrp import composites, rules
from signxai_torch.published import composite as zennit_composites
from signxai_torch.published import hooks
from signxai_torch.published import rules as rule_hooks
from tests.signxai_torch.published import (
    FUNCTIONS,
    HOOKS,
    TARGETS,
    images,
    same,
    seeded,
    untouched,
    vgg_like,
)


@pytest.fixture
def model() -> Iterator[nn.Module]:
    yield from untouched(vgg_like())


@pytest.fixture(scope="module")
def x() -> Tensor:
    return images()


def relevance_by_hand(
    model: nn.Module, x: Tensor, attach: Callable[[nn.Module, bool], list[Any]], own_start: bool = False
) -> np.ndarray:
    """Return the relevance of the target's logit under hooks that `attach` puts on (layer, is input layer).

    With `own_start` it is the logit without the last layer's bias, where epsilon rules without bias start.
    """
    kernels = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    handles = [handle for module in kernels for handle in attach(module, module is kernels[0])]
    # Average pooling has its rule and activations pass relevance on: neither is a matter of the hook under test.
    handles += [sx.ZRule().register(m) for m in model.modules() if isinstance(m, (nn.AvgPool2d, nn.ReLU))]
    try:
        point = x.clone().requires_grad_()
        logits = model(point)
        start = torch.zeros_like(logits)
        for row, target in enumerate(TARGETS):
            start[row, target] = logits[row, target].item() - own_start * kernels[-1].bias[target].item()
        return torch.autograd.grad(logits, point, start)[0].numpy()
    finally:
        for handle in handles:
            handle.remove()


Made = Callable[[bool], sx.LrpBaseHook]
HOOK_CASES: list[tuple[str, Made, str, dict[str, Any]]] = [
    ("EpsilonHook", lambda _: sx.EpsilonHook(), "lrp_epsilon", {}),
    ("EpsilonHook", lambda _: sx.EpsilonHook(0.1), "lrp_epsilon_0_1", {}),
    ("StdxEpsilonHook", lambda _: sx.StdxEpsilonHook(), "lrp_epsilon_0_25_std_x", {}),
    (
        "StdxEpsilonHook",
        lambda _: sx.StdxEpsilonHook(0.5, bias=False),
        "lrp",
        {"rule": "StdxEpsilon", "stdfactor": 0.5, "bias": False},
    ),
    ("DirectStdxEpsilonHook", lambda _: sx.DirectStdxEpsilonHook(), "lrp_epsilon_1_std_x", {}),
    ("FlatHook", lambda _: sx.FlatHook(), "lrp_flat", {}),
    ("FlatHook", lambda _: sx.FlatHook(0), "lrp_flat", {}),
    ("FlatHook", lambda _: sx.FlatHook(0.1), "lrp_flat", {}),
    ("WSquareHook", lambda _: sx.WSquareHook(), "lrp_w_square", {}),
    ("GammaHook", lambda _: sx.GammaHook(), "lrp_gamma", {}),
    ("GammaHook", lambda _: sx.GammaHook(0.3, False), "lrp", {"rule": "Gamma", "gamma": 0.3, "bias": False}),
    ("SignHook", lambda first: sx.SignHook() if first else sx.ZRule(), "lrpsign_z", {}),
    ("SignMuHook", lambda first: sx.SignMuHook(0.5) if first else sx.ZRule(), "lrpsign_z_mu_0_5", {}),
    ("SignEpsilonHook", lambda first: sx.SignEpsilonHook(is_input_layer=first), "lrpsign_z", {}),
    ("SignEpsilonHook", lambda first: sx.SignEpsilonHook(0.1, is_input_layer=first), "lrpsign_epsilon_0_1", {}),
    ("SignEpsilonHook", lambda first: sx.SignEpsilonHook(0.1), "lrp_epsilon_0_1", {}),
    (
        "LrpSignEpsilonStdXHook",
        lambda first: sx.LrpSignEpsilonStdXHook(7.0, 0.25, is_input_layer=first),
        "lrpsign_epsilon_0_25_std_x",
        {},
    ),
    (
        "SignEpsilonHook",
        lambda first: sx.SignEpsilonHook(100, 0, 0.5, "sign_mu", first),
        "lrpsign_epsilon_100_mu_0_5",
        {},
    ),
    (
        "LrpSignEpsilonMuHook",
        lambda first: sx.LrpSignEpsilonMuHook(100, -0.5, first),
        "lrpsign_epsilon_100_mu_neg_0_5",
        {},
    ),
    (
        "LrpSignEpsilonStdXMuHook",
        lambda first: sx.LrpSignEpsilonStdXMuHook(0.0, 0.25, 0.5, first),
        "lrpsign_epsilon_0_25_std_x_mu_0_5",
        {},
    ),
    ("SIGNRule", lambda first: sx.SIGNRule() if first else sx.ZRule(), "lrpsign_z", {}),
    ("SIGNmuRule", lambda first: sx.SIGNmuRule(-0.5) if first else sx.ZRule(), "lrpsign_z_mu_neg_0_5", {}),
    ("StdxEpsilon", lambda _: sx.StdxEpsilon(), "lrp_epsilon_0_25_std_x", {}),
    ("InnvestigateEpsilonHook", lambda _: sx.InnvestigateEpsilonHook(0.1), "lrp_epsilon_0_1", {}),
    ("InnvestigateFlatHook", lambda _: sx.InnvestigateFlatHook(), "lrp_flat", {}),
    ("InnvestigateWSquareHook", lambda _: sx.InnvestigateWSquareHook(stabilizer=1e-6), "lrp_w_square", {}),
    ("AlphaBetaRule", lambda _: sx.AlphaBetaRule(), "lrp_alpha_2_beta_1", {}),
    ("BoundedRule", lambda f: sx.BoundedRule(-2, 3) if f else sx.ZRule(), "zblrp_z", {"low": -2.0, "high": 3.0}),
    ("EpsilonRule", lambda _: sx.EpsilonRule(0.1), "lrp_epsilon_0_1", {}),
    ("FlatRule", lambda _: sx.FlatRule(), "lrp_flat", {}),
    ("GammaRule", lambda _: sx.GammaRule(0.3), "lrp_gamma_0_3", {}),
    ("StdxEpsilonRule", lambda _: sx.StdxEpsilonRule(0.5), "lrp_epsilon_0_5_std_x", {}),
    ("WSquareRule", lambda _: sx.WSquareRule(), "lrp_w_square", {}),
    ("ZPlusFastRule", lambda _: sx.ZPlusFastRule(), "lrp", {"rule": "ZPlusFast"}),
    ("ZPlusRule", lambda _: sx.ZPlusRule(), "lrp_z_plus", {}),
    ("ZRule", lambda _: sx.ZRule(), "lrp_z", {}),
]


@pytest.mark.parametrize(("name", "made", "method", "parameters"), HOOK_CASES)
def test_hook_by_hand(
    name: str, made: Made, method: str, parameters: dict[str, Any], model: nn.Module, x: Tensor
) -> None:
    assert any(isinstance(made(first), getattr(sx, name)) for first in (True, False))
    own_start = parameters.get("rule") == "StdxEpsilon"
    result = relevance_by_hand(model, x, lambda module, first: [made(first).copy().register(module)], own_start)
    same(result, sx.explain(model, x, method, TARGETS, **parameters))


@pytest.mark.parametrize(("name", "made", "method", "parameters"), HOOK_CASES)
def test_hook_as_the_published_composites_attached_it(
    name: str, made: Made, method: str, parameters: dict[str, Any], model: nn.Module, x: Tensor
) -> None:
    out_of_place = nn.Sequential(*(nn.ReLU() if isinstance(module, nn.ReLU) else module for module in model))

    def attach(module: nn.Module, first: bool) -> list[Any]:
        hook = made(first)
        return [module.register_forward_hook(hook.forward), module.register_full_backward_hook(hook.backward)]

    own_start = parameters.get("rule") == "StdxEpsilon"
    same(relevance_by_hand(out_of_place, x, attach, own_start), sx.explain(model, x, method, TARGETS, **parameters))


def test_every_hook_has_a_case() -> None:
    assert {name for name, *_ in HOOK_CASES} == set(HOOKS) - {"LrpBaseHook"}
    assert {*hooks.__all__, *rule_hooks.__all__} == set(HOOKS)
    assert sx.LrpSignEpsilonStdXHook is sx.SignEpsilonHook


def test_backward_hook_without_forward_hook_is_an_error() -> None:
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(sx.EpsilonHook().backward)
    with pytest.raises(RuntimeError, match="forward"):
        layer(torch.ones(1, 2, requires_grad=True)).sum().backward()


def test_hook_forgets_on_remove() -> None:
    hook = sx.EpsilonHook()
    hook.forward(nn.Linear(2, 2), (torch.ones(1, 2),), torch.ones(1, 2))
    hook.remove()
    assert not hook.stored_tensors


def test_own_hook_on_the_base_class(model: nn.Module, x: Tensor) -> None:
    class Own(sx.LrpBaseHook):
        def relevance(self, module: nn.Module, x: Tensor, output: Tensor, relevance: Tensor) -> Tensor:
            rule = sx.SIGNRule() if self.is_input_layer else sx.ZRule()
            assert type(module) in (nn.Conv2d, nn.Linear)
            return rule.relevance(module, x, output, relevance)

    result = relevance_by_hand(model, x, lambda module, first: [Own(is_input_layer=first).register(module)])
    same(result, sx.explain(model, x, "lrpsign_z", TARGETS))
    with sx.lrp_composite(Own(is_input_layer=True), Own).context(model):
        point = x.clone().requires_grad_()
        logits = model(point)
        (relevance,) = torch.autograd.grad(logits, point, logit_of_target(logits))
    same(relevance.numpy(), sx.explain(model, x, "lrpsign_z", TARGETS))


def test_the_base_class_is_abstract_in_a_sentence(model: nn.Module, x: Tensor) -> None:
    said = r"LrpBaseHook is abstract: a subclass overrides relevance\(module, x, output, relevance\), or rule"
    with pytest.raises(NotImplementedError, match=said):
        relevance_by_hand(model, x, lambda module, first: [sx.LrpBaseHook().register(module)])
    with pytest.raises(NotImplementedError, match=said):
        sx.LrpBaseHook().relevance(model[0], x, model[0](x), model[0](x))


def test_global_std_is_over_the_batch(x: Tensor) -> None:
    layer = seeded(nn.Linear(6, 3), seed=5).requires_grad_(False)
    rows = x[0, 0]
    output = layer(rows)

    def relevance(rule: sx.LrpBaseHook) -> np.ndarray[Any, Any]:
        return rule.relevance(layer, rows, output, output).numpy()

    whole = relevance(sx.StdxEpsilonHook(1.0, use_global_std=True))
    np.testing.assert_allclose(whole, relevance(sx.EpsilonHook(float(rows.std(unbiased=False)))), rtol=1e-12)
    assert np.abs(whole - relevance(sx.StdxEpsilonHook(1.0))).max() > 0


COMPOSITES: list[tuple[str, Callable[[], Any], str, dict[str, Any]]] = [
    ("lrp_composite", lambda: sx.lrp_composite("WSquare", rules.Flat), "w2lrp_flat", {}),
    (
        "lrp_composite",
        lambda: sx.lrp_composite(
            sx.SignMuHook, "AlphaBeta", sx.EpsilonHook(0.1), {"mu": 0.5}, {"alpha": 1.0, "beta": 0.0}
        ),
        "lrpsign_sequential_composite_a_mu_0_5",
        {},
    ),
    (
        "lrp_composite",
        lambda: sx.lrp_composite("Z", "Epsilon", default_params={"epsilon": 0.5}),
        "lrpz_epsilon_0_5",
        {},
    ),
    ("epsilon_composite", lambda: sx.epsilon_composite(), "lrp_epsilon_0_1", {}),
    ("stdx_epsilon", lambda: sx.stdx_epsilon(), "lrp_epsilon_0_25_std_x", {}),
    ("stdx_epsilon", lambda: sx.stdx_epsilon(0.5, 0), "lrp_epsilon_0_5", {}),
    ("zplus_composite", lambda: sx.zplus_composite(), "lrp_z_plus", {}),
    ("zbox_composite", lambda: sx.zbox_composite(-2.0, 3.0), "zblrp_epsilon", {"low": -2.0, "high": 3.0}),
    ("flat_composite", lambda: sx.flat_composite(), "lrp_flat", {}),
    ("wsquare_composite", lambda: sx.wsquare_composite(), "lrp_w_square", {}),
    ("wsquare_composite_standard", lambda: sx.wsquare_composite_standard(), "lrp_w_square", {}),
    ("gamma_composite", lambda: sx.gamma_composite(), "lrp_gamma_0_25", {}),
    ("alphabeta_composite", lambda: sx.alphabeta_composite(), "lrp_alpha_2_beta_1", {}),
    ("sequential_composite", lambda: sx.sequential_composite(), "lrp_sequential_composite_b", {}),
    ("sequential_composite", lambda: sx.sequential_composite(0.1, 1, 0), "lrp_sequential_composite_a", {}),
    ("sign_composite", lambda: sx.sign_composite(), "lrp", {"rule": "SIGN"}),
    ("lrpsign_epsilon", lambda: sx.lrpsign_epsilon(), "lrpsign_z", {}),
    ("lrpsign_epsilon", lambda: sx.lrpsign_epsilon(0.1), "lrpsign_epsilon_0_1", {}),
    ("lrpsign_epsilon", lambda: sx.lrpsign_epsilon(0.1, 0, 0.5, "sign_mu"), "lrpsign_epsilon_0_1_mu_0_5", {}),
    ("lrpsign_epsilon_mu", lambda: sx.lrpsign_epsilon_mu(100, -0.5), "lrpsign_epsilon_100_mu_neg_0_5", {}),
    ("lrpsign_epsilon_std_x", lambda: sx.lrpsign_epsilon_std_x(stdfactor=0.5), "lrpsign_epsilon_0_5_std_x", {}),
    (
        "lrpsign_epsilon_std_x_mu",
        lambda: sx.lrpsign_epsilon_std_x_mu(stdfactor=0.25, mu=0.5),
        "lrpsign_epsilon_0_25_std_x_mu_0_5",
        {},
    ),
    ("lrpz_epsilon", lambda: sx.lrpz_epsilon(), "lrpz_epsilon_0_1", {}),
    ("lrpz_stdx_epsilon", lambda: sx.lrpz_stdx_epsilon(), "lrpz_epsilon_0_1", {}),
    ("lrpz_stdx_epsilon", lambda: sx.lrpz_stdx_epsilon(stdfactor=0.5), "lrpz_epsilon_0_5_std_x", {}),
    ("lrpz_sequential_composite_a", lambda: sx.lrpz_sequential_composite_a(), "lrpz_sequential_composite_a", {}),
    ("lrpz_sequential_composite_b", lambda: sx.lrpz_sequential_composite_b(), "lrpz_sequential_composite_b", {}),
    ("w2lrp_epsilon", lambda: sx.w2lrp_epsilon(1), "w2lrp_epsilon_1", {}),
    ("w2lrp_stdx_epsilon", lambda: sx.w2lrp_stdx_epsilon(stdfactor=0.25), "w2lrp_epsilon_0_25_std_x", {}),
    ("w2lrp_sequential_composite_a", lambda: sx.w2lrp_sequential_composite_a(), "w2lrp_sequential_composite_a", {}),
    ("w2lrp_sequential_composite_b", lambda: sx.w2lrp_sequential_composite_b(), "w2lrp_sequential_composite_b", {}),
    ("w2lrp_composite_a", lambda: sx.w2lrp_composite_a(), "w2lrp_sequential_composite_a", {}),
    (
        *("create_innvestigate_epsilon_composite", lambda: sx.create_innvestigate_epsilon_composite(0.1)),
        *("lrp_epsilon_0_1", {}),
    ),
    (
        "create_innvestigate_epsilon_composite",
        sx.create_innvestigate_epsilon_composite,
        "lrp_epsilon",
        {"epsilon": 1e-6},
    ),
    ("create_innvestigate_flat_composite", sx.create_innvestigate_flat_composite, "lrp_flat", {}),
    ("create_innvestigate_wsquare_composite", sx.create_innvestigate_wsquare_composite, "lrp_w_square", {}),
    ("DeconvNetComposite", lambda: sx.DeconvNetComposite(), "deconvnet", {}),
]


def logit_of_target(logits: Tensor) -> Tensor:
    return logits.detach() * nn.functional.one_hot(torch.tensor(TARGETS), logits.shape[1])


@pytest.mark.parametrize(("name", "made", "method", "parameters"), COMPOSITES)
def test_composite_with_zennit(
    name: str, made: Callable[[], Any], method: str, parameters: dict[str, Any], model: nn.Module, x: Tensor
) -> None:
    composite = made()
    is_lrp = name != "DeconvNetComposite"
    assert isinstance(composite, zennit_composites.ModelComposite)
    assert isinstance(composite.composite, composites.RuleComposite if is_lrp else composites.ActivationComposite)
    expected = sx.explain(model, x, method, TARGETS, **parameters)
    _, relevance = zennit.attribution.Gradient(model=model, composite=composite)(x.clone(), logit_of_target)
    same(relevance.numpy(), expected)
    with composite.context(model) as modified:
        point = x.clone().requires_grad_()
        logits = modified(point)
        (relevance,) = torch.autograd.grad(logits, point, logit_of_target(logits))
    same(relevance.numpy(), expected)


@pytest.mark.parametrize(
    ("factory", "method"),
    [
        (sx.vargrad_analyzer, "vargrad"),
        (sx.vargrad_x_input_analyzer, "vargrad_x_input"),
        (sx.vargrad_x_sign_analyzer, "vargrad_x_sign"),
        (sx.vargrad_x_input_x_sign_analyzer, "vargrad_x_input_x_sign"),
    ],
)
def test_vargrad_factory(factory: Any, method: str, model: nn.Module, x: Tensor) -> None:
    analyzer = factory(model, noise_scale=0.3, augment_by_n=4)
    assert isinstance(analyzer, sx.AnalyzerBase)
    expected = sx.explain(model, x, method, TARGETS, noise_scale=0.3, samples=4, seed=1)
    same(analyzer.analyze(x, TARGETS, seed=1), expected)


def test_every_function_has_a_case() -> None:
    cased = {name for name, *_ in COMPOSITES}
    assert cased == {name for name in FUNCTIONS if not name.startswith(("vargrad", "calculate"))}
