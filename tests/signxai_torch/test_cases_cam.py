"""Grad-CAM's layer: the last maps that the head reads, in the order of the forward pass and in any layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from signxai_torch import explain, grad_cam_layer
from signxai_torch.families.cam_maps import NoConvolutionError
from tests.signxai_torch.nets import pictures, randomized

pytestmark = pytest.mark.slow

models = torchvision.models


def image(size: int = 64) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    plain = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return getattr(models, name)(weights=None, num_classes=10, **plain).eval()


# The module whose output the head reads, and the size of the input.
LAYERS = {
    "googlenet": (lambda m: m.inception5b, 64),
    "inception_v3": (lambda m: m.Mixed_7c, 139),
    "resnet18": (lambda m: m.layer4, 64),
    "mobilenet_v3_small": (lambda m: m.features, 64),
    "convnext_tiny": (lambda m: m.features, 64),
    "squeezenet1_1": (lambda m: m.features, 64),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_is_the_last_that_the_head_reads(name):
    model = built(name)
    layer, size = LAYERS[name]
    x = image(size)
    found = explain(model, x, "grad_cam", 3)
    if name == "squeezenet1_1":  # a convolution makes the classes, for each place
        assert "classifier" in grad_cam_layer(model, x)
        return
    assert np.array_equal(found, explain(model, x, "grad_cam", 3, target_layer=layer(model)))


def test_densenet_is_looked_at_behind_its_last_norm_and_relu():
    model, x = built("densenet121"), image()
    seen = []
    model.features.register_forward_hook(lambda module, inputs, output: seen.append(output))
    made = grad_cam_layer(model, x)
    assert made.startswith("relu in the model")
    heat = F.relu(seen[0]).detach().requires_grad_()
    model.classifier(heat.mean((2, 3)))[0, 3].backward()
    expected = (heat.grad.mean((2, 3), keepdim=True) * heat).sum(1).clamp(min=0)
    found = explain(model, x, "grad_cam", 3)[0, 0]
    assert (found > 0).any() == bool((expected > 0).any())


def test_tokens_are_refused_with_what_to_say():
    model, x = built("vit_b_16"), image(224)
    nn.init.normal_(model.heads.head.weight, 0, 0.02)  # torchvision starts it with zeros
    with pytest.raises(NoConvolutionError, match=r"reads tokens .*reshape_transform="):
        explain(model, x, "grad_cam", 3)
    layer = model.encoder.layers[-1].ln_1

    def maps(tokens: Tensor) -> Tensor:
        return tokens[:, 1:].reshape(len(tokens), 14, 14, -1).movedim(-1, 1)

    found = explain(model, x, "grad_cam", 3, target_layer=layer, reshape_transform=maps)
    assert found.shape == tuple(x.shape)
    assert found.any()


def test_maps_with_the_channels_last_are_read_so():
    model, x = built("swin_t"), image()
    by_norm, by_permute = (explain(model, x, "grad_cam", 3, target_layer=one) for one in (model.norm, model.permute))
    assert by_norm.any()
    assert np.array_equal(by_norm, by_permute)
    assert np.array_equal(explain(model, x, "grad_cam", 3), by_norm)


class Registered(nn.Module):
    """Two convolutions whose order of registration is not that of the forward pass; a shortcut registered last."""

    def __init__(self, late_first: bool) -> None:
        super().__init__()
        early, late = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        for name, one in (("late", late), ("early", early)) if late_first else (("early", early), ("late", late)):
            self.add_module(name, one)
        self.last, self.shortcut = nn.Linear(192, 4), nn.Conv2d(2, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.late(F.relu(self.early(x))) + self.shortcut(x))
        return self.last(h.flatten(1))


@pytest.mark.parametrize("method", ["grad_cam", "guided_grad_cam"])
def test_the_order_of_registration_does_not_count(method):
    one = randomized(Registered(late_first=False))
    other = Registered(late_first=True).double().eval()
    other.load_state_dict(one.state_dict())
    found = [explain(model, pictures(), method, 1, target_layer=None) for model in (one, other)]
    assert np.array_equal(*found)
    assert found[0].any()
    assert grad_cam_layer(one, pictures()).startswith("relu in the model")


def test_maps_of_one_place_are_zero_by_construction():
    net = randomized(nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 5, 1),
                                   nn.Flatten()))  # fmt: skip
    assert grad_cam_layer(net, pictures()).startswith("relu in 1")
    assert np.array_equal(
        explain(net, pictures(), "grad_cam", 1), explain(net, pictures(), "grad_cam", 1, target_layer=net[1])
    )
    for layer in ("3", net[3], net[2]):
        with pytest.raises(NoConvolutionError, match="zero by construction"):
            explain(net, pictures(), "grad_cam", 1, target_layer=layer)
