"""Grad-CAM: resampling as the reference's libraries do it, to the bit, and the maps around it."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.interpolate import interp1d
from torch import nn

from signxai_torch import explain, grad_cam_layer
from signxai_torch.families.cam_maps import NoConvolutionError
from signxai_torch.families.resample import bicubic_8bit, linear
from tests.signxai_torch.nets import cnn, curves, mlp, pictures, randomized, series

sizes = st.integers(1, 24)


def pillow(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


@given(arrays.arrays(np.uint8, st.tuples(sizes, sizes)), st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_bicubic_enlarges_as_pillow_does_to_the_bit(image, taller, wider):
    """What Grad-CAM needs: a feature map is never larger than the input."""
    height, width = image.shape[0] + taller, image.shape[1] + wider
    assert np.array_equal(bicubic_8bit(image, height, width), pillow(image, height, width))


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow before 13 orders its passes otherwise")
@given(arrays.arrays(np.uint8, st.tuples(sizes, sizes)), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_bicubic_shrinks_as_pillow_does_up_to_the_order_of_the_passes(image, height, width):
    """Where one size shrinks and the other grows, the shrinking pass goes first; where both shrink, it depends."""
    expected, found = pillow(image, height, width), bicubic_8bit(image, height, width)
    both = height < image.shape[0] and width < image.shape[1]
    vertical_first = bicubic_8bit(bicubic_8bit(image, height, image.shape[1]), height, width)
    assert np.array_equal(found, expected) or (both and np.array_equal(vertical_first, expected))


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


@pytest.mark.parametrize("image", [np.zeros((3, 3)), np.zeros((3, 3, 3)), np.zeros(3, np.uint8)])
def test_bicubic_takes_8_bit_images(image):
    with pytest.raises(ValueError, match="expected uint8"):
        bicubic_8bit(image, 4, 4)


def test_bicubic_resizes_each_image_of_a_batch():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4)).astype(np.uint8)
    assert np.array_equal(bicubic_8bit(images, 9, 11), [pillow(image, 9, 11) for image in images])


@given(arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(-10, 10)), st.integers(1, 100))
@settings(max_examples=150, deadline=None)
def test_linear_is_scipys(values, length):
    grid = np.linspace(0, len(values) - 1, num=length)
    expected = interp1d(np.arange(len(values)), values)(grid)
    assert linear(values, length) == pytest.approx(expected, rel=1e-13, abs=1e-13)


def by_hand(model: nn.Sequential, x: torch.Tensor, target: int, layer: int, end: int | None = None) -> np.ndarray:
    """relu(sum_c w_c A_c) of one sample; A is what leaves the ReLU behind the convolution, or the module `end - 1`."""
    end = layer + 2 if end is None else end
    A = model[:end](x).detach().requires_grad_()
    model[end:](A)[0, target].backward()
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


def test_a_module_stands_for_its_own_output():
    """A name stands for a layer as Keras has them, activation included."""
    model, x = cnn(), pictures()
    assert np.array_equal(
        explain(model, x, "grad_cam", target_layer=model[1]), explain(model, x, "grad_cam", target_layer="0")
    )
    bare = explain(model, x, "grad_cam", target_layer=model[0])
    for index, one in enumerate(x):
        heat = by_hand(model, one[None], int(model(one[None]).argmax()), layer=-1, end=1)
        scaled = (heat - heat.min()) / (heat / heat.max() - (heat / heat.max()).min()).max() / heat.max()
        assert np.array_equal(bare[index, 0], pillow((scaled * 255).astype(np.uint8), 8, 6))


def with_ends(**ends: str) -> nn.Module:
    model = cnn()
    model.layer_outputs = {name.removeprefix("_"): module.removeprefix("_") for name, module in ends.items()}
    return model


@pytest.mark.parametrize("method", ["grad_cam", "guided_grad_cam"])
def test_a_model_may_say_where_its_layers_end(method):
    x, plain = pictures(), cnn()
    for ends, end in ((with_ends(_2="_2"), 2), (with_ends(_2="_3", conv="_3"), 3)):
        expected = explain(plain, x, method, target_layer=plain[end])
        for named in ("2", *(["conv"] if end == 3 else [])):
            assert np.array_equal(explain(ends, x, method, target_layer=named), expected)
        # Without a name it is what the head reads, whatever layers there are.
        assert np.array_equal(explain(ends, x, method, target_layer=None), explain(plain, x, method, target_layer=None))


def test_only_one_activation_belongs_to_a_layer():
    twice = nn.Sequential(*cnn()[:4], nn.ELU(), *cnn()[4:])
    x = pictures()
    assert np.array_equal(explain(twice, x, "grad_cam"), explain(twice, x, "grad_cam", target_layer=twice[3]))


def test_the_size_of_the_map():
    model, x = cnn(), pictures()
    plain = explain(model, x, "grad_cam")
    assert np.array_equal(explain(model, x, "grad_cam", size=(8, 6)), plain)
    heat = explain(model, x, "grad_cam", size=(8, 6))[:, :1]  # as large as the convolution's output: not resized
    swapped = explain(model, x, "grad_cam", size=(16, 9))
    assert swapped.shape == (3, 2, 16, 9)
    for one, found in zip(heat, swapped, strict=True):
        assert np.array_equal(found[0], pillow(one[0].astype(np.uint8), 16, 9))


@pytest.mark.parametrize(
    ("method", "size", "words"),
    [("grad_cam", (0, 3), "height, width"), ("grad_cam", 7, "not 7"), ("grad_cam", (3, 4, 5), "height, width"),
     ("grad_cam", (3.5, 4), "height, width"), ("grad_cam_x_input", (4, 4), "leave out size=")],
)  # fmt: skip
def test_sizes_that_make_no_map(method, size, words):
    with pytest.raises(ValueError, match=words):
        explain(cnn(), pictures(), method, size=size)


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


class Unused(nn.ModuleList):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self[0](x)


def unused() -> nn.Module:
    return Unused([cnn(), nn.Conv2d(2, 4, 3).double()])


def ends_in_1d() -> nn.Module:
    return randomized(
        nn.Sequential(nn.Conv2d(2, 4, 1), nn.Flatten(2), nn.Conv1d(4, 3, 3), nn.Flatten(), nn.Linear(138, 4))
    )


class Aside(nn.Module):
    """A convolution whose output nothing reads, or that sees a constant."""

    def __init__(self, constant: bool) -> None:
        super().__init__()
        self.net, self.conv, self.constant = mlp(), nn.Conv2d(2, 4, 3).double(), constant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        aside = self.conv(torch.ones_like(x) if self.constant else x)
        return self.net(x) + (aside.sum() if self.constant else 0)


def off_the_path() -> nn.Module:
    return Aside(constant=False)


def of_a_constant() -> nn.Module:
    return Aside(constant=True)


@pytest.mark.parametrize(
    ("build", "method", "given", "words"),
    [
        (mlp, "grad_cam", {}, "Grad-CAM needs a convolution, and the model has none"),
        (cnn, "grad_cam", {"target_layer": "conv"}, "no layer 'conv'; its convolutions are 0, 2"),
        (cnn, "grad_cam_VGG16ILSVRC", {}, "no layer 'block5_conv3'"),
        (mlp, "guided_grad_cam_MNISTCNN", {}, "no layer 'conv2d_1'; its convolutions are none"),
        (
            cnn,
            "grad_cam",
            {"target_layer": ""},
            "must be a layer's name or a module, not ''; its convolutions are 0, 2",
        ),
        (cnn, "grad_cam", {"target_layer": 2}, "must be a layer's name or a module, not 2"),
        (cnn, "grad_cam", {"target_layer": nn.Conv2d(2, 4, 3)}, "a Conv2d that the model has not; its convolutions"),
        (cnn, "grad_cam", {"target_layer": "6"}, r"layer '6' \(Linear\) gives \(3, 7\), so name an earlier"),
        (cnn, "guided_grad_cam", {"target_layer": "5"}, r"layer '5' \(Flatten\) gives \(3, 48\)"),
        (unused, "grad_cam", {"target_layer": "1"}, r"layer '1' \(Conv2d\) does not run"),
        (unused, "guided_grad_cam", {"target_layer": "1"}, r"layer '1' \(Conv2d\) does not run"),
        (
            ends_in_1d,
            "grad_cam",
            {"target_layer": "2"},
            r"needs a layer that gives maps .* \(Conv1d\) gives \(3, 3, 46\)",
        ),
        (off_the_path, "grad_cam", {}, "needs a convolution, and the model has none that its logits depend on"),
        (off_the_path, "grad_cam", {"target_layer": "conv"}, r"the logits do not depend on layer 'conv' \(Conv2d\)"),
        (of_a_constant, "grad_cam", {}, "needs a convolution, and the model has none that its logits depend on"),
        (of_a_constant, "grad_cam", {"target_layer": "conv"}, r"layer 'conv' \(Conv2d\) does not depend on the input"),
    ],
)
def test_layers_that_are_not_there(build, method, given, words):
    with pytest.raises(NoConvolutionError, match=words):
        explain(build(), pictures(), method, **given)


@pytest.mark.parametrize("method", ["grad_cam", "guided_grad_cam"])
def test_layers_that_the_head_does_not_read_are_passed_over(method):
    """A convolution that never runs, and one of series behind one of pictures."""
    expected = explain(cnn(), pictures(), method, target_layer=None)
    assert np.array_equal(explain(unused(), pictures(), method, target_layer=None), expected)
    model = ends_in_1d()
    assert grad_cam_layer(model, pictures()).startswith("conv2d in 0")
    assert explain(model, pictures(), method, target_layer=None).any()


def test_pictures_and_series_have_methods_of_their_own():
    with pytest.raises(ValueError, match=r"grad_cam needs images .* see grad_cam_timeseries"):
        explain(series(), curves(), "grad_cam")
    with pytest.raises(ValueError, match=r"grad_cam_timeseries needs series .* see grad_cam"):
        explain(cnn(), pictures(), "grad_cam_timeseries")
