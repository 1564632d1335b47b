"""Scripts of SIGN-XAI, signxai2, captum and Quantus run with another import, and their maps are those of `explain`."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import signxai_torch
from signxai_torch import explain, signxai, signxai2
from signxai_torch.methods.grammar import UnknownMethodError
from tests.signxai_torch.published import dense_net, images, series_net, vgg_like

X = images()
MODEL = vgg_like()
KERAS = np.moveaxis(X.numpy(), 1, -1)
"""The same pictures as Keras has them."""


def there(method: str, target: Any = None, **params: Any) -> np.ndarray:
    return np.moveaxis(explain(MODEL, X, method, target, **params), 1, -1)


# --- SIGN-XAI --------------------------------------------------------------------------------------------------------


def test_a_script_of_sign_xai_runs():
    from signxai_torch.published.signxai import (
        aggregate_and_normalize_relevancemap_rgb,
        calculate_relevancemap,
        remove_softmax,
    )

    model = remove_softmax(nn.Sequential(*MODEL, nn.Softmax(dim=1)))
    R = calculate_relevancemap("lrpsign_epsilon_0_25_std_x", KERAS[0], model, neuron_selection=1)
    np.testing.assert_array_equal(R, there("lrpsign_epsilon_0_25_std_x", 1)[0])
    H = aggregate_and_normalize_relevancemap_rgb(R)
    assert H.shape == KERAS.shape[1:3]
    assert np.abs(H).max() == 1


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "grad_cam_timeseries", "gradient_x_sign_mu_0_5", "vargrad"])
def test_a_wrapper_is_a_function_of_its_name(method):
    model, options = (series_net(), {}) if "timeseries" in method else (MODEL, {})
    x = torch.randn(1, 2, 10, dtype=torch.float64) if "timeseries" in method else X[:1]
    if method == "vargrad":
        options = {"seed": 2}
    expected = np.moveaxis(explain(model, x, method, **options), 1, -1)[0]
    wrapper = getattr(signxai, method)
    given = np.moveaxis(x.numpy(), 1, -1)[0]
    np.testing.assert_array_equal(wrapper(model, given, **options), expected)
    np.testing.assert_array_equal(wrapper(given, model, **options), expected)
    assert wrapper.__name__ == method
    assert method in dir(signxai)


def test_several_inputs_and_batches():
    expected = there("lrp_z", 2)
    np.testing.assert_array_equal(signxai.calculate_relevancemaps("lrp_z", KERAS, MODEL, neuron_selection=2), expected)
    batch = signxai.calculate_relevancemap("lrp_z", KERAS, MODEL, batchmode=True, neuron_selection=2)
    np.testing.assert_array_equal(batch, expected)
    arg_max = signxai.calculate_relevancemap("lrp_z", KERAS, MODEL, batchmode=True, neuron_selection="max_activation")
    np.testing.assert_array_equal(arg_max, there("lrp_z"))


@pytest.mark.parametrize(
    ("rule", "name"), [("SIGN", "lrpsign_z"), ("Z", "lrpz_z"), ("Flat", "flatlrp_z"), ("WSquare", "w2lrp_z")]
)
def test_an_input_layer_rule_is_the_prefix_of_the_name(rule, name):
    made = signxai.calculate_relevancemap("lrp_z", KERAS[0], MODEL, input_layer_rule=rule)
    np.testing.assert_array_equal(made, there(name)[0])
    again = signxai.calculate_relevancemap(name, KERAS[0], MODEL, input_layer_rule=rule)
    np.testing.assert_array_equal(again, there(name)[0])
    with pytest.raises(ValueError, match="takes no input_layer_rule"):
        signxai.calculate_relevancemap("gradient", KERAS[0], MODEL, input_layer_rule=rule)
    with pytest.raises(ValueError, match="must be one of 'SIGN'"):
        signxai.calculate_relevancemap("lrp_z", KERAS[0], MODEL, input_layer_rule=rule + "x")


def test_rules_with_numbers_on_the_input_layer():
    made = signxai.lrp_epsilon_0_1(MODEL, KERAS[0], input_layer_rule="SIGNmu", mu=0.5)
    np.testing.assert_array_equal(made, there("lrpsign_epsilon_0_1_mu_0_5")[0])
    made = signxai.lrp_z(MODEL, KERAS[0], input_layer_rule=(-2, 3))
    np.testing.assert_array_equal(made, there("zblrp_z", low=-2.0, high=3.0)[0])


def test_what_comes_by_place():
    made = signxai.gradient_x_sign_mu(MODEL, KERAS, 0.5, True)
    np.testing.assert_array_equal(made, there("gradient_x_sign_mu_0_5"))
    with pytest.raises(TypeError, match="by place"):
        signxai.gradient(MODEL, KERAS[0], 0.5)


def test_arrays_among_the_options_are_held_like_the_input():
    start = np.random.default_rng(3).normal(size=KERAS[0].shape)
    made = signxai.integrated_gradients(MODEL, KERAS[0], reference_inputs=start)
    baseline = torch.from_numpy(np.moveaxis(start, -1, 0).copy())[None]
    np.testing.assert_array_equal(made, np.moveaxis(explain(MODEL, X[:1], "integrated_gradients", baseline=baseline), 1,
                                                    -1)[0])  # fmt: skip
    per_channel = np.array([0.0, 1.0, 2.0])
    made = signxai.integrated_gradients(MODEL, KERAS, batchmode=True, reference_inputs=per_channel)
    baseline = torch.from_numpy(per_channel).reshape(3, 1, 1).expand(X.shape).clone()
    np.testing.assert_array_equal(made, there("integrated_gradients", baseline=baseline))


def test_slips_are_told():
    with pytest.raises(TypeError, match="batchmode must be True or False"):
        signxai.lrp_z(MODEL, KERAS, batchmode="False")
    with pytest.raises(TypeError, match="channels last"):
        signxai.lrp_z(MODEL, 3.0)
    with pytest.raises(TypeError, match="real numbers"):
        signxai.lrp_z(MODEL, KERAS[0] + 1j)
    with pytest.raises(TypeError, match="given already"):
        signxai.grad_cam(MODEL, KERAS[0], last_conv="0", last_conv_layer_name="2")


def test_an_analyzer_by_its_name():
    made = signxai.calculate_explanation_innvestigate(MODEL, KERAS[0], method="lrp.epsilon", epsilon=0.1)
    np.testing.assert_array_equal(made, there("lrp_epsilon_0_1")[0])
    made = signxai.calculate_explanation_innvestigate(MODEL, KERAS[0], "smoothgrad", augment_by_n=4, noise_scale=0.1,
                                                      seed=1)  # fmt: skip
    np.testing.assert_array_equal(made, there("smoothgrad", samples=4, noise_scale=0.1, seed=1)[0])
    made = signxai.calculate_explanation_innvestigate(MODEL, KERAS[0], "integrated_gradients", reference_inputs=None)
    np.testing.assert_array_equal(made, there("integrated_gradients", steps=16)[0])  # the analyzer's own default
    made = signxai.calculate_explanation_innvestigate(MODEL, KERAS[0], "smoothgrad", seed=1)
    np.testing.assert_array_equal(made, there("smoothgrad", samples=16, noise_scale=1.0, seed=1)[0])
    with pytest.raises(ValueError, match="needs rule="):
        signxai.calculate_explanation_innvestigate(MODEL, KERAS[0], "lrp")


def test_features_have_no_channels():
    model, x = dense_net(), torch.randn(1, 20, dtype=torch.float64)
    made = signxai.calculate_relevancemap("lrp_z", x[0].numpy(), model)
    np.testing.assert_array_equal(made, explain(model, x, "lrp_z")[0])


def test_what_is_no_model_or_no_method_is_said():
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module"):
        signxai.calculate_relevancemap("lrp_z", MODEL, KERAS[0])
    with pytest.raises(UnknownMethodError, match="Nearest"):
        signxai.calculate_relevancemap("lrp_zz", KERAS[0], MODEL)
    with pytest.raises(TypeError, match="channels last"):
        signxai.calculate_relevancemap("lrp_z", X[0], MODEL)
    with pytest.raises(AttributeError, match="Nearest"):
        _ = signxai.lrp_zz
    with pytest.raises(ValueError, match="max_activation"):
        signxai.calculate_relevancemap("lrp_z", KERAS[0], MODEL, neuron_selection="all")


class Gated(nn.Module):
    """Computes its softmax in the middle, and keeps it last."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.out, self.softmax = nn.Linear(6, 6), nn.Linear(6, 4), nn.Softmax(-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.softmax(self.query(x)) * x)


def test_an_activation_at_the_end_is_taken_off():
    body = vgg_like()
    for last in (nn.Softmax(dim=1), nn.Sigmoid()):
        model = nn.Sequential(body, last)
        torch.testing.assert_close(signxai.remove_softmax(model)(X), body(X))
        torch.testing.assert_close(signxai.remove_softmax(nn.Sequential(nn.Identity(), model))(X), body(X))
        assert model[1] is last
    assert signxai.remove_softmax(body) is body
    for inner in (Gated(), nn.Sequential(nn.Linear(6, 6), nn.Softmax(-1), nn.Linear(6, 4))):
        with pytest.raises(ValueError, match="cannot be seen from the outside"):
            signxai.remove_softmax(inner)


def test_heatmaps_lie_within_one():
    np.testing.assert_array_equal(signxai.normalize_heatmap(np.array([[2.0, -4.0]])), [[0.5, -1.0]])
    np.testing.assert_array_equal(signxai.normalize_heatmap(np.zeros((2, 2))), np.zeros((2, 2)))


def test_a_picture_is_made_ready_for_vgg16(tmp_path: Path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (10, 20), (1, 2, 3)).save(tmp_path / "x.png")
    picture, x = signxai.load_image(tmp_path / "x.png", expand_dims=True)
    assert picture.size == (224, 224)
    assert x.shape == (1, 224, 224, 3)
    np.testing.assert_allclose(x[0, 0, 0], np.array([3 - 103.939, 2 - 116.779, 1 - 123.68], np.float32), rtol=1e-6)


# --- signxai2 --------------------------------------------------------------------------------------------------------


def test_a_script_of_signxai2_runs():
    from signxai_torch.published.signxai2 import explain as of_signxai2

    made = of_signxai2(MODEL, X, method_name="gradient", target_class=3, framework="pytorch")
    np.testing.assert_array_equal(made, explain(MODEL, X, "gradient", 3))
    made = of_signxai2(MODEL, X[0].numpy(), "lrp_epsilon", 1, epsilon=0.1)
    np.testing.assert_array_equal(made, explain(MODEL, X[:1], "lrp_epsilon_0_1", 1)[0])


@pytest.mark.parametrize(
    ("name", "given", "method", "params"),
    [
        ("smoothgrad_noise_0_3_samples_5", {"seed": 1}, "smoothgrad", {"noise_scale": 0.3, "samples": 5, "seed": 1}),
        ("integrated_gradients_steps_10", {}, "integrated_gradients", {"steps": 10}),
        ("smoothgrad", {"noise_level": 0.3, "num_samples": 5, "seed": 1}, "smoothgrad",
         {"noise_scale": 0.3, "samples": 5, "seed": 1}),
        ("gradients", {}, "gradient", {}),
        ("gradcam", {"layer_name": "0"}, "grad_cam", {"target_layer": "0"}),
        ("deeplift", {}, "deep_lift", {}),
        ("integratedgradients", {"baseline": None}, "integrated_gradients", {}),
        ("lrp_epsilon_0_1", {}, "lrp_epsilon_0_1", {}),
    ],
)  # fmt: skip
def test_other_names_and_parameters_in_names(name, given, method, params):
    made = signxai2.explain(MODEL, X, name, 1, **given)
    np.testing.assert_array_equal(made, explain(MODEL, X, method, 1, **params))


def test_what_signxai2_tells_of_methods():
    assert set(signxai2.list_methods("pytorch")) == {"pytorch"}
    assert signxai2.list_methods()["pytorch"] == sorted(signxai_torch.list_methods())
    about = signxai2.get_method_info("smoothgrad_noise_0_3_samples_5")
    assert about["pytorch"]["parameters"] == {"samples": 5, "noise_scale": 0.3}
    with pytest.raises(ValueError, match="converted first"):
        signxai2.explain(MODEL, X, "gradient", framework="tensorflow")
    with pytest.raises(UnknownMethodError):
        signxai2.get_method_info("nothing")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("smoothgrad_samples_10_5", ValueError),
        ("smoothgrad_noise_0_3_noise_0_5", ValueError),
        ("smoothgrad_noise_03", UnknownMethodError),
        (3, TypeError),
    ],
)
def test_numbers_in_names_are_not_rounded(name, error):
    with pytest.raises(error):
        signxai2.explain(MODEL, X, name)


def test_a_parameter_is_given_once():
    with pytest.raises(TypeError, match="in the name"):
        signxai2.explain(MODEL, X, "smoothgrad_noise_0_3_samples_5", num_samples=6)
    with pytest.raises(TypeError, match="the order is"):
        signxai2.calculate_relevancemap("gradient", X, MODEL)


def test_presets_are_settings():
    made = signxai2.explain_with_preset(MODEL, X, "smoothgrad", "fast", target_class=1, seed=1)
    np.testing.assert_array_equal(made, explain(MODEL, X, "smoothgrad", 1, samples=10, noise_scale=0.15, seed=1))
    made = signxai2.explain_with_preset(MODEL, X, "smoothgrad", "fast", target_class=1, seed=1, samples=3)
    np.testing.assert_array_equal(made, explain(MODEL, X, "smoothgrad", 1, samples=3, noise_scale=0.15, seed=1))
    with pytest.raises(ValueError, match="nearest"):
        signxai2.explain_with_preset(MODEL, X, "gradient", "fas")


# --- captum and Quantus ----------------------------------------------------------------------------------------------


def test_captum_s_form():
    attribution = signxai_torch.Attribution(MODEL, "integrated_gradients", n_steps=10)
    made = attribution.attribute(X, target=1)
    assert isinstance(made, torch.Tensor)
    np.testing.assert_array_equal(made, explain(MODEL, X, "integrated_gradients", 1, steps=10))
    again = attribution.attribute(X, 1, baselines=0.5, n_steps=5)
    np.testing.assert_array_equal(again, explain(MODEL, X, "integrated_gradients", 1, steps=5, baseline=0.5))
    pair = nn.Bilinear(4, 5, 3)
    first, second = signxai_torch.Attribution(pair, "gradient").attribute((torch.ones(2, 4), torch.ones(2, 5)), 0)
    assert (first.shape, second.shape) == ((2, 4), (2, 5))
    pair_of = namedtuple("pair_of", "one two")
    made = signxai_torch.Attribution(pair, "gradient").attribute(pair_of(torch.ones(2, 4), torch.ones(2, 5)), 0)
    assert isinstance(made, pair_of)
    several = signxai_torch.Attribution(MODEL, "smoothgrad", num_samples=3, seed=1)
    np.testing.assert_array_equal(
        several.attribute(X, 1, samples=2), explain(MODEL, X, "smoothgrad", 1, samples=2, seed=1)
    )
    with pytest.raises(TypeError, match="no parameter of a method"):
        signxai_torch.Attribution(MODEL, "gradient", target=1)
    with pytest.raises(UnknownMethodError):
        signxai_torch.Attribution(MODEL, "nothing")


def test_quantus_s_form():
    targets = np.array([1, 2])
    made = signxai_torch.explain_func(
        model=MODEL, inputs=X.numpy()[:2], targets=targets, device="cpu", method="lrp_z", img_size=8, nr_channels=3
    )
    np.testing.assert_array_equal(made, explain(MODEL, X[:2], "lrp_z", [1, 2]))
    flipped = X.numpy()[:2, ::-1].astype(">f8")
    made = signxai_torch.explain_func(model=MODEL, inputs=flipped, targets=targets, method="lrp_z")
    np.testing.assert_array_equal(made, explain(MODEL, X[:2].flip(1), "lrp_z", [1, 2]))
    for wrong in ("wrong", "abs"):
        with pytest.raises(TypeError, match="takes no parameter"):
            signxai_torch.explain_func(model=MODEL, inputs=X, targets=targets, **{wrong: True})


def test_no_baseline_is_that_of_zeros():
    for method in ("integrated_gradients", "deep_lift", "occlusion"):
        np.testing.assert_array_equal(
            explain(MODEL, X[:1], method, 1, baseline=None), explain(MODEL, X[:1], method, 1, baseline=0.0)
        )
