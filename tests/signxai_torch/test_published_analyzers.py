"""Every published analyzer is another way to call `explain`, to the last bit."""

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
from signxai_torch.lrp import rules
from signxai_torch.published.options import choose
from tests.signxai_torch.published import (
    ANALYZERS,
    TARGETS,
    images,
    same,
    series_net,
    untouched,
    vgg_like,
)


@pytest.fixture
def model() -> Iterator[nn.Module]:
    yield from untouched(vgg_like())


@pytest.fixture(scope="module")
def x() -> Tensor:
    return images()


NOISE = {"seed": 5}
Case = tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any]]


def _case(
    name: str,
    options: dict[str, Any],
    method: str,
    parameters: dict[str, Any] | None = None,
    call: dict[str, Any] | None = None,
) -> Any:
    options_text = ",".join(f"{key}={value}" for key, value in options.items())
    return pytest.param((name, options, method, parameters or {}, call or {}), id=f"{name}({options_text})")


CASES = [
    _case("GradientAnalyzer", {}, "gradient"),
    _case("GradientXInputAnalyzer", {}, "gradient_x_input"),
    _case("GuidedBackpropAnalyzer", {}, "guided_backprop"),
    _case("DeconvNetAnalyzer", {}, "deconvnet"),
    _case("GradientXSignAnalyzer", {}, "gradient_x_sign"),
    _case("GradientXSignAnalyzer", {"mu": 0.5}, "gradient_x_sign_mu_0_5"),
    _case("GradientXSignAnalyzer", {"mu": 0.5}, "gradient_x_sign_mu_neg_0_5", call={"mu": -0.5}),
    _case("IntegratedGradientsAnalyzer", {}, "integrated_gradients"),
    _case("IntegratedGradientsAnalyzer", {"baseline_type": "black", "steps": 7}, "integrated_gradients", {"steps": 7}),
    _case("IntegratedGradientsAnalyzer", {"baseline_type": "white"}, "integrated_gradients", {"baseline": 1.0}),
    _case("IntegratedGradientsAnalyzer", {}, "integrated_gradients", {"baseline": 0.3}, call={"reference_inputs": 0.3}),
    _case("SmoothGradAnalyzer", {}, "smoothgrad", NOISE, NOISE),
    _case(
        *("SmoothGradAnalyzer", {"noise_level": 0.3, "num_samples": 4}, "smoothgrad"),
        *({"noise_scale": 0.3, "samples": 6, **NOISE}, {"augment_by_n": 6, **NOISE}),
    ),
    _case("VarGradAnalyzer", {}, "vargrad", NOISE, NOISE),
    _case("VarGradAnalyzer", {"num_samples": 3}, "vargrad", {"samples": 3, **NOISE}, NOISE),
    _case("VarGradBaseAnalyzer", {"noise_scale": 0.2, "augment_by_n": 50}, "vargrad", NOISE, NOISE),
    _case("VarGradXInputAnalyzer", {}, "vargrad_x_input", NOISE, NOISE),
    _case("VarGradXSignAnalyzer", {"augment_by_n": 3}, "vargrad_x_sign", {"samples": 3, **NOISE}, NOISE),
    _case(
        "VarGradXInputXSignAnalyzer", {"noise_scale": 1}, "vargrad_x_input_x_sign", {"noise_scale": 1, **NOISE}, NOISE
    ),
    _case("GradCAMAnalyzer", {}, "grad_cam"),
    _case("GradCAMAnalyzer", {"target_layer": "2"}, "grad_cam", {"target_layer": "2"}),
    _case("GradCAMAnalyzer", {}, "grad_cam", {"target_layer": "2"}, {"layer_name": "2"}),
    _case("LRPAnalyzer", {}, "lrp_epsilon", {"epsilon": 1e-6}),
    _case("LRPAnalyzer", {"epsilon": 0.1}, "lrp_epsilon_0_1"),
    _case("LRPAnalyzer", {}, "lrp_epsilon_0_1", call={"epsilon": 0.1}),
    _case("LRPAnalyzer", {"rule_name": "zplus"}, "lrp_z_plus"),
    _case("LRPAnalyzer", {"rule_name": "alphabeta"}, "lrp_alpha_1_beta_0"),
    _case("LRPAnalyzer", {"rule_name": "alpha_beta", "alpha": 2.0, "beta": 1.0}, "lrp_alpha_2_beta_1"),
    _case("LRPAnalyzer", {"rule_name": "alpha_3_beta_2"}, "lrp_alpha_3_beta_2"),
    _case("LRPAnalyzer", {"rule_name": "gamma", "gamma": 0.3}, "lrp_gamma_0_3"),
    _case("LRPAnalyzer", {"rule_name": "z_IB"}, "lrp_z_IB"),
    _case("LRPAnalyzer", {"rule_name": "stdxepsilon", "stdfactor": 0.5}, "lrp_epsilon_0_5_std_x"),
    _case("AdvancedLRPAnalyzer", {}, "lrp_epsilon", {"epsilon": 1e-6}),
    _case("AdvancedLRPAnalyzer", {"variant": "epsilon", "epsilon": 0.25}, "lrp_epsilon_0_25"),
    _case("AdvancedLRPAnalyzer", {"variant": "zplus"}, "lrp_z_plus"),
    _case("AdvancedLRPAnalyzer", {"variant": "alpha1beta0"}, "lrp_alpha_1_beta_0"),
    _case("AdvancedLRPAnalyzer", {"variant": "alpha2beta1"}, "lrp_alpha_2_beta_1"),
    _case("AdvancedLRPAnalyzer", {"variant": "zbox"}, "zblrp_epsilon", {"low": 0.0, "high": 1.0, "epsilon": 1e-6}),
    _case("AdvancedLRPAnalyzer", {"variant": "zbox", "low": -2, "subvariant": "z"}, "zblrp_z", {"low": -2, "high": 1}),
    _case("AdvancedLRPAnalyzer", {"variant": "flat"}, "lrp_flat"),
    _case("AdvancedLRPAnalyzer", {"variant": "flat", "epsilon": 1e-6}, "lrp_flat"),  # the documentation's own example
    _case("AdvancedLRPAnalyzer", {"variant": "flat"}, "lrp_flat", call={"epsilon": 1e-3}),
    _case("AdvancedLRPAnalyzer", {"variant": "wsquare"}, "lrp_w_square"),
    _case("AdvancedLRPAnalyzer", {"variant": "wsquare", "epsilon": 1e-6}, "lrp_w_square"),
    _case("AdvancedLRPAnalyzer", {"variant": "gamma"}, "lrp_gamma"),
    _case("AdvancedLRPAnalyzer", {"variant": "gamma", "gamma": 0.25}, "lrp_gamma_0_25"),
    _case("AdvancedLRPAnalyzer", {"variant": "sequential"}, "lrp_sequential_composite_a"),
    _case("AdvancedLRPAnalyzer", {"variant": "lrpsign"}, "lrpsign_epsilon", {"epsilon": 1e-6}),
    _case("AdvancedLRPAnalyzer", {"variant": "lrpz", "epsilon": 0.1}, "lrpz_epsilon_0_1"),
    _case("AdvancedLRPAnalyzer", {"variant": "flatlrp", "subvariant": "alpha_1_beta_0"}, "flatlrp_alpha_1_beta_0"),
    _case("AdvancedLRPAnalyzer", {"variant": "w2lrp", "subvariant": "z"}, "w2lrp_z"),
    _case("AdvancedLRPAnalyzer", {"variant": "zblrp", "epsilon": 0.1}, "zblrp_epsilon_0_1"),
    _case("LRPSequential", {"variant": "A", "low": -1, "high": 1}, "zblrp_sequential_composite_a"),
    _case("LRPSequential", {"variant": "B", "first_layer_rule_name": "wsquare"}, "w2lrp_sequential_composite_b"),
    _case(
        *("LRPSequential", {"variant": "A"}, "zblrp_sequential_composite_a"),
        *({"low": -3, "high": 2}, {"low": -3, "high": 2}),
    ),
    _case("LRPSequential", {"epsilon": 0.1}, "zblrp_sequential_composite_a", {"low": 0, "high": 1}),
    _case(
        *("LRPSequential", {"first_layer_rule_name": "sign", "middle_layer_rule_name": "alpha2beta1", "epsilon": 0.1}),
        "lrpsign_sequential_composite_b",
    ),
    _case(
        "LRPSequential",
        {
            **{"first_layer_rule_name": "signmu", "mu": 0.5, "stdfactor": 0.5},
            **{"middle_layer_rule_name": "stdxepsilon", "last_layer_rule_name": "epsilon_0_5_std_x"},
        },
        "lrpsign_epsilon_0_5_std_x_mu_0_5",
    ),
    _case("BoundedLRPAnalyzer", {}, "zblrp_epsilon", {"low": 0.0, "high": 1.0, "epsilon": 1e-6}),
    _case("BoundedLRPAnalyzer", {"low": -1, "high": 2, "rule_name": "zplus"}, "zblrp_z_plus", {"low": -1, "high": 2}),
    _case("BoundedLRPAnalyzer", {"rule_name": "alphabeta"}, "zblrp_alpha_1_beta_0", {"low": 0.0, "high": 1.0}),
    _case("LRPStdxEpsilonAnalyzer", {}, "lrp_epsilon_0_25_std_x"),
    _case("LRPStdxEpsilonAnalyzer", {"stdfactor": 2}, "lrp_epsilon_2_std_x"),
    _case(
        *("LRPStdxEpsilonAnalyzer", {"bias": False}, "lrp"),
        {"rule": "StdxEpsilon", "stdfactor": 0.25, "bias": False},
    ),
    _case("DirectLRPStdxEpsilonAnalyzer", {}, "lrp_epsilon_1_std_x"),
    _case("DirectLRPStdxEpsilonAnalyzer", {"stdfactor": 3}, "lrp_epsilon_3_std_x"),
    _case("DeepTaylorAnalyzer", {}, "deep_taylor"),
    _case("DeepLiftAnalyzer", {}, "deep_lift"),
    _case("DeepLiftAnalyzer", {"baseline_type": "white"}, "deep_lift", {"baseline": 1.0}),
]


@pytest.mark.parametrize("case", CASES)
def test_analyzer_is_explain(case: Case, model: nn.Module, x: Tensor) -> None:
    name, options, method, parameters, call = case
    kept = x.clone()
    result = getattr(sx, name)(model, **options).analyze(x, TARGETS, **call)
    same(result, sx.explain(model, x, method, TARGETS, **parameters))
    assert torch.equal(x, kept)


def test_every_analyzer_has_a_case() -> None:
    assert {case.values[0][0] for case in CASES} >= set(ANALYZERS)
    variants = {case.values[0][1].get("variant") for case in CASES if case.values[0][0] == "AdvancedLRPAnalyzer"}
    assert variants - {None} == {
        *("epsilon", "zplus", "alpha1beta0", "alpha2beta1", "zbox", "flat", "wsquare", "gamma", "sequential"),
        *("lrpsign", "lrpz", "flatlrp", "w2lrp", "zblrp"),
    }


@pytest.mark.parametrize("name", ANALYZERS)
@pytest.mark.usefixtures("numpys_draws")
def test_no_target_is_the_arg_max(name: str, model: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        top = model(x).argmax(dim=1)
    np.random.seed(0)
    left = getattr(sx, name)(model).analyze(x)
    np.random.seed(0)
    same(left, getattr(sx, name)(model).analyze(x, top))


@pytest.mark.parametrize("name", ANALYZERS)
@pytest.mark.usefixtures("numpys_draws")
def test_train_mode_makes_no_difference(name: str, model: nn.Module, x: Tensor) -> None:
    analyzer = getattr(sx, name)
    layers = list(model.children())
    noisy = nn.Sequential(*layers[:9], nn.Dropout(), *layers[9:])
    np.random.seed(0)
    plain = analyzer(model).analyze(x, TARGETS)
    np.random.seed(0)
    same(analyzer(noisy).analyze(x, TARGETS), plain)
    assert noisy[9].training


def test_sequential_variant_takes_another_epsilon(model: nn.Module, x: Tensor) -> None:
    result = sx.LRPSequential(model, "z", variant="B", epsilon=0.5).analyze(x, TARGETS)
    with sx.lrpz_sequential_composite_b(0.5).context(model):
        point = x.clone().requires_grad_()
        logits = model(point)
        start = logits.detach() * nn.functional.one_hot(torch.tensor(TARGETS), logits.shape[1])
        (expected,) = torch.autograd.grad(logits, point, start)
    same(result, expected.numpy())


@pytest.mark.parametrize(("letter", "name"), [("A", "sequential_composite_a"), ("B", "sequential_composite_b")])
@pytest.mark.parametrize("prefix", ["", "lrp.", "lrp_"])
def test_sequential_variant_by_name(letter: str, name: str, prefix: str, model: nn.Module, x: Tensor) -> None:
    expected = sx.LRPSequential(model, variant=letter).analyze(x, TARGETS)
    same(sx.LRPSequential(model, variant=prefix + name).analyze(x, TARGETS), expected)


def test_grad_cam_takes_a_layer_and_series(model: nn.Module, x: Tensor) -> None:
    same(sx.GradCAMAnalyzer(model, model[2]).analyze(x), sx.explain(model, x, "grad_cam", target_layer=model[2]))
    same(sx.GradCAMAnalyzer(model, "2").analyze(x), sx.explain(model, x, "grad_cam", target_layer="2"))
    series = series_net()
    t = torch.arange(20, dtype=torch.float64).sin().reshape(1, 2, 10)
    same(sx.GradCAMAnalyzer(series).analyze(t, 2), sx.explain(series, t, "grad_cam_timeseries", 2))


@pytest.mark.parametrize("analyzer", [sx.IntegratedGradientsAnalyzer, sx.DeepLiftAnalyzer])
@pytest.mark.usefixtures("numpys_draws")
def test_gaussian_baseline_is_drawn_as_noise_is(analyzer: Any, model: nn.Module, x: Tensor) -> None:
    one = analyzer(model, baseline_type="gaussian")
    np.random.seed(1)
    first, other = one.analyze(x, 0), one.analyze(x, 0)
    np.random.seed(1)
    noise = np.moveaxis(np.stack([np.random.normal(0, 0.1, (8, 6, 3)) for _ in x]), -1, 1)
    same(first, analyzer(model).analyze(x, 0, baseline=noise))
    assert np.abs(first - other).max() > 0


REFUSED: list[tuple[Callable[[nn.Module], Any], type[Exception], str]] = [
    (lambda m: sx.AdvancedLRPAnalyzer(m, "epsilonn"), ValueError, "'epsilon'"),
    (lambda m: sx.AdvancedLRPAnalyzer(m, "w2lrp", subvariant="sequential_composit_a"), ValueError, "composite_a"),
    (lambda m: sx.AdvancedLRPAnalyzer(m, "flat", epsilon=0.1, gamma=1), TypeError, "gamma"),
    (lambda m: sx.AdvancedLRPAnalyzer(m, "zplus", epsilon=0.1), TypeError, "epsilon"),
    (lambda m: sx.LRPAnalyzer(m, "zpluss"), ValueError, "lrp_z_plus"),
    (lambda m: sx.LRPAnalyzer(m, "zplus", epsilon=0.1), TypeError, "epsilon"),
    (lambda m: sx.LRPAnalyzer(m, "epsilon", alpha=2.0), TypeError, "alpha"),
    (lambda m: sx.BoundedLRPAnalyzer(m, rule_name="zplu"), ValueError, "unknown method 'zblrp_zplu'"),
    (lambda m: sx.LRPSequential(m, "zbx"), ValueError, "unknown method 'lrp_zbx'"),
    (lambda m: sx.LRPSequential(m, "z_IB"), ValueError, "not one rule"),
    (lambda m: sx.LRPSequential(m, last_layer_rule_name="sequential_composite_a"), ValueError, "not one rule"),
    (lambda m: sx.LRPSequential(m, variant="C"), ValueError, "variant 'C'"),
    (lambda m: sx.LRPSequential(m, variant="A", last_layer_rule_name="flat"), ValueError, "fixes"),
    (lambda m: sx.LRPSequential(m, gama=1), TypeError, "gama"),
    (lambda m: sx.SmoothGradAnalyzer(m, stdev_spread=0.1), ValueError, "noise_level"),
    (lambda m: sx.IntegratedGradientsAnalyzer(m, baseline_type="grey"), ValueError, "baseline_type 'grey'"),
    (lambda m: sx.DeepLiftAnalyzer(m, baseline_type="blak"), ValueError, "'black'"),
    (lambda m: sx.DeepTaylorAnalyzer(m, epsilon=0.1), ValueError, "epsilon=0.1"),
    (lambda _: sx.GradientAnalyzer("gradient"), TypeError, "model must be"),  # type: ignore[arg-type]
    (lambda m: sx.GradientAnalyzer(m).analyze(torch.zeros(1, 3, 8, 6), 0, mu=1), TypeError, "mu"),
    (
        lambda m: sx.SmoothGradAnalyzer(m).analyze(torch.zeros(1, 3, 8, 6), num_samples=1, samples=2),
        TypeError,
        "samples",
    ),
    (lambda m: sx.LRPAnalyzer(m, "alphabeta", alpha=2.0).analyze(torch.zeros(1, 3, 8, 6)), ValueError, "alpha"),
    (lambda _: sx.FlatHook(epsilon=-0.1), ValueError, "greater than 0"),
    (lambda _: sx.WSquareRule(epsilon=0), ValueError, "denominator of 0"),
    (lambda _: sx.LrpBaseHook().register(nn.Linear(2, 2)), NotImplementedError, "LrpBaseHook is abstract: a subclass"),
    (lambda _: sx.lrp_composite("Z", sx.LrpBaseHook), NotImplementedError, "LrpBaseHook is abstract: a subclass"),
    (lambda _: sx.EpsilonHook(0.0), ValueError, "greater than 0"),
    (lambda _: sx.SignEpsilonHook(mu=0.5), ValueError, "sign_mu"),
    (lambda _: sx.SignEpsilonHook(input_layer_rule="sgn"), ValueError, "'sign'"),
    (lambda _: sx.SignEpsilonHook(stdfactor=-1.0), ValueError, "negative"),
    (lambda _: sx.lrpsign_epsilon(epsilon=-1.0), ValueError, "negative"),
    (lambda _: sx.lrpsign_epsilon(0.1, mu=0.5), ValueError, "sign_mu"),
    (lambda _: sx.alphabeta_composite(1.0, 1.0), ValueError, "alpha - beta"),
    (lambda _: sx.zbox_composite(1.0, 1.0), ValueError, "low"),
    (lambda _: sx.lrp_composite("Epsilom", "Z"), ValueError, "'Epsilon'"),
    (lambda _: sx.lrp_composite(zennit.rules.Epsilon, "Z"), TypeError, "signxai_torch"),
    (lambda _: sx.lrp_composite(rules.Z(), "Z", first_layer_params={"bias": False}), TypeError, "finished"),
    (lambda _: sx.lrp_composite("Z", "Z", default_params={"epsilon": 1}), TypeError, "epsilon"),
    (lambda _: sx.lrp_composite("Z", "Z", last_layer_params={"epsilon": 1}), TypeError, "last_layer_rule"),
    (lambda _: choose("x", None, {"a": 1}), ValueError, "None"),
]


@pytest.mark.parametrize(("call", "error", "said"), REFUSED)
def test_refuses(call: Callable[[nn.Module], Any], error: type[Exception], said: str, model: nn.Module) -> None:
    with pytest.raises(error, match=said):
        call(model)
