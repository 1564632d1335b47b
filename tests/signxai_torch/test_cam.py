"""Grad-CAM: resampling as the reference's libraries do it, to the bit, and the maps around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.interpolate import interp1d
from torch import nn

from signxai_torch import explain
from signxai_torch.cam import NoConvolutionError
from signxai_torch.resample import bicubic_8bit, linear
from tests.signxai_torch.nets import cnn, curves, mlp, pictures, series

sizes = st.integers(1, 24)


def pillow(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


@given(arrays.arrays(np.uint8, st.tuples(sizes, sizes)), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_bicubic_enlarges_as_pillow_does_to_the_bit(image, taller, wider):
    """What Grad-CAM needs: a feature map is never larger than the input."""
    height, width = image.shape[0] + taller, image.shape[1] + wider
    assert np.array_equal(bicubic_8bit(image, height, width), pillow(image, height, width))


@given(arrays.arrays(np.uint8, st.tuples(sizes, sizes)), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_bicubic_shrinks_as_pillow_does_up_to_the_order_of_the_passes(image, height, width):
    """Pillow 13 may take the vertical pass first where the height shrinks; older ones never do."""
    expected = pillow(image, height, width)
    horizontal_first = bicubic_8bit(image, height, width)
    vertical_first = bicubic_8bit(bicubic_8bit(image, height, image.shape[1]), height, width)
    if height >= image.shape[0]:
        assert np.array_equal(horizontal_first, expected)
    assert np.array_equal(horizontal_first, expected) or np.array_equal(vertical_first, expected)


@pytest.mark.parametrize(
    ("before", "after"),
    [((14, 14), (224, 224)), ((7, 5), (224, 160)), ((3, 40), (40, 3)), ((1, 1), (8, 6)), ((5, 5), (5, 9)),
     ((5, 5), (9, 5)), ((6, 6), (6, 6)), ((9, 5), (3, 5)), ((5, 9), (5, 3))],
)  # fmt: skip
def test_bicubic_on_extreme_values(before, after):
    random = np.random.RandomState(0)
    for image in (
        random.randint(0, 256, before),
        255 * random.randint(0, 2, before),
        np.full(before, 255),
        np.zeros(before),
    ):
        image = image.astype(np.uint8)
        assert np.array_equal(bicubic_8bit(image, *after), pillow(image, *after))


@pytest.mark.parametrize("image", [np.zeros((3, 3)), np.zeros((3, 3, 3), np.uint8), np.zeros(3, np.uint8)])
def test_bicubic_takes_8_bit_images(image):
    with pytest.raises(ValueError, match="expected uint8"):
        bicubic_8bit(image, 4, 4)


@given(arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(-10, 10)), st.integers(1, 100))
@settings(max_examples=150, deadline=None)
def test_linear_is_scipys(values, length):
    grid = np.linspace(0, len(values) - 1, num=length)
    expected = interp1d(np.arange(len(values)), values)(grid)
    assert linear(values, length) == pytest.approx(expected, rel=1e-13, abs=1e-13)


def by_hand(model: nn.Sequential, x: torch.Tensor, target: int, layer: int) -> np.ndarray:
    """relu(sum_c w_c A_c) of one sample; A is what leaves the ReLU behind the convolution."""
    A = model[: layer + 2](x).detach().requires_grad_()
    model[layer + 2 :](A)[0, target].backward()
    slopes, activations = A.grad[0].numpy(), A.detach()[0].numpy()
    return sum(slope.mean() * activation for slope, activation in zip(slopes, activations, strict=True)).clip(min=0)


@pytest.mark.parametrize(("layer", "named"), [(2, None), (2, "2"), (0, "0")])
def test_grad_cam_is_that_of_its_formula(layer, named):
    model, x = cnn(), pictures(4)
    for index, one in enumerate(x):
        for target in range(4):
            heat = by_hand(model, one[None], target, layer)
            found = explain(model, x, "grad_cam", target, target_layer=named)[index]
            expected = np.zeros((8, 6))
            if heat.max() > 0:
                scaled = heat / heat.max()
                scaled = (scaled - scaled.min()) / (scaled - scaled.min()).max()
                expected = pillow((scaled * 255).astype(np.uint8), 8, 6)
            assert np.array_equal(found, np.stack([expected, expected]))


def test_grad_cam_values_are_whole_numbers_and_not_transposed():
    x = pictures()
    found = explain(cnn(), x, "grad_cam")
    assert found.shape == tuple(x.shape)
    assert np.array_equal(found, np.round(found))
    assert found.max() <= 255
    assert found.min() >= 0
    assert found.max() > 200


def test_a_map_without_positive_evidence_is_zero_and_not_nan():
    model, x = cnn(), pictures(1)
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
        model[2].bias.fill_(-1.0)
    found = explain(model, x, "grad_cam")
    assert not found.any()
    assert np.isfinite(found).all()


def test_the_layer_may_be_a_module():
    model, x = cnn(), pictures()
    assert np.array_equal(
        explain(model, x, "grad_cam", target_layer=model[0]), explain(model, x, "grad_cam", target_layer="0")
    )


def test_grad_cam_of_a_series():
    model, x = series(), curves(4)
    for index, one in enumerate(x):
        for target in range(4):
            A = model[:2](one[None]).detach().requires_grad_()
            model[2:](A)[0, target].backward()
            heat = (A.grad[0].mean(1, keepdim=True) * A.detach()[0]).sum(0).numpy()
            if heat.max() <= 0:
                continue
            expected = linear(heat.clip(min=0) / heat.max(), 12)
            found = explain(model, x, "grad_cam_timeseries", target)[index]
            assert found == pytest.approx(np.stack([expected, expected]), rel=1e-12, abs=1e-14)


def test_a_series_map_is_finite():
    model, x = series(), curves(1)
    with torch.no_grad():
        model[0].bias.fill_(-100.0)
    assert np.isfinite(explain(model, x, "grad_cam_timeseries")).all()


def test_guided_grad_cam_is_the_product_of_its_parts():
    model, x = cnn(), pictures()
    point = x.clone().requires_grad_()
    first = model[0](point)
    second = model[2](first.clamp(min=0))
    slope = torch.autograd.grad(second.clamp(min=0).sum(), first, retain_graph=True)[0]
    (guided,) = torch.autograd.grad(first, point, slope.clamp(min=0) * (first > 0))
    found = explain(model, x, "guided_grad_cam_MNISTCNN", target_layer="2")
    expected = explain(model, x, "grad_cam", target_layer="2") * guided.numpy()
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("build", "method", "given", "words"),
    [
        (mlp, "grad_cam", {}, "Grad-CAM needs a convolution, and the model has none"),
        (cnn, "grad_cam", {"target_layer": "conv"}, "no layer 'conv'; its convolutions are 0, 2"),
        (cnn, "grad_cam_VGG16ILSVRC", {}, "no layer 'block5_conv3'"),
        (mlp, "guided_grad_cam_MNISTCNN", {}, "no layer 'conv2d_1'; its convolutions are none"),
    ],
)
def test_layers_that_are_not_there(build, method, given, words):
    with pytest.raises(NoConvolutionError, match=words):
        explain(build(), pictures(), method, **given)


def test_pictures_and_series_have_methods_of_their_own():
    with pytest.raises(ValueError, match=r"grad_cam needs images .* see grad_cam_timeseries"):
        explain(series(), curves(), "grad_cam")
    with pytest.raises(ValueError, match=r"grad_cam_timeseries needs series .* see grad_cam"):
        explain(cnn(), pictures(), "grad_cam_timeseries")
