"""What a user passes in, what comes back, and what must hold whatever the model."""

from __future__ import annotations

import functools
import random
import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import UnknownMethodError, UnusedInputRuleWarning, explain, explain_many, list_methods, parse
from signxai_torch.lrp.arithmetic import sign_mu
from signxai_torch.sweep.parameters import parameters_of
from tests.signxai_torch.nets import cnn, curves, mlp, pictures, randomized, series

SAMPLING = ("smoothgrad", "vargrad", "random")


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@functools.cache
def model_for(method: str) -> nn.Module:
    return series() if method == "grad_cam_timeseries" else cnn()


def input_for(method: str) -> torch.Tensor:
    return curves() if method == "grad_cam_timeseries" else pictures()


def parameters_for(method: str) -> dict:
    """What a listed name leaves to the caller; few samples, for speed."""
    parsed = parse(method)
    given = {"target_layer": None} if "grad_cam" in parsed.family else {}
    if ("x_sign_mu", None) in parsed.modifiers:
        given["mu"] = 0.5
    if parsed.family in SAMPLING:
        given |= {"seed": 7, "samples": 1 if parsed.family == "random" else 3}
    if parsed.family == "integrated_gradients":
        given["steps"] = 5
    return given


# Every listed method.


@pytest.mark.parametrize("method", list_methods())
def test_every_sample_is_explained_as_if_alone(method):
    model, x, given = model_for(method), input_for(method), parameters_for(method)
    together = explain(model, x, method, **given)
    assert together.shape == tuple(x.shape)
    assert together.dtype == np.float64
    assert np.isfinite(together).all()
    for index in range(len(x)):
        alone = explain(model, x[index : index + 1], method, **given)
        assert np.abs(together[index] - alone[0]).max() <= 1e-12 * max(np.abs(alone).max(), 1e-300)


@pytest.mark.parametrize("method", [name for name in list_methods() if parse(name).modifiers == ()])
def test_the_dtype_of_the_input_stays(method):
    model = series().float() if method == "grad_cam_timeseries" else cnn().float()
    found = explain(model, input_for(method).float(), method, **parameters_for(method))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "method", [name for name in list_methods() if name not in ("input", "random", "random_uniform")][::3]
)
def test_the_target_is_what_is_explained(method):
    model, x, given = model_for(method), input_for(method), parameters_for(method)
    best = model(x).argmax(1)
    chosen = explain(model, x, method, target=best, **given)
    assert np.array_equal(chosen, explain(model, x, method, **given))
    other = (best + 1) % 4
    if parse(method).family != "guided_grad_cam":
        assert not np.array_equal(explain(model, x, method, target=other, **given), chosen)


def test_explain_many_equals_explain():
    model, x = cnn(), pictures()
    methods = ["gradient", "lrp_z", "lrpsign_epsilon_0_1_mu_0_5", "guided_backprop_x_sign", "deep_lift", "lrp.flat"]
    for target in (None, 1, [0, 1, 2]):
        many = explain_many(model, x, methods, target)
        assert list(many) == methods
        for name in methods:
            assert np.array_equal(many[name], explain(model, x, name, target))


def test_explain_many_reads_all_names_first():
    calls = []
    model = cnn()
    model.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(UnknownMethodError, match="'gradiant'"):
        explain_many(model, pictures(), ["gradient", "gradiant"])
    assert not calls


# Targets.


@pytest.mark.parametrize(
    "target",
    [
        2,
        [2, 2, 2],
        (2, 2, 2),
        np.int64(2),
        np.array(2),
        np.array([2, 2, 2], np.uint8),
        torch.tensor(2),
        torch.tensor([2, 2, 2]),
    ],
    ids=repr,
)
def test_ways_to_give_a_target(target):
    model, x = cnn(), pictures()
    assert np.array_equal(explain(model, x, "gradient", target), explain(model, x, "gradient", 2))


def test_one_target_per_sample():
    model, x = cnn(), pictures()
    found = explain(model, x, "lrp_epsilon_0_1", [3, 0, 1])
    for index, target in enumerate([3, 0, 1]):
        alone = explain(model, x[index : index + 1], "lrp_epsilon_0_1", target)
        assert distance(found[index], alone[0]) <= 1e-12


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (4, ValueError, "target [4] is out of range: the model has classes 0 to 3"),
        (-1, ValueError, "target [-1] is out of range"),
        ([0, 1], ValueError, "one int per sample (3), not 2 values"),
        ([0], ValueError, "one int per sample (3), not 1 values"),
        ([], (TypeError, ValueError), "target"),
        ([[0, 1, 2]], ValueError, "give one class per sample, and of one-hot labels target.argmax(1)"),
        (1.0, TypeError, "target must be None, an int or one int per sample, not 1.0"),
        ("cat", TypeError, "not 'cat'"),
        ([0, 1, 2.5], TypeError, "not [0, 1, 2.5]"),
        (True, TypeError, "not True"),
        (torch.tensor([0.0, 1.0, 2.0]), TypeError, "target must be"),
        ([0, 1, 7], ValueError, "target [0, 1, 7] is out of range"),
        ([[0], [1, 2], [0]], TypeError, "target must be None, an int or one int per sample, not [[0], [1, 2], [0]]"),
    ],
    ids=repr,
)
def test_wrong_targets(target, error, words):
    with pytest.raises(error, match=re.escape(words)):
        explain(cnn(), pictures(), "lrp_z", target)


class Squeezed(nn.Module):
    def forward(self, x):
        return x.mean((1, 2, 3))


def test_a_model_without_classes():
    with pytest.raises(
        ValueError, match=re.escape("the model must return logits of shape (N, classes), not (3,); give")
    ):
        explain(Squeezed(), pictures(), "gradient")


# Inputs and parameters.


def _with(value: float) -> torch.Tensor:
    x = pictures()
    x[1, 0, 2, 3] = value
    return x


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (_with(float("nan")), ValueError, "x holds NaN or infinite values, the first at index (1, 0, 2, 3)"),
        (_with(float("-inf")), ValueError, "index (1, 0, 2, 3)"),
        (pictures().to(torch.int64), TypeError, "x must be floating point, not torch.int64; use x.float()"),
        (pictures().to(torch.uint8), TypeError, "torch.uint8"),
        (pictures() > 0, TypeError, "torch.bool"),
        (pictures().half(), TypeError, "x must be float32 or float64, not torch.float16"),
        (pictures().bfloat16(), TypeError, "not torch.bfloat16, in which small denominators vanish; use model.float()"),
        (pictures().to(torch.complex128), TypeError, "torch.complex128"),
        (pictures()[:0], ValueError, "x must have a batch axis and at least one value, not shape (0, 2, 8, 6)"),
        (torch.tensor(1.0), ValueError, "shape ()"),
        (torch.zeros(5), ValueError, "shape (5,)"),
        (pictures().numpy(), TypeError, "x must be a torch.Tensor in torch layout, batch first, not ndarray"),
        (pictures().tolist(), TypeError, "not list"),
        (None, TypeError, "not NoneType"),
    ],
)  # fmt: skip
def test_inputs_that_cannot_be_explained(x, error, words):
    for call in (lambda: explain(cnn(), x, "lrp_z"), lambda: explain_many(cnn(), x, ["lrp_z"])):
        with pytest.raises(error, match=re.escape(words)):
            call()


@pytest.mark.parametrize("model", [lambda x: x, None, cnn])
def test_a_model_is_a_module(model):
    with pytest.raises(TypeError, match=re.escape("model must be a torch.nn.Module, not ")):
        explain(model, pictures(), "gradient")


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("gradient", {"steps": 3}, "gradient takes no parameter steps; it takes none"),
        ("gradient_x_sign", {"mu": 0.1}, "takes no parameter mu"),
        ("lrp_epsilon_0_1", {"epsylon": 1.0}, "takes no parameter epsylon; it takes batch_norm, epsilon"),
        ("smoothgrad", {"noise_level": 1, "steps": 2}, "no parameter noise_level, steps; it takes batch_size, noise"),
        ("lrp_z", {"epsilon": 1.0}, "takes no parameter epsilon"),
        ("lrp", {"rule": "Z", "epsilon": 99.0}, "rule='Z' takes no parameter epsilon; it takes batch_norm, bias, rule"),
        ("lrp", {"gamma": 0.3}, "lrp with rule='Z' takes no parameter gamma"),
        ("grad_cam_timeseries", {"size": (3, 4)}, "takes no parameter size"),
    ],
)  # fmt: skip
def test_parameters_that_a_method_does_not_take(method, given, words):
    with pytest.raises(TypeError, match=re.escape(words)):
        explain(cnn(), pictures(), method, **given)


@pytest.mark.parametrize(
    ("method", "given", "words"),
    [
        ("integrated_gradients", {"steps": 1}, "at least 2 steps"),
        ("integrated_gradients", {"grid": "right"}, "grid must be 'both_ends' or 'left'"),
        ("integrated_gradients", {"batch_size": 0}, "batch_size must be at least 1"),
        ("smoothgrad", {"samples": 0}, "samples must be at least 1"),
        ("smoothgrad", {"noise_scale": -1.0}, "noise_scale must not be negative"),
        ("smoothgrad", {"noise": np.zeros((2, 2, 8, 6))}, "noise must have shape (50, 2, 8, 6)"),
        ("occlusion", {"window": 0}, "window and stride must be at least 1"),
        ("lrp_epsilon", {"epsilon": 0.0}, "epsilon must be greater than 0"),
        ("lrp.alpha_beta", {"alpha": 2.0, "beta": 0.0}, "alpha - beta must be 1"),
        ("zblrp_z", {"low": 2.0}, "low must be less than high"),
        ("lrp", {"rule": "Y"}, "unknown rule 'Y'; the rules are Z, Epsilon"),
        ("gradient_x_sign_mu", {}, "gradient_x_sign_mu needs a threshold: mu=0.5"),
        ("grad_cam", {"target_layer": "conv9"}, "the model has no layer 'conv9'"),
        ("smoothgrad", {"samples": 2.7}, "samples must be a whole number, not 2.7"),
        ("smoothgrad", {"samples": True}, "samples must be a whole number, not True"),
        ("smoothgrad", {"samples": None}, "samples must be a whole number, not None"),
        ("smoothgrad", {"batch_size": 1.5}, "batch_size must be a whole number, not 1.5"),
        ("integrated_gradients", {"steps": "9"}, "steps must be a whole number, not '9'"),
        ("occlusion", {"stride": 1.5}, "stride must be a whole number, not 1.5"),
        ("lrp_rule_until_index", {"until_layer_idx": 0.5}, "until_layer_idx must be a whole number, not 0.5"),
        ("smoothgrad", {"noise_scale": float("nan")}, "noise_scale must be a finite number, not nan"),
        ("lrp_epsilon", {"epsilon": float("inf")}, "epsilon must be a finite number, not inf"),
        ("gradient_x_sign_mu", {"mu": float("nan")}, "mu must be a finite number, not nan"),
        ("smoothgrad", {"samples": 1, "noise": np.full((1, 2, 8, 6), np.nan)}, "noise holds NaN"),
        ("deep_lift", {"baseline": np.full((2, 8, 6), np.inf)}, "baseline holds NaN or infinite values"),
        ("integrated_gradients", {"baseline": np.zeros((2, 8))}, "baseline must be a number or fit the shape of x"),
        ("random", {"samples": 3}, "random is one draw: samples must be 1, not 3"),
        ("lrp.alpha_beta", {"alpha": 0.5}, "alpha - beta must be 1 and alpha at least 1"),
        ("lrp.alpha_beta", {"alpha": "3"}, "alpha must be a number, not '3'"),
        ("lrp.alpha_beta", {"beta": None}, "beta must be a number, not None"),
        ("lrp", {"rule": ["Z"]}, "unknown rule ['Z']; the rules are Z, Epsilon"),
    ],
)  # fmt: skip
def test_parameters_out_of_range(method, given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        explain(cnn(), pictures(), method, **given)


def test_a_number_may_be_a_tensor_or_an_array_without_axes():
    model, x = cnn(), pictures()
    expected = explain(model, x, "lrp_epsilon", epsilon=0.25)
    for epsilon in (torch.tensor(0.25), np.array(0.25), np.float32(0.25)):
        assert np.array_equal(explain(model, x, "lrp_epsilon", epsilon=epsilon), expected)
    with pytest.raises(ValueError, match="epsilon must be a number"):
        explain(model, x, "lrp_epsilon", epsilon=torch.tensor([0.25]))
    with pytest.raises(ValueError, match="gradient_x_sign_mu needs a threshold"):
        explain(model, x, "gradient_x_sign_mu", mu=None)


def test_a_parameter_overrides_the_names_own():
    model, x = cnn(), pictures()
    assert np.array_equal(explain(model, x, "lrp_epsilon", epsilon=0.1), explain(model, x, "lrp_epsilon_0_1"))
    assert np.array_equal(explain(model, x, "lrp", rule="Flat"), explain(model, x, "lrp_flat"))
    assert np.array_equal(
        explain(model, x, "lrp.alpha_beta", alpha=1.5, beta=0.5), explain(model, x, "lrp_alpha_1_5_beta_0_5")
    )
    given = {"mu": 0.3, "vlow": -2.0, "vhigh": 0.5}
    expected = explain(model, x, "gradient") * np.where(x.numpy() >= 0.3, 0.5, -2.0)
    assert np.array_equal(explain(model, x, "gradient_x_sign_mu", **given), expected)
    assert parameters_of(parse("smoothgrad"), {"samples": 3}) == {"samples": 3, "noise_scale": 0.2}


def test_alpha_and_beta_follow_from_each_other():
    model, x = cnn(), pictures()
    expected = explain(model, x, "lrp_alpha_3_beta_2")
    for given in ({"alpha": 3}, {"beta": 2.0}, {"alpha": 3.0, "beta": 2.0}):
        assert np.array_equal(explain(model, x, "lrp.alpha_beta", **given), expected)
        assert np.array_equal(explain(model, x, "lrp", rule="AlphaBeta", **given), expected)


def test_whole_numbers_may_come_as_any_type():
    model, x = cnn(), pictures(1)
    expected = explain(model, x, "smoothgrad", samples=3, seed=1)
    for samples in (3.0, np.int64(3), np.float32(3)):
        assert np.array_equal(explain(model, x, "smoothgrad", samples=samples, seed=1), expected)


# Noise.


NOISY = ["smoothgrad", "vargrad", "random", "innvestigate.smoothgrad", "smoothgrad_x_input"]


@pytest.mark.parametrize("method", NOISY)
def test_the_same_seed_gives_the_same_map_and_none_another_each_time(method):
    model, x = cnn(), pictures(1)
    assert np.array_equal(explain(model, x, method, seed=5), explain(model, x, method, seed=5))
    assert not np.array_equal(explain(model, x, method), explain(model, x, method))
    np.random.seed(5)
    first = explain(model, x, method)
    np.random.seed(5)
    assert not np.array_equal(explain(model, x, method), first), "it does not begin where numpy's global one does"


@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("method", [*NOISY, "random_uniform", "integrated_gradients"])
def test_no_global_generator_is_read_or_advanced(method, seed):
    model, x = cnn(), pictures(2)
    more = {} if seed is None or method == "integrated_gradients" else {"seed": seed}
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = random.random(), np.random.normal(size=3).tolist(), torch.rand(3).tolist()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    explain(model, x, method, **more)
    explain_many(model, x, [method], seed=seed)
    assert (random.random(), np.random.normal(size=3).tolist(), torch.rand(3).tolist()) == expected


def test_noise_is_drawn_as_the_reference_draws_it():
    """`samples` draws of a channels-last array, which numpy's global generator gives with that seed."""
    model, x = cnn(), pictures(1)
    found = explain(model, x, "smoothgrad", samples=6, noise_scale=0.3, seed=11)
    np.random.seed(11)
    draws = [np.random.normal(0, 0.3, (1, 8, 6, 2)) for _ in range(6)]
    target = int(model(x).argmax())
    gradients = [
        explain(model, x + torch.as_tensor(noise.transpose(0, 3, 1, 2)), "gradient", target) for noise in draws
    ]
    assert distance(found, np.mean(gradients, 0)) <= 1e-12
    variance = explain(model, x, "vargrad", samples=6, noise_scale=0.3, seed=11)
    assert distance(variance, np.var(gradients, 0)) <= 1e-12
    noise = np.stack([one[0].transpose(2, 0, 1) for one in draws])
    assert distance(explain(model, x, "smoothgrad", samples=6, noise=noise), np.mean(gradients, 0)) <= 1e-12


def test_random_uniform_is_one_map_for_all_and_leaves_the_generator_alone():
    x = pictures()
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    found = explain(cnn(), x, "random_uniform")
    assert np.array_equal(np.random.get_state()[1], before)
    np.random.seed(1)
    expected = np.random.uniform(-1, 1, (8, 6))
    for sample in found:
        for channel in sample:
            assert np.array_equal(channel, expected)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "method", ["smoothgrad", "vargrad", "integrated_gradients", "innvestigate.integrated_gradients"]
)
def test_the_batch_size_does_not_change_a_map(method, batch_size):
    model, x = cnn(), pictures()
    seed = {"seed": 2} if method in SAMPLING else {}
    expected = explain(model, x, method, **seed)
    assert distance(explain(model, x, method, batch_size=batch_size, **seed), expected) <= 1e-12


def test_integrated_gradients_grids():
    model, x = cnn(), pictures(1)
    target = int(model(x).argmax())
    for method, points in (
        ("integrated_gradients", np.linspace(0, 1, 50)),
        ("innvestigate.integrated_gradients", np.arange(64) / 64),
    ):
        gradients = [explain(model, x * point, "gradient", target) for point in points]
        assert distance(explain(model, x, method), x.numpy() * np.mean(gradients, 0)) <= 1e-12
    fine = explain(model, x, "integrated_gradients", steps=4000, baseline=0.25)
    change = model(x)[0, target] - model(torch.full_like(x, 0.25))[0, target]
    assert fine.sum() == pytest.approx(change.item(), rel=1e-2)


# Where relevance starts, and what must hold for it.


def scaled(model: nn.Module, target: int, factor: float) -> nn.Module:
    """The same net with the target's logit multiplied."""
    with torch.no_grad():
        model[-1].weight[target] *= factor
        model[-1].bias[target] *= factor
    return model


@pytest.mark.parametrize("factor", [2.0, 0.25])
@pytest.mark.parametrize(
    ("method", "power"),
    [("gradient", 1), ("input_t_gradient", 1), ("lrp_z", 1), ("lrp_alpha_1_beta_0", 1), ("lrp_flat", 1),
     ("lrp_z_IB", 1), ("guided_backprop", 2), ("deconvnet", 2), ("integrated_gradients", 1), ("deep_lift", 1)],
)  # fmt: skip
def test_how_a_map_grows_with_the_logit(method, power, factor):
    """Heads of one and of the logit differ: guided backpropagation multiplies the logit and its gradient."""
    x = pictures(1)
    target = int(cnn()(x).argmax())
    plain, more = explain(cnn(), x, method, target), explain(scaled(cnn(), target, factor), x, method, target)
    assert distance(more, plain * factor**power) <= 1e-12


def logits(model: nn.Module, x: torch.Tensor) -> np.ndarray:
    return model(x).detach().numpy()


def test_guided_backprop_and_deconvnet_start_from_the_logit():
    """Through layers without a ReLU both are the gradient times the logit."""
    model = randomized(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(72, 4)))
    x = pictures()
    for target in range(4):
        expected = explain(model, x, "gradient", target) * logits(model, x)[:, target, None, None, None]
        for method in ("guided_backprop", "deconvnet"):
            assert distance(explain(model, x, method, target), expected) <= 1e-12


def bias_free(model: nn.Sequential) -> nn.Sequential:
    with torch.no_grad():
        for module in model:
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()
    return model


def test_relevance_starts_from_the_logit_and_is_conserved_without_biases():
    model, x = bias_free(cnn()), pictures()
    for target in range(4):
        for method in ("lrp_z", "lrp_z_IB"):
            total = explain(model, x, method, target).sum(axis=(1, 2, 3))
            assert total == pytest.approx(logits(model, x)[:, target], rel=1e-9)


def test_flat_and_w_square_conserve_the_logit_exactly():
    model, x = cnn(), pictures()
    for method in ("lrp_flat", "lrp_w_square"):
        for target in range(4):
            total = explain(model, x, method, target).sum(axis=(1, 2, 3))
            assert total == pytest.approx(logits(model, x)[:, target], rel=1e-10)


@pytest.mark.parametrize("sign", [1, -1])
def test_deep_taylor_explains_positive_logits_only(sign):
    model, x = cnn(), pictures()
    for target in range(4):
        chosen = logits(model, x)[:, target] * sign > 0
        found = explain(model, x[chosen], "deep_taylor", target) if chosen.any() else np.zeros(1)
        assert (sign > 0) == bool(found.any()) or not chosen.any()


def test_the_bias_free_z_rule_starts_from_the_bias_free_logit():
    """The target is still that of the model's own logits."""
    model = randomized(nn.Sequential(nn.Flatten(), nn.Linear(96, 4)))
    x = pictures()
    target = logits(model, x).argmax(1)
    without = x.flatten(1).numpy() @ model[1].weight.detach().numpy().T
    for method in ("lrp_z_IB", "lrp_epsilon_0_000001_IB"):
        total = explain(model, x, method).sum(axis=(1, 2, 3))
        assert total == pytest.approx(without[np.arange(3), target], rel=1e-5)
    total = explain(model, x, "lrp_alpha_1_beta_0_IB").sum(axis=(1, 2, 3))
    assert total == pytest.approx(logits(model, x).max(1), rel=1e-9)


@pytest.mark.parametrize("build", [cnn, mlp])
def test_lrp_0_is_input_times_gradient_on_relu_and_max_pool_nets_with_biases(build):
    model, x = build(), pictures()
    for target in (None, 0, 1, 2, 3):
        expected = explain(model, x, "input_t_gradient", target)
        assert distance(explain(model, x, "lrp_z", target), expected) <= 1e-11
        signs = np.where(x.numpy() < 0, -1, 1)
        expected = explain(model, x, "gradient", target) * signs
        assert distance(explain(model, x, "lrpsign_z", target), expected) <= 1e-11


def test_equal_methods_are_equal():
    model, x = cnn(), pictures()
    pairs = [
        ("lrp_z_plus", "lrp_alpha_1_beta_0_IB"), ("lrpsign_epsilon_100_mu_0", "lrpsign_epsilon_100"),
        ("lrpz_z", "lrp_z"), ("lrp.z", "lrp_z"), ("lrp", "lrp_z"), ("gradient_x_input", "input_t_gradient"),
        ("gradient.baseline", "gradient"), ("lrp.sequential_preset_a", "lrp_sequential_composite_a"),
        ("lrp_epsilon_0_25_std_x", "lrp_stdxepsilon"), ("lrp_gamma_0_5", "lrp_gamma"),
        ("flatlrp_sequential_composite_b", "lrp.sequential_preset_b_flat"),
    ]  # fmt: skip
    for one, other in pairs:
        assert np.array_equal(explain(model, x, one), explain(model, x, other)), (one, other)
    assert np.array_equal(explain(mlp(), x, "lrp_sequential_composite_a"), explain(mlp(), x, "lrp_epsilon_0_1"))


# Modifiers.


def test_modifiers_multiply_in_the_order_of_the_name():
    model, x = cnn(), pictures()
    base, u = explain(model, x, "lrp_epsilon_0_1"), x.numpy()
    expected = {
        "_x_input": base * u,
        "_x_sign": base * np.where(u < 0, -1, 1),
        "_x_input_x_sign": base * u * np.where(u < 0, -1, 1),
        "_x_sign_mu_0_5": base * np.where(u < 0.5, -1, 1),
        "_x_sign_mu_neg_0_5_x_input": base * np.where(u < -0.5, -1, 1) * u,
    }
    for modifiers, result in expected.items():
        assert np.array_equal(explain(model, x, f"lrp_epsilon_0_1{modifiers}"), result)


@pytest.mark.parametrize("mu", [-5.0, -1.2, -1.0])
def test_a_mu_at_or_below_low_makes_everything_high(mu):
    """The reference assigns low, compares again, and so lifts what it has just lowered."""
    x = torch.tensor([-7.0, -1.1, -1.0, -0.0, 0.0, 3.0], dtype=torch.float64)
    assert torch.equal(sign_mu(x, mu), torch.ones_like(x))
    assert torch.equal(sign_mu(x, mu, low=-10.0), torch.where(x < mu, -10.0, 1.0).double())


def test_sign_mu_edges():
    x = torch.tensor([float("nan"), -0.5, 0.5, -0.0], dtype=torch.float64)
    assert torch.isnan(sign_mu(x, 0.5)[0])
    assert sign_mu(x, 0.5)[1:].tolist() == [-1.0, 1.0, -1.0]
    assert sign_mu(x, 0.0)[1:].tolist() == [-1.0, 1.0, 1.0]
    assert sign_mu(x, None)[1:].tolist() == [-1.0, 1.0, 1.0]
    assert sign_mu(x, None, low=0.0, high=2.0)[1:].tolist() == [0.0, 0.0, 0.0]
    array = torch.tensor([0.0, -0.6, 0.6, -2.0], dtype=torch.float64)
    assert sign_mu(x, array)[1:].tolist() == [1.0, -1.0, 1.0]
    assert sign_mu(torch.ones(2), 0.5).dtype == torch.float32


# The input layer.


def behind(*first: nn.Module, features: int = 96) -> nn.Sequential:
    return randomized(nn.Sequential(*first, nn.Flatten(), nn.Linear(features, 5), nn.ReLU(), nn.Linear(5, 4)))


def unused(model: nn.Module, method: str) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        explain(model, pictures(), method)
    return any(issubclass(one.category, UnusedInputRuleWarning) for one in caught)


@pytest.mark.parametrize(
    "method", ["flatlrp_epsilon_0_1", "lrpsign_epsilon_0_1", "w2lrp_z", "zblrp_z", "lrpz_epsilon_1"]
)
def test_flatten_and_padding_are_looked_through(method):
    plain = [nn.Flatten()]
    padded = [nn.ZeroPad2d(1), nn.Conv2d(2, 2, 3), nn.ReLU()]
    for first in (plain, padded, [nn.ZeroPad2d((0, 1, 0, 1)), nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(2, 2, 3)]):
        assert not unused(behind(*first), method)


def test_the_input_rule_behind_padding_is_the_input_rule():
    """Padding inside the convolution and before it is one and the same layer to flat."""
    outside = behind(nn.ZeroPad2d(1), nn.Conv2d(2, 2, 3), nn.ReLU())
    inside = behind(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU())
    inside.load_state_dict({f"{int(key[0]) - 1}{key[1:]}": value for key, value in outside.state_dict().items()})
    x = pictures()
    assert torch.equal(outside(x), inside(x))
    for method in ("lrpsign_epsilon_0_1", "lrpz_epsilon_0_1"):
        assert distance(explain(outside, x, method), explain(inside, x, method)) <= 1e-12
    # Ones on a border that is part of the input are counted; on a border inside the layer they are not.
    assert distance(explain(outside, x, "flatlrp_epsilon_0_1"), explain(inside, x, "flatlrp_epsilon_0_1")) > 1e-3


@pytest.mark.parametrize(
    "first", [nn.Dropout(0.5), nn.MaxPool2d(2), nn.ReLU(), nn.BatchNorm2d(2)], ids=lambda first: type(first).__name__
)
def test_an_unused_input_rule_is_told(first):
    model = behind(first, features=24 if isinstance(first, nn.MaxPool2d) else 96)
    with pytest.warns(UnusedInputRuleWarning, match="no dense or convolution layer sees the model's input"):
        found = explain(model, pictures(), "flatlrp_epsilon_0_1")
    assert np.array_equal(found, explain(model, pictures(), "lrp_epsilon_0_1"))
    assert not unused(model, "lrp_epsilon_0_1")


def test_a_branch_that_skips_the_first_layer_sees_the_input_too():
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.last = nn.Linear(6, 5), nn.Linear(6, 5), nn.Linear(10, 4)
            self.relu, self.tanh = nn.ReLU(), nn.Tanh()

        def forward(self, x):
            return self.last(torch.cat([self.relu(self.left(x)), self.tanh(self.right(x))], 1))

    model = randomized(Skip())
    x = torch.as_tensor(np.random.RandomState(0).normal(size=(2, 6)))
    found = explain(model, x, "flatlrp_z")
    assert np.allclose(found, found[:, :1]), "flat on both first layers: every input gets the same"


# Until which layer the input rule goes.


def test_the_last_index_of_the_flat_rule():
    model, x = cnn(), pictures()
    name, preset = "lrp.rule_until_index", "lrp.sequential_preset_b_flat_until_idx"
    flat_first = explain(model, x, "flatlrp_sequential_composite_b")
    assert np.array_equal(explain(model, x, name), flat_first)
    assert np.array_equal(explain(model, x, preset), flat_first)
    # Steps of SIGN-XAI: conv 0, conv 1, pool 2, dense 3, dense 4 (activations and Flatten do not count).
    steps = [explain(model, x, name, until_layer_idx=index) for index in range(6)]
    assert np.array_equal(steps[1], steps[2])
    assert np.array_equal(steps[4], steps[5])
    assert np.array_equal(steps[4], explain(model, x, "lrp_flat"))
    for one, other in ((0, 1), (2, 3), (3, 4)):
        assert distance(steps[one], steps[other]) > 1e-3
    # iNNvestigate's index counts the input and Flatten: input 0, conv 1, conv 2, pool 3, Flatten 4, dense 5, dense 6.
    for index, step in ((1, 0), (2, 1), (3, 1), (4, 1), (5, 3), (6, 4)):
        assert np.array_equal(explain(model, x, preset, until_layer_idx=index), steps[step]), index
