"""Ten nets, each of modules and of functions with the same weights: the same maps, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signxai_torch import explain
from tests.signxai_torch.nets import Shared, TorchvisionLike, curves, mlp, pictures, randomized, series

METHODS = ["gradient", "lrp_z", "lrp_epsilon_0_1", "lrp_alpha_2_beta_1", "lrpsign_epsilon_0_25_std_x", "flatlrp_z",
           "guided_backprop", "deconvnet", "deep_taylor", "deep_lift", "lrp_z_plus"]  # fmt: skip

pytestmark = pytest.mark.filterwarnings(
    "ignore::signxai_torch.UnusedInputRuleWarning", "ignore::signxai_torch.BeyondReferenceWarning"
)


class ByFunctions(nn.Module):
    """The weights of a net, by name, and a function that uses them as the net does."""

    def __init__(self, net: nn.Module, function) -> None:
        super().__init__()
        self.net, self.function = nn.ModuleDict({"weights": net}), function

    def forward(self, x: Tensor) -> Tensor:
        net = self.net["weights"]
        return self.function({**dict(net.named_parameters()), **dict(net.named_buffers())}, x)


def normed(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    at = [w[f"{name}.{one}"] for one in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *at)


def by_linear(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def conv(w: dict[str, Tensor], name: str, x: Tensor, **options) -> Tensor:
    convolve = (F.conv1d, F.conv2d, F.conv3d)[w[f"{name}.weight"].dim() - 3]
    return convolve(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **options)


def of_series(w, x):
    return by_linear(w, "4", F.max_pool1d(conv(w, "0", x, padding=1).relu(), 2).flatten(1))


def of_mlp(w, x):
    return by_linear(w, "3", F.relu(by_linear(w, "1", torch.flatten(x, 1))))


def of_shared(w, x):
    for _ in range(2):
        x = by_linear(w, "again", x).relu()
    return by_linear(w, "last", x)


def of_torchvision(w, x):
    x = F.relu(conv(w, "features.0.0", x, padding=1), inplace=True)
    x = F.relu_(normed(w, "features.1.1", conv(w, "features.1.0", x, padding=1)))
    x = F.adaptive_avg_pool2d(F.max_pool2d(x, 2).relu(), (2, 3))
    x = F.dropout(by_linear(w, "classifier.0", x.reshape(len(x), -1)), 0.5)
    return by_linear(w, "last", torch.relu_(x))


class Inverted(nn.Module):
    """Depthwise convolutions and a bound, as in MobileNet."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.deep, self.down = nn.Conv2d(2, 6, 1), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 2, 1)
        self.bound, self.pool, self.flat, self.last = nn.ReLU6(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)

    def forward(self, x):
        x = x + self.down(self.bound(self.deep(self.bound(self.up(x)))))
        return self.last(self.flat(self.pool(x)))


def of_inverted(w, x):
    x = torch.add(x, conv(w, "down", F.relu6(conv(w, "deep", F.relu6(conv(w, "up", x)), padding=1, groups=6))))
    return by_linear(w, "last", F.avg_pool2d(x, 2).flatten(1))


class Squeezing(nn.Module):
    """A squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.outer = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)
        self.pool, self.act, self.gate = nn.AdaptiveAvgPool2d(1), nn.SiLU(), nn.Sigmoid()
        self.flat, self.last = nn.Flatten(), nn.Linear(96, 4)

    def forward(self, x):
        x = self.act(self.first(x))
        return self.last(self.flat(x * self.gate(self.outer(self.act(self.inner(self.pool(x)))))))


def of_squeezing(w, x):
    x = F.silu(conv(w, "first", x))
    gate = torch.sigmoid(conv(w, "outer", F.silu(conv(w, "inner", F.adaptive_avg_pool2d(x, 1)))))
    return by_linear(w, "last", torch.mul(x, gate).flatten(1))


class Normalised(nn.Module):
    """Layer and group normalisations, as in ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.group, self.act = nn.Conv2d(2, 4, 2, stride=2), nn.GroupNorm(2, 4), nn.GELU()
        self.flat, self.norm, self.last = nn.Flatten(), nn.LayerNorm(48), nn.Linear(48, 4)

    def forward(self, x):
        return self.last(self.norm(self.flat(self.act(self.group(self.first(x))))))


def of_normalised(w, x):
    x = F.gelu(F.group_norm(conv(w, "first", x, stride=2), 2, w["group.weight"], w["group.bias"]))
    return by_linear(w, "last", F.layer_norm(x.flatten(1), (48,), w["norm.weight"], w["norm.bias"]))


class Growing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)
        self.relu, self.pool, self.flat, self.last = nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 4)

    def forward(self, x):
        x = torch.cat([x, self.relu(self.one(x))], 1)
        x = torch.cat([x, self.relu(self.two(x))], 1)
        return self.last(self.flat(self.pool(x)))


def of_growing(w, x):
    for name in ("one", "two"):
        x = torch.concat((x, torch.relu(conv(w, name, x, padding=1))), dim=1)
    return by_linear(w, "last", F.max_pool2d(x, 2).view(len(x), -1))


def volume() -> nn.Module:
    return randomized(
        nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Conv3d(1, 3, (2, 3, 3)), nn.LeakyReLU(), nn.AvgPool3d((1, 2, 2)),
                      nn.Flatten(), nn.Linear(18, 4))
    )  # fmt: skip


def of_volume(w, x):
    x = F.avg_pool3d(F.leaky_relu(conv(w, "1", x.unflatten(1, (1, 2)))), (1, 2, 2))
    return by_linear(w, "5", x.flatten(1))


class Upward(nn.Module):
    """A transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(2, 4, 2, stride=2), nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.relu, self.flat, self.last = nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)

    def forward(self, x):
        return self.last(self.flat(self.relu(self.up(self.relu(self.down(x))))))


def of_upward(w, x):
    x = conv(w, "down", x, stride=2).relu()
    x = F.conv_transpose2d(x, w["up.weight"], w["up.bias"], stride=2).relu()
    return by_linear(w, "last", x.flatten(1))


NETS = {
    "series": (series, of_series, curves),
    "mlp": (mlp, of_mlp, pictures),
    "shared": (lambda: randomized(Shared()), of_shared, lambda: curves()[:, 0, :6]),
    "torchvision-like": (lambda: randomized(TorchvisionLike()), of_torchvision, pictures),
    "inverted residual": (lambda: randomized(Inverted()), of_inverted, pictures),
    "squeeze and excitation": (lambda: randomized(Squeezing()), of_squeezing, pictures),
    "normalised": (lambda: randomized(Normalised()), of_normalised, pictures),
    "dense": (lambda: randomized(Growing()), of_growing, pictures),
    "volume": (volume, of_volume, pictures),
    "transposed": (lambda: randomized(Upward()), of_upward, pictures),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NETS)
def test_a_net_of_functions_is_explained_as_the_net_of_modules(name, method):
    build, function, inputs = NETS[name]
    net, x = build(), inputs()
    twin = ByFunctions(net, function).eval()
    if name != "torchvision-like":  # a functional dropout is on for everybody but us
        assert torch.equal(net(x), twin(x))
    assert np.array_equal(explain(twin, x, method, 1), explain(net, x, method, 1))
