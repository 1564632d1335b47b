"""Numbers that others have too: zennit's with its canonizers, the logit where nothing is lost, and those of twins."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from zennit.attribution import Gradient
from zennit.composites import LayerMapComposite
from zennit.layer import Sum
from zennit.rules import Epsilon, Norm, Pass, ZPlus
from zennit.torchvision import ResNetCanonizer
from zennit.types import Activation, AvgPool, BatchNorm, Convolution, Linear

from signxai_torch import Explainer, explain
from tests.signxai_torch.nets import cnn, pictures, randomized


def resnet() -> nn.Module:
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None, num_classes=10).double().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-9  # zennit leaves it in the norms that it has merged, and so scales by 1 - eps / 2 each
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    return model


def by_zennit(model: nn.Module, x: Tensor, target: int, rule) -> np.ndarray:
    """Return the relevance of zennit from the logit, batch norms merged; averages and sums have its z rule."""
    z = Norm(stabilizer=1e-12)
    layers = [(Activation, Pass()), (BatchNorm, Pass()), (AvgPool, z), (Sum, z), (Convolution, rule), (Linear, rule)]
    composite = LayerMapComposite(layers, canonizers=[ResNetCanonizer()])
    with Gradient(copy.deepcopy(model), composite) as attributor:
        start = torch.zeros(1, 10, dtype=x.dtype)
        start[0, target] = 1.0
        output, _ = attributor(x, start)
        _, relevance = attributor(x, start * output.detach())
    return relevance.numpy()


@pytest.mark.parametrize(
    ("method", "rule"), [("lrp_epsilon_0_1", Epsilon(0.1)), ("lrp_epsilon_0_000001", Epsilon(1e-6)),
                         ("lrp_z_plus", ZPlus(stabilizer=1e-12, zero_params="bias"))],
    ids=["epsilon", "tiny epsilon", "z plus"],
)  # fmt: skip
def test_merged_batch_norms_give_the_map_of_zennit(method, rule):
    model = resnet()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = explain(model, x, method, 3, batch_norm="merge")
    expected = by_zennit(model, x, 3, rule)
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)
    other = explain(model, x, method, 3)
    assert np.linalg.norm(other - expected) > 1e-3 * np.linalg.norm(expected), "the reference's rule is another one"


def test_merged_or_not_lrp_0_is_the_same():
    model = randomized(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)))
    merged = explain(model, pictures(), "lrp_z", 1, batch_norm="merge")
    assert merged == pytest.approx(explain(model, pictures(), "input_t_gradient", 1), rel=1e-9)
    with pytest.raises(ValueError, match="batch_norm must be one of reference, merge, not 'drop'"):
        explain(model, pictures(), "lrp_z", 1, batch_norm="drop")


class Residual(nn.Module):
    """Two blocks of convolutions and sums, without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(4))
        self.last = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        for first, second in (self.blocks[:2], self.blocks[2:]):
            x = (x + second(first(x).relu())).relu()
        return self.last(x.mean((2, 3)))


class Dense(nn.Module):
    """Blocks that see all before them, without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(2 + 3 * i, 3, 3, padding=1, bias=False) for i in range(4))
        self.last = nn.Linear(14 * 12, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = torch.cat([x, block(x).relu()], 1)
        return self.last(nn.functional.max_pool2d(x, 2).flatten(1))


CONSERVING = ["lrp_z", "lrp_z_IB", "flatlrp_z", "w2lrp_z", "lrp_z_plus"]
# These hand relevance to dead units too, whose sum with others that are dead is zero and has nobody to hand it to.
WHERE_NOTHING_IS_ADDED = ["lrp_flat", "lrp_w_square"]


@pytest.mark.parametrize(
    ("build", "method"),
    [*((Residual, one) for one in CONSERVING), *((Dense, one) for one in CONSERVING + WHERE_NOTHING_IS_ADDED)],
)
def test_without_biases_nothing_is_lost(build, method):
    model, x = randomized(build()), pictures()
    if method == "lrp_z_plus":  # its denominators are those of one sign, which must not be missing
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.abs_()
        x = x.abs()
    logits = model(x).detach().numpy()
    for target in range(4):
        total = explain(model, x, method, target).sum((1, 2, 3))
        assert total == pytest.approx(logits[:, target], rel=1e-10, abs=1e-10)


def test_a_plain_net_has_nothing_to_merge():
    for method in ("lrp_z", "lrp_flat", "lrp_alpha_2_beta_1"):
        assert np.array_equal(
            explain(cnn(), pictures(), method, 1, batch_norm="merge"), explain(cnn(), pictures(), method, 1)
        )


class _Frames(nn.Module):
    """Pictures one by one, stacked: the channels lie last, and one sample is no step of the batch."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.picture, self.norm, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm3d(3), nn.Linear(3, 2)
        self.norm.running_var.uniform_(0.5, 1.5)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        pictures = [x[:, :, i].contiguous(memory_format=torch.channels_last) for i in range(4)]
        y = torch.stack([self.picture(picture) for picture in pictures], 2)
        y = self.norm(y.contiguous() if self.whole else y)
        return self.head((y**2).mean((2, 3, 4)))


@pytest.mark.parametrize("method", ["gradient", "smoothgrad", "integrated_gradients", "lrp_epsilon_0_1", "deep_lift"])
def test_batch_norms_of_stacked_frames(method):
    """Torch's own derivative of a batch norm is wrong there (2.14), so it reads a copy."""
    models = [_Frames(whole).double().eval() for whole in (False, True)]
    x = torch.randn(1, 2, 4, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    options = {"seed": 0} if method == "smoothgrad" else {}
    found, expected = (explain(model, x, method, 0, **options) for model in models)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    prepared = [Explainer(model, [method], **options) for model in models]
    for _ in range(3):
        found, expected = (one(x, target=0)[method] for one in prepared)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
