"""Grad-CAM of models of several inputs: whose maps it looks at, and which inputs get them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from signxai_torch import explain, explain_many, grad_cam_layer
from tests.signxai_torch.nets import curves, pictures, randomized
from tests.signxai_torch.nets_of_several import Added, Bound, Early, Twins, features, fused, siamese

CAMS = ["grad_cam", "guided_grad_cam", "grad_cam_x_input", "grad_cam_x_sign"]


@pytest.mark.parametrize("method", [one for one in CAMS if one != "grad_cam_x_sign"])
@pytest.mark.parametrize("joint", ["cat", "sum"])
def test_one_image_beside_features_has_its_map_and_the_features_have_zeros(joint, method):
    model, x = fused() if joint == "cat" else (randomized(Added()), (pictures(), features()))
    expected = explain(Bound(model, [None, x[1]]), x[0], method, 1)
    for layer in ({}, {"target_layer": "eye.3"}, {"target_layer": model.eye[3]}):
        image, table = explain(model, x, method, 1, **layer)
        assert image.any()
        assert image == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert table.shape == (3, 5)
        assert not table.any()
    assert grad_cam_layer(model, x).startswith("relu in eye.3")
    assert grad_cam_layer(model, x, "eye.0") == "layer 'eye.0' (Conv2d)"
    held = dict(zip(("features", "image"), reversed(x), strict=True))
    named = explain_many(model, held, [method, "lrp_z"], 1)[method]
    assert named["image"] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("layer", [None, "ear.0"])
def test_a_curve_beside_features(layer):
    model, x = randomized(Twins()), (curves(), features())
    expected = explain(Bound(model, [None, x[1]]), x[0], "grad_cam_timeseries", 1)
    curve, table = explain(model, x, "grad_cam_timeseries", 1, target_layer=layer)
    assert curve.any()
    assert curve == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert not table.any()
    with pytest.raises(ValueError, match=r"images \(N, C, H, W\), not \(3, 2, 12\) and \(3, 5\)"):
        explain(model, x, "grad_cam", 1)
    with pytest.raises(ValueError, match=r"series \(N, C, T\), not \(3, 2, 8, 6\) and \(3, 5\)"):
        explain(fused()[0], fused()[1], "grad_cam_timeseries", 1)


@pytest.mark.parametrize("method", CAMS[:2])
def test_each_image_of_a_siamese_net_has_the_map_of_its_own_call(method):
    model, x = siamese()
    maps = explain(model, x, method, 1, target_layer="eye.3")
    for index in range(2):
        others: list[Tensor | None] = list(x)
        others[index] = None
        expected = explain(Bound(model, others), x[index], method, 1)
        assert expected.any()
        assert maps[index] == pytest.approx(expected, rel=1e-9, abs=1e-12)


class Pyramid(nn.Module):
    """For two images of different sizes, whose maps are added."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far, self.both = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 2, stride=2), nn.Conv2d(3, 3, 3)
        self.last = nn.Linear(3, 4)

    def forward(self, near: Tensor, far: Tensor) -> Tensor:
        made = self.both((self.near(near) + self.far(far)).relu()).relu()
        return self.last(made.mean((2, 3)))


def test_images_that_share_maps_have_them_each_in_its_own_size():
    model = randomized(Pyramid())
    x = pictures(), torch.as_tensor(np.random.RandomState(4).normal(0, 1, (3, 2, 16, 12)))
    near, far = explain(model, x, "grad_cam", 1, target_layer=model.both)
    assert near.any()
    assert near == pytest.approx(explain(Bound(model, [None, x[1]]), x[0], "grad_cam", 1, target_layer=model.both))
    assert far == pytest.approx(explain(Bound(model, [x[0], None]), x[1], "grad_cam", 1, target_layer=model.both))
    only, none = explain(model, x, "grad_cam", 1, target_layer="near")
    assert only.any()
    assert not none.any()  # the maps of that layer say nothing of the other image


@pytest.mark.parametrize("method", CAMS)
def test_two_images_need_a_layer(method):
    for model, x in (siamese(), (randomized(Early()), (pictures(), pictures(seed=5)))):
        with pytest.raises(ValueError, match=r"x\[0\] and x\[1\] have as many axes; name the layer with target_layer="):
            explain(model, x, method, 1)
        with pytest.raises(ValueError, match=r"x\['left'\] and x\['right'\]"):
            explain(model, dict(zip(("left", "right"), x, strict=True)), method, 1)
    assert all(one.any() for one in explain(model, x, method, 1, target_layer="body.0"))


def test_several_maps_have_no_other_size():
    model, x = fused()
    with pytest.raises(ValueError, match="leave out size="):
        explain(model, x, "grad_cam", 1, size=(4, 4))


def test_a_layer_of_features_has_no_maps():
    model, x = fused()
    with pytest.raises(ValueError, match=r"'table\.0'.*does not depend on the input"):
        explain(model, x, "grad_cam", 1, target_layer="table.0")
    with pytest.raises(ValueError, match="no layer 'nose'"):
        explain(model, x, "grad_cam", 1, target_layer="nose")
